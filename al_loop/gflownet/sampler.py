"""The sampler: draws trajectories with the weights it was last given, and scores their objects."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.replay import Entries
from al_loop.gflownet.rollout import Backward, Trajectories, rollout
from al_loop.gflownet.searches.base import Parents, Search, SearchContext

#: log-rewards of objects: n, or n x objectives
LogReward = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class StateReward:
    """A reward of states, so that nothing has to be decoded.

    Args:
        function: terminal states (n x state_size) -> log-rewards (n, or n x objectives), on their device.
        is_partial: it also holds for unfinished states, which forward-looking flows need.
    """

    function: Callable[[Tensor], Tensor]
    is_partial: bool = False


AnyReward = LogReward | StateReward


@dataclass(frozen=True)
class Draw:
    """What was drawn, how, and the reward of each.

    Args:
        trajectories: n of them.
        log_reward: n (or n x objectives), of the objects (``log_multiplicity`` of the states is not subtracted), and
            before any conditioning.
        objects: n; None where the reward is one of states.
        values: n x n_values, what each was drawn for; None: nothing.
    """

    trajectories: Trajectories
    log_reward: Tensor
    objects: list[str] | None = None
    values: Tensor | None = None

    @property
    def keys(self) -> list[Hashable]:
        """What tells one object from another: the object, or its state."""
        if self.objects is not None:
            return list(self.objects)
        return [tuple(row) for row in self.trajectories.terminal.tolist()]

    def to(self, device: torch.device | str) -> Draw:
        """The same on another device."""
        values = None if self.values is None else self.values.to(device)
        return Draw(self.trajectories.to(device), self.log_reward.to(device), self.objects, values)

    @property
    def n_bytes(self) -> int:
        """Of its tensors."""
        tensors = (self.trajectories.states, self.trajectories.actions, self.log_reward, self.values)
        return sum(t.nbytes for t in tensors if t is not None)

    def split(self, count: int) -> list[Draw]:
        """Parts of equal size (but for one), every part with some of everything."""
        return [self] if count == 1 else [self._pick(range(i, len(self.trajectories), count)) for i in range(count)]

    def _pick(self, rows: range) -> Draw:
        index = torch.tensor(rows)
        return Draw(
            self.trajectories.pick(index),
            self.log_reward[index],
            None if self.objects is None else [self.objects[row] for row in rows],
            None if self.values is None else self.values[index],
        )

    @staticmethod
    def join(draws: Sequence[Draw]) -> Draw:
        """All of several draws."""
        values = [d.values for d in draws if d.values is not None]
        return Draw(
            Trajectories.join([d.trajectories for d in draws]),
            torch.cat([d.log_reward for d in draws]),
            None if draws[0].objects is None else [o for d in draws for o in d.objects or []],
            torch.cat(values) if values else None,
        )


@dataclass(frozen=True)
class SearchJob:
    """A search to run around some objects."""

    search: Search
    parents: Entries

    def to(self, device: torch.device | str) -> SearchJob:
        """The same on another device."""
        parents = self.parents
        return SearchJob(self.search, Entries(parents.keys, parents.states.to(device), parents.log_reward.to(device)))


@dataclass(frozen=True)
class DrawRequest:
    """What a sampler is asked for, see ``Sampler.draw``."""

    n: int
    seed: int
    epsilon: float = 0.0
    temperature: float = 1.0
    jobs: Sequence[SearchJob] = ()
    is_scored: bool = True


class Sampler:
    """Rolls out trajectories and runs the reward next to them; the same class inline and as a Ray actor.

    Args:
        environment: the space.
        policy: on the device where everything is to happen.
        conditioning: what rewards are conditioned on.
        backward: where the backward policy comes from, for searches that walk back.
        precision: of the policy's arithmetic.
    """

    def __init__(
        self,
        environment: Environment,
        policy: Policy,
        conditioning: Conditioning | None = None,
        backward: Backward = "learned",
        precision: torch.dtype = torch.float32,
    ) -> None:
        self._environment, self._policy, self._backward = environment, policy, backward
        self._conditioning = conditioning or Conditioning()
        self._precision = precision
        self._log_reward: AnyReward | None = None

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        return next(self._policy.parameters()).device

    def set_reward(self, log_reward: AnyReward) -> None:
        """What the next draws are scored with."""
        self._log_reward = log_reward

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """The policy's weights for the next draws."""
        self._policy.load_state_dict(weights)

    def fill(self, order: DrawRequest) -> Draw:
        """The draw of an order."""
        return self.draw(**vars(order))

    @torch.no_grad()
    def draw(
        self,
        n: int,
        *,
        seed: int,
        epsilon: float = 0.0,
        temperature: float = 1.0,
        beta: float | None = None,
        weights: Sequence[float] | None = None,
        jobs: Sequence[SearchJob] = (),
        is_scored: bool = True,
    ) -> Draw:
        """N objects from the policy, and those that searches find.

        Args:
            n: how many from the policy; none where there are only searches to run.
            seed: of all randomness.
            epsilon: share of uniform actions.
            temperature: the logits of the policy are divided by it.
            beta: what to draw for, where the sampler is conditioned on it; left out with ``weights``: a range, as in
                training.
            weights: preferences between the objectives, likewise.
            jobs: searches to run beside; their objects come after the first n.
            is_scored: False: the reward is left out (0), where the objects alone are wanted.
        """
        if n < 1 and not jobs:
            raise ValueError(f"a draw is of at least one trajectory, not {n}")
        generator = torch.Generator(self.device).manual_seed(seed)
        if beta is None and weights is None:
            values = self._conditioning.sample(n, generator)
        else:
            values = self._conditioning.fixed(n, beta, weights).to(self.device)
        context = self._context(values, generator)
        with torch.autocast(self.device.type, self._precision, enabled=self._precision != torch.float32):
            draws = []
            if n:
                trajectories = rollout(
                    self._environment,
                    self._policy,
                    n,
                    generator=generator,
                    epsilon=epsilon,
                    temperature=temperature,
                    context=context,
                )
                draws.append(self._score(trajectories, values) if is_scored else self._unscored(trajectories, values))
            for job in jobs:
                draws += self._search(job, generator)
        return Draw.join(draws)

    def _context(self, values: Tensor, generator: torch.Generator) -> Context | None:
        heads = self._policy.heads
        if not values.shape[1] and heads == 1:
            return None
        head = torch.randint(heads, (len(values),), generator=generator, device=self.device) if heads > 1 else None
        return Context(values if values.shape[1] else None, head)

    def _score(self, trajectories: Trajectories, values: Tensor) -> Draw:
        assert self._log_reward is not None, "set_reward comes first"
        told = values if values.shape[1] else None
        if isinstance(self._log_reward, StateReward):
            return Draw(trajectories, self._log_reward.function(trajectories.terminal), None, told)
        objects = self._environment.decode(trajectories.terminal)
        return Draw(trajectories, self._log_reward(objects), objects, told)

    def _unscored(self, trajectories: Trajectories, values: Tensor) -> Draw:
        objects = self._environment.decode(trajectories.terminal)
        return Draw(trajectories, torch.zeros(len(objects)), objects, values if values.shape[1] else None)

    def _search(self, job: SearchJob, generator: torch.Generator) -> list[Draw]:
        states, rewards = job.parents.states.to(self.device), job.parents.log_reward
        values = self._conditioning.sample(len(states), generator)
        walker = SearchContext(self._environment, self._policy, self._backward, self._context(values, generator))
        best = self._conditioning.apply(rewards.to(self.device), values)
        keys = list(job.parents.keys)
        draws = []
        for _ in range(job.search.rounds):
            children = job.search.propose(walker, Parents(states, self._uncertainty(keys)), generator)
            draw = self._score(children, values)
            draws.append(draw)
            reward = self._conditioning.apply(draw.log_reward.to(self.device), values)
            is_better = reward > best
            states = torch.where(is_better[:, None], children.terminal, states)
            best = torch.where(is_better, reward, best)
            keys = [
                new if better else old for new, old, better in zip(draw.keys, keys, is_better.tolist(), strict=True)
            ]
        return draws

    def _uncertainty(self, keys: Sequence[Hashable]) -> Tensor | None:
        """How unsure the reward's model is of objects, where the reward says so by a method ``uncertainty``."""
        uncertainty = getattr(self._log_reward, "uncertainty", None)
        return None if uncertainty is None else uncertainty([str(key) for key in keys]).to(self.device)
