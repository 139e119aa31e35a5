"""Trajectories, drawn in whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.unique_rows import unique_rows

#: where the backward policy comes from: the network, or a formula
Backward = Literal["learned", "uniform", "maximum_entropy"]
_FEW_ACTIONS = 64
_NEVER = torch.tensor(-torch.inf)


@dataclass(frozen=True)
class Trajectories:
    """n trajectories, padded to the longest.

    states: T + 1 x n x state_size, ending in (and padded with) the terminal state. actions: T x n, -1 where a
    trajectory is over.
    """

    states: Tensor
    actions: Tensor

    def __len__(self) -> int:
        return self.actions.shape[1]

    @property
    def terminal(self) -> Tensor:
        """Terminal states: n x state_size."""
        return self.states[-1]

    def pick(self, rows: Sequence[int] | Tensor) -> Trajectories:
        """Some of the trajectories."""
        rows = torch.as_tensor(rows, dtype=torch.int64, device=self.actions.device)
        return Trajectories(self.states[:, rows], self.actions[:, rows])

    def to(self, device: torch.device | str) -> Trajectories:
        """The same on another device."""
        return Trajectories(self.states.to(device), self.actions.to(device))

    @staticmethod
    def join(parts: Sequence[Trajectories]) -> Trajectories:
        """All trajectories of several batches, padded to one length."""
        if len(parts) == 1:
            return parts[0]
        steps = max(p.actions.shape[0] for p in parts)
        states, actions = [], []
        for part in parts:
            missing = steps - part.actions.shape[0]
            states.append(torch.cat([part.states, part.states[-1:].expand(missing, -1, -1)]))
            actions.append(torch.nn.functional.pad(part.actions, (0, 0, 0, missing), value=-1))
        return Trajectories(torch.cat(states, 1), torch.cat(actions, 1))


@dataclass(frozen=True)
class Guide:
    """Actions that a roll-out follows where they are allowed.

    Args:
        actions: T x n; -1: the policy decides.
        deviate: n, the probability to leave a step to the policy all the same; None: 0.
    """

    actions: Tensor
    deviate: Tensor | None = None


def masked_log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities over the allowed actions, -inf for the others: n x n_actions."""
    return logits.masked_fill(~mask, -torch.inf).log_softmax(-1)


def packs(device: torch.device) -> bool:
    """Whether to leave out what is over, which saves work, but makes a GPU wait for the answer how much that is."""
    return device.type == "cpu"


@torch.no_grad()
def rollout(
    environment: Environment,
    policy: Policy | None,
    n: int,
    *,
    generator: torch.Generator,
    epsilon: float = 0.0,
    temperature: float = 1.0,
    context: Context | None = None,
    guide: Guide | None = None,
) -> Trajectories:
    """Draws n trajectories from the policy; policy None: uniform.

    Args:
        environment: the space.
        policy: on the device of the generator.
        n: how many.
        generator: all randomness; its device is where everything happens.
        epsilon: share of uniform actions.
        temperature: the logits are divided by it.
        context: of each trajectory.
        guide: actions to follow.

    Raises:
        ValueError: n is not positive, or a state that is not terminal allows no action.
    """
    if n < 1:
        raise ValueError(f"a roll-out needs at least one trajectory, not {n}")
    if packs(generator.device):
        trajectories = _rollout_packed(environment, policy, n, generator, epsilon, temperature, context, guide)
    else:
        trajectories = _rollout_whole(environment, policy, n, generator, epsilon, temperature, context, guide)
    if not bool(environment.is_terminal(trajectories.terminal).all()):
        raise ValueError("a trajectory did not end: max_steps of the environment is too small")
    return trajectories


_NO_ACTION = "a state that is not terminal allows no action, or the policy's logits are not finite"


def _all_finite(parts: Sequence[Tensor]) -> bool:
    return bool(torch.cat([*parts]).isfinite().all())


