"""Objects near given ones: some steps of their histories are undone, or replaced, and built again at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.back_and_forth import share_of_steps
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.rollout import Guide, rollout
from al_loop.system import stopping

#: distance of each object from what is acceptable, n; 0: acceptable
Violation = Callable[[Sequence[str]], Tensor]
#: moves, each as often as the others: the share of the last steps that is undone; None: steps anywhere are replaced
_MOVES = (0.25, None, 0.6, None)
_REPLACED = 0.05  # share of the steps that are replaced, beside one
_CAPACITY = 512  # objects from which the walk goes on


class Neighbourhood:
    """A walk of back-and-forth moves that begins at given objects and goes on from the most acceptable ones.

    Half of the moves begin at the given objects, or a quarter once acceptable objects are known, and the others at
    those of the smallest violation so far. The walk therefore enters a narrow region, such as a window of similarity to
    the given objects, from its border, and stays in it.

    Args:
        environment: the space.
        starts: terminal states of the given objects, shape n x state_size; there is at least one.
        violation: distance of objects from what is acceptable.
        seed: source of all randomness.
    """

    def __init__(self, environment: Environment, starts: Tensor, violation: Violation, seed: int) -> None:
        self._environment, self._starts, self._violation = environment, starts, violation
        self._generator = torch.Generator().manual_seed(seed)
        names = environment.decode(starts)
        self._names = set(names)
        self._states, self._scores = starts, violation(names).double()

    @property
    def least_violation(self) -> float:
        """The smallest violation of an object so far."""
        return float(self._scores.min())

    def best(self, n: int) -> list[str]:
        """Return up to n objects of the smallest violations, the best first."""
        order = self._scores.argsort(stable=True)[:n]
        return list(dict.fromkeys(self._environment.decode(self._states[order])))

    def draws(self, n_draws: int, n: int) -> Iterator[list[str]]:
        """Yield new objects, several times.

        Args:
            n_draws: number of draws.
            n: number of moves of a draw.
        """
        for _ in range(n_draws):
            stopping.look()
            yield self._step(n)

    def _step(self, n: int) -> list[str]:
        parents = self._parents(n).tensor_split(len(_MOVES))
        states = torch.cat(
            [self._children(part, move) for part, move in zip(parents, _MOVES, strict=True) if len(part)]
        )
        names = self._environment.decode(states)
        new = {name: row for row, name in enumerate(names) if self._environment.is_valid(name)}
        new = {name: row for name, row in new.items() if name not in self._names}
        if new:
            self._names.update(new)
            scores = torch.cat([self._violation(list(new)).double(), self._scores])
            order = scores.argsort(stable=True)[:_CAPACITY]  # of equal ones, the newest
            self._states = torch.cat([states[list(new.values())], self._states])[order]
            self._scores = scores[order]
        return list(new)

    def _parents(self, n: int) -> Tensor:
        n_first = n // 4 if bool((self._scores == 0).any()) else n // 2
        first = torch.randint(len(self._starts), (n_first,), generator=self._generator)
        # of the best eighth or all that are acceptable, the first (of equal ones, the newest) more often
        n_good = max(int((self._scores == 0).sum()), (len(self._scores) + 7) // 8)
        later = (torch.rand(n - n_first, generator=self._generator).square() * n_good).long()
        parents = torch.cat([self._starts[first], self._states[later]])
        return parents[torch.randperm(n, generator=self._generator)]

    def _children(self, parents: Tensor, undone: float | None) -> Tensor:
        """Return a child of each parent, in which a share of the last steps, or steps anywhere, are random.

        Random actions would hardly ever stop, so a child has as many steps as its parent, or one more or less.
        """
        environment, generator, n = self._environment, self._generator, len(parents)
        history = backward_rollout(environment, None, parents, generator=generator)
        stop = environment.n_actions - 1
        actions = (
            history.actions if not environment.has_stop else history.actions.masked_fill(history.actions == stop, -1)
        )
        length = (actions >= 0).sum(0)
        actions = torch.nn.functional.pad(actions, (0, 0, 0, max(environment.max_steps - len(actions), 0)), value=-1)
        time = torch.arange(len(actions))[:, None]
        if undone is not None:
            is_random = time >= length - share_of_steps(undone)(length)
        else:
            is_random = torch.rand(actions.shape, generator=generator) < _REPLACED
            is_random |= time == (torch.rand(n, generator=generator) * length).long()  # at least one
        guided = torch.where(is_random, -1, actions)
        if environment.has_stop:
            end = length + torch.randint(-1, 2, (n,), generator=generator)
            guided = torch.where(time >= end, stop, guided)
        start = history.states[0]
        return rollout(environment, None, n, generator=generator, guide=Guide(guided), start=start).terminal