def _rollout_packed(
    environment: Environment,
    policy: Policy | None,
    n: int,
    generator: torch.Generator,
    epsilon: float,
    temperature: float,
    context: Context | None,
    guide: Guide | None,
) -> Trajectories:
    """The CPU's way: only what is not over takes a step."""
    initial = environment.initial(n)
    everyone = torch.arange(n)
    steps, soundness = [], []
    with torch.inference_mode():  # half of the price of a small operation
        before, rows = initial, everyone
        memory = policy.start(n, generator.device) if policy is not None else None
        noise = _Gumbel(generator)
        shares = policy is not None and policy.is_markov and context is None
        try:
            for t in range(environment.max_steps):
                mask = environment.forward_mask(before)
                logits = None
                here = None if len(rows) == n else rows
                if policy is not None and epsilon < 1:
                    if shares:  # early on many rows are in the same state
                        place, group = unique_rows(before)
                        logits = policy.next_logits(before.index_select(0, place), None, memory, None)
                        logits = logits.index_select(0, group)
                        shares = 4 * len(place) < 3 * len(before)
                    else:
                        logits = policy.next_logits(before, context, memory, here)
                    if temperature != 1:
                        logits = logits / temperature
                picked, sound = _pick(logits, mask, epsilon, generator, noise)
                soundness.append(sound)
                if guide is not None and t < len(guide.actions):
                    picked = _follow(guide, t, here, mask, picked, generator)
                before = environment.step(before, picked)
                steps.append((rows, picked, before))
                left = environment.is_terminal(before).logical_not().nonzero().squeeze(1)
                if len(left) < len(rows):
                    if not len(left):
                        break
                    before, rows = before.index_select(0, left), rows.index_select(0, left)
                    context = None if context is None else context.rows(left)
        except (RuntimeError, IndexError):  # what an action that is not allowed may lead to
            if soundness and not _all_finite(soundness):
                raise ValueError(_NO_ACTION) from None
            raise
        if not _all_finite(soundness):
            raise ValueError(_NO_ACTION)
        n_steps = len(steps)
        places = torch.cat([rows + t * n for t, (rows, _, _) in enumerate(steps)])
        actions = torch.full((n_steps * n,), -1)
        actions.index_copy_(0, places, torch.cat([picked for _, picked, _ in steps]))
        actions = actions.view(n_steps, n)
        # for each time and trajectory, where its state stands: after the last step what is over stays as it is
        visited = torch.cat([initial, *(after for _, _, after in steps)])
        where = torch.zeros((n_steps + 1) * n, dtype=torch.int64)
        where.index_copy_(0, places + n, torch.arange(n, len(visited)))
        where[:n] = everyone
        where = where.view(n_steps + 1, n).cummax(0).values
        states = visited.index_select(0, where.flatten()).view(n_steps + 1, n, -1)
    # copied out of inference mode, so that they may take part in training
    return Trajectories(states.clone(), actions.clone())


def _rollout_whole(
    environment: Environment,
    policy: Policy | None,
    n: int,
    generator: torch.Generator,
    epsilon: float,
    temperature: float,
    context: Context | None,
    guide: Guide | None,
) -> Trajectories:
    """The GPU's way: all rows take all steps, and nobody waits for an answer before the end."""
    device = generator.device
    current = environment.initial(n, device)
    states, actions, soundness = [current], [], []
    memory = policy.start(n, device) if policy is not None else None
    for t in range(environment.max_steps):
        is_alive = ~environment.is_terminal(current)
        mask = environment.forward_mask(current) | ~is_alive[:, None]
        logits = None
        if policy is not None and epsilon < 1:
            logits = policy.next_logits(current, context, memory, None)
            if temperature != 1:
                logits = logits / temperature
        picked, sound = _pick(logits, mask, epsilon, generator)
        soundness.append(sound)
        if guide is not None and t < len(guide.actions):
            picked = _follow(guide, t, None, mask, picked, generator)
        after = environment.step(current, torch.where(is_alive, picked, environment.n_actions - 1))
        current = torch.where(is_alive[:, None], after, current)
        states.append(current)
        actions.append(torch.where(is_alive, picked, -1))
    if not _all_finite(soundness):
        raise ValueError(_NO_ACTION)
    return Trajectories(torch.stack(states), torch.stack(actions))


def _pick(
    logits: Tensor | None, mask: Tensor, epsilon: float, generator: torch.Generator, noise: _Gumbel | None = None
) -> tuple[Tensor, Tensor]:
    """An action per row, and a number that is finite where the row had one: n and n."""
    if logits is not None and epsilon > 0:
        explores = torch.rand((len(mask), 1), generator=generator, device=mask.device) < epsilon
        logits = logits.masked_fill(explores, 0.0)
    if mask.shape[1] > _FEW_ACTIONS:
        return _invert(logits, mask, generator)
    gumbel = _gumbel(mask.numel(), generator) if noise is None else noise.draw(mask.numel())
    scores = gumbel.view(mask.shape) if logits is None else logits + gumbel.view(mask.shape)
    best, picked = torch.where(mask, scores, _NEVER).max(-1)
    return picked, best


def _gumbel(n: int, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise: a logit plus it is largest with the probability that softmax gives the logit."""
    uniform = torch.rand(n, generator=generator, device=generator.device)
    return uniform.clamp_(min=1e-38).log_().neg_().log_().neg_()


class _Gumbel:
    """Gumbel noise from a supply, for many small draws."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator, self._supply, self._used = generator, torch.empty(0), 0

    def draw(self, n: int) -> Tensor:
        """N numbers."""
        if self._used + n > len(self._supply):
            self._supply, self._used = _gumbel(max(n, 4096), self._generator), 0
        self._used += n
        return self._supply[self._used - n : self._used]


def _invert(logits: Tensor | None, mask: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What ``_pick`` gives, where there are many actions: by inversion of the cumulative sum over all allowed ones.

    One sum over the allowed actions of all rows costs a tenth of ``torch.multinomial``; in double precision, so that
    thousands of actions add up.
    """
    n, n_actions = mask.shape
    device = mask.device
    uniform = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
    if packs(device):
        place = mask.flatten().nonzero().squeeze(1)
        row, count = place // n_actions, mask.sum(1)
        values = None if logits is None else logits.flatten().index_select(0, place)
    else:  # every action, those that are not allowed with no weight
        place = torch.arange(n * n_actions, device=device)
        row, count = place // n_actions, torch.full((n,), n_actions, device=device)
        values = (torch.zeros_like(mask, dtype=torch.float32) if logits is None else logits).masked_fill(
            ~mask, -torch.inf
        )
        values = values.flatten()
    if values is None:
        weights = torch.ones(len(place), dtype=torch.float64)
    else:
        top = torch.full((n,), -torch.inf, dtype=values.dtype, device=device).scatter_reduce(0, row, values, "amax")
        # NaN: the row has no action, or a logit that is not finite
        weights = (values - top[row]).double().exp().nan_to_num(0.0)
    cumulative = torch.nn.functional.pad(weights.cumsum(0), (1, 0))
    last = count.cumsum(0)
    before, after = cumulative[last - count], cumulative[last]
    total = after - before
    level = before + uniform * total
    picked = torch.searchsorted(cumulative, level, right=True) - 1
    picked = torch.minimum(torch.maximum(picked, last - count), last - 1)  # rounding must not leave the row
    chosen = (
        place[picked.clamp(min=0, max=max(len(place) - 1, 0))] % n_actions if len(place) else torch.zeros_like(last)
    )
    return torch.where(total > 0, chosen, 0), total.log()


def _follow(
    guide: Guide, t: int, rows: Tensor | None, mask: Tensor, picked: Tensor, generator: torch.Generator
) -> Tensor:
    """The guide's actions in place of those that were picked, where they are given and allowed."""
    wanted = guide.actions[t] if rows is None else guide.actions[t][rows]
    follows = (wanted >= 0) & mask.gather(1, wanted.clamp(min=0)[:, None])[:, 0]
    if guide.deviate is not None:
        deviate = guide.deviate if rows is None else guide.deviate[rows]
        follows &= torch.rand(len(picked), generator=generator, device=picked.device) >= deviate
    return torch.where(follows, wanted, picked)


@torch.no_grad()
def backward_rollout(
    environment: Environment,
    policy: Policy | None,
    states: Tensor,
    *,
    generator: torch.Generator,
    backward: Backward = "learned",
    context: Context | None = None,
) -> Trajectories:
    """Draws a history of each terminal state by the backward policy; policy None: uniform.

    Where an object has several states, the trajectory may end in another state of the same object.
    """
    current, choices = states, []
    is_packed = packs(states.device)
    for _ in range(environment.max_steps):
        mask = environment.backward_mask(current)
        is_alive = mask.any(1)
        if is_packed and not bool(is_alive.any()):
            break
        mask = mask | ~is_alive[:, None]
        logits = None if policy is None else _backward_logits(environment, policy, current, mask, backward, context)
        picked, _ = _pick(logits, mask, 0.0, generator)
        moved = environment.backward_step(current, picked)
        current = torch.where(is_alive[:, None], moved, current)
        choices.append(torch.where(is_alive, picked, -1))
    return Trajectories(*environment.retrace(states, torch.stack(choices)))


def _backward_logits(
    environment: Environment,
    policy: Policy,
    states: Tensor,
    mask: Tensor,
    backward: Backward,
    context: Context | None,
) -> Tensor | None:
    """Unnormalised log-probabilities of the backward actions: n x n_backward_actions, None: uniform."""
    if backward == "uniform" or environment.n_backward_actions == 1:
        return None
    if backward == "learned":
        return policy.backward_logits(states, context)
    n, choices = mask.shape
    each = torch.arange(choices, device=states.device).repeat(n)
    # where the mask forbids a step its result means nothing, and is masked by whoever asks
    parents = environment.backward_step(states.repeat_interleave(choices, 0), torch.where(mask.flatten(), each, 0))
    return environment.log_paths(parents).view(n, choices).nan_to_num().float()
