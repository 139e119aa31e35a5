"""Roll-outs: trajectories drawn in whole batches, forwards from a policy and backwards from objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.unique_rows import unique_rows
from al_loop.system import stopping

#: the backward policy: a network, or one of two formulas
Backward = Literal["learned", "uniform", "maximum_entropy"]
_FEW_ACTIONS = 64
_NEVER = torch.tensor(-torch.inf)


@dataclass(frozen=True)
class Trajectories:
    """A batch of n trajectories, padded to the T steps of the longest.

    Args:
        states: states, shape T + 1 x n x state_size, ending in (and padded with) the terminal state.
        actions: actions, shape T x n, -1 after the end of a trajectory.
    """

    states: Tensor
    actions: Tensor

    def __len__(self) -> int:
        return self.actions.shape[1]

    @property
    def terminal(self) -> Tensor:
        """The terminal states, shape n x state_size."""
        return self.states[-1]

    def pick(self, rows: Sequence[int] | Tensor) -> Trajectories:
        """Return the trajectories at these indices."""
        rows = torch.as_tensor(rows, dtype=torch.int64, device=self.actions.device)
        return Trajectories(self.states[:, rows], self.actions[:, rows])

    def to(self, device: torch.device | str) -> Trajectories:
        """Return the same trajectories on another device."""
        return Trajectories(self.states.to(device), self.actions.to(device))

    @staticmethod
    def join(parts: Sequence[Trajectories]) -> Trajectories:
        """Concatenate batches, padded to one length."""
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
    """Actions that a roll-out follows if they are allowed.

    Args:
        actions: actions, shape T x n; -1: the policy decides.
        deviate: the probability that the policy decides a step anyway, shape n; None: 0.
    """

    actions: Tensor
    deviate: Tensor | None = None


def masked_log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Return log-probabilities, shape n x n_actions, over the allowed actions; -inf for the others.

    Args:
        logits: logits, shape n x n_actions.
        mask: allowed actions, shape n x n_actions.

    Raises:
        ValueError: the shapes differ, or the mask is not boolean.
    """
    if logits.shape != mask.shape or mask.dtype != torch.bool:
        got = f"got {tuple(logits.shape)} and {tuple(mask.shape)} of {mask.dtype}"
        raise ValueError(f"expected n x actions logits of the policy and a boolean mask of the environment, {got}")
    return logits.masked_fill(~mask, -torch.inf).log_softmax(-1)


def packs(device: torch.device) -> bool:
    """Return whether to drop finished rows: it saves work, but on a GPU their number would have to be read back."""
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
    start: Tensor | None = None,
) -> Trajectories:
    """Draw n trajectories from a policy.

    Args:
        environment: the space.
        policy: the policy, on the device of the generator; None: uniform.
        n: number of trajectories.
        generator: source of all randomness; its device is used for all computations.
        epsilon: share of uniform actions.
        temperature: divisor of the logits.
        context: context of each trajectory.
        guide: actions to follow.
        start: the states from which the trajectories start, shape n x state_size, on the device of the generator; None:
            the initial state.

    Raises:
        ValueError: n is not positive or not the number of start states, a state that is not terminal allows no action,
            a logit is not finite, or a trajectory does not end within ``max_steps``.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if start is None:
        start = environment.initial(n, generator.device)
    elif start.shape != (n, environment.state_size):
        raise ValueError(f"start: expected states of shape {(n, environment.state_size)}, got {tuple(start.shape)}")
    draw = _rollout_packed if packs(generator.device) else _rollout_whole
    trajectories = draw(environment, policy, start, generator, epsilon, temperature, context, guide)
    if not bool(environment.is_terminal(trajectories.terminal).all()):
        raise ValueError(f"a trajectory did not end within max_steps ({environment.max_steps}) of the environment")
    return trajectories


_NO_ACTION = "a state that is not terminal allows no action, or a logit of the policy is not finite"


def _all_finite(parts: Sequence[Tensor]) -> bool:
    return bool(torch.cat([*parts]).isfinite().all())


def _rollout_packed(
    environment: Environment,
    policy: Policy | None,
    start: Tensor,
    generator: torch.Generator,
    epsilon: float,
    temperature: float,
    context: Context | None,
    guide: Guide | None,
) -> Trajectories:
    """Roll out on a CPU, where only unfinished trajectories take a step."""
    n = len(start)
    all_rows = torch.arange(n)
    steps, checks = [], []
    with torch.inference_mode():  # halves the cost of a small operation
        before, rows = start, all_rows
        memory = policy.start(n, generator.device) if policy is not None else None
        noise = _Gumbel(generator)
        shares = policy is not None and policy.is_markov and context is None
        try:
            for t in range(environment.max_steps):
                stopping.look()
                mask = environment.forward_mask(before)
                logits = None
                row_index = None if len(rows) == n else rows
                if policy is not None and epsilon < 1:
                    if shares:  # early on, many rows are in the same state
                        index, group = unique_rows(before)
                        logits = policy.next_logits(before.index_select(0, index), None, memory, None)
                        logits = logits.index_select(0, group)
                        shares = 4 * len(index) < 3 * len(before)
                    else:
                        logits = policy.next_logits(before, context, memory, row_index)
                    if temperature != 1:
                        logits = logits / temperature
                action, check = _pick(logits, mask, epsilon, generator, noise)
                checks.append(check)
                if guide is not None and t < len(guide.actions):
                    action = _follow(guide, t, row_index, mask, action, generator)
                before = environment.step(before, action)
                steps.append((rows, action, before))
                alive = environment.is_terminal(before).logical_not().nonzero().squeeze(1)
                if len(alive) < len(rows):
                    if not len(alive):
                        break
                    before, rows = before.index_select(0, alive), rows.index_select(0, alive)
                    context = None if context is None else context.rows(alive)
        except (RuntimeError, IndexError):  # an action that is not allowed may cause these
            if checks and not _all_finite(checks):
                raise ValueError(_NO_ACTION) from None
            raise
        if not _all_finite(checks):
            raise ValueError(_NO_ACTION)
        n_steps = len(steps)
        index = torch.cat([rows + t * n for t, (rows, _, _) in enumerate(steps)])
        actions = torch.full((n_steps * n,), -1)
        actions.index_copy_(0, index, torch.cat([action for _, action, _ in steps]))
        actions = actions.view(n_steps, n)
        # for each time and trajectory, the row of its state in `visited`; after its end, the row of its last state
        visited = torch.cat([start, *(after for _, _, after in steps)])
        row = torch.zeros((n_steps + 1) * n, dtype=torch.int64)
        row.index_copy_(0, index + n, torch.arange(n, len(visited)))
        row[:n] = all_rows
        row = row.view(n_steps + 1, n).cummax(0).values
        states = visited.index_select(0, row.flatten()).view(n_steps + 1, n, -1)
    # copied out of inference mode, so that they can take part in training
    return Trajectories(states.clone(), actions.clone())


def _rollout_whole(
    environment: Environment,
    policy: Policy | None,
    start: Tensor,
    generator: torch.Generator,
    epsilon: float,
    temperature: float,
    context: Context | None,
    guide: Guide | None,
) -> Trajectories:
    """Roll out on a GPU, where all rows take all steps, so that nothing is read from the device before the end."""
    device = generator.device
    current = start
    states, actions, checks = [current], [], []
    memory = policy.start(len(start), device) if policy is not None else None
    for t in range(environment.max_steps):
        stopping.look()
        is_alive = ~environment.is_terminal(current)
        mask = environment.forward_mask(current) | ~is_alive[:, None]
        logits = None
        if policy is not None and epsilon < 1:
            logits = policy.next_logits(current, context, memory, None)
            if temperature != 1:
                logits = logits / temperature
        action, check = _pick(logits, mask, epsilon, generator)
        checks.append(check)
        if guide is not None and t < len(guide.actions):
            action = _follow(guide, t, None, mask, action, generator)
        after = environment.step(current, torch.where(is_alive, action, environment.n_actions - 1))
        current = torch.where(is_alive[:, None], after, current)
        states.append(current)
        actions.append(torch.where(is_alive, action, -1))
    if not _all_finite(checks):
        raise ValueError(_NO_ACTION)
    return Trajectories(torch.stack(states), torch.stack(actions))


def _pick(
    logits: Tensor | None, mask: Tensor, epsilon: float, generator: torch.Generator, noise: _Gumbel | None = None
) -> tuple[Tensor, Tensor]:
    """Return a random action for each row, and a number that is finite if the row allows an action, shape n each."""
    if logits is not None and epsilon > 0:
        explores = torch.rand((len(mask), 1), generator=generator, device=mask.device) < epsilon
        logits = logits.masked_fill(explores, 0.0)
    if mask.shape[1] > _FEW_ACTIONS:
        return _invert(logits, mask, generator)
    gumbel = _gumbel(mask.numel(), generator) if noise is None else noise.draw(mask.numel())
    scores = gumbel.view(mask.shape) if logits is None else logits + gumbel.view(mask.shape)
    best, action = torch.where(mask, scores, _NEVER).max(-1)
    return action, best


def _gumbel(n: int, generator: torch.Generator) -> Tensor:
    """Return n values of Gumbel noise: a logit plus noise is the largest with its softmax probability."""
    uniform = torch.rand(n, generator=generator, device=generator.device)
    return uniform.clamp_(min=1e-38).log_().neg_().log_().neg_()


class _Gumbel:
    """Gumbel noise, generated in blocks for many small draws."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator, self._supply, self._used = generator, torch.empty(0), 0

    def draw(self, n: int) -> Tensor:
        """Return n values."""
        if self._used + n > len(self._supply):
            self._supply, self._used = _gumbel(max(n, 4096), self._generator), 0
        self._used += n
        return self._supply[self._used - n : self._used]


def _invert(logits: Tensor | None, mask: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the result of ``_pick`` for many actions, by inverting the cumulative sum over all allowed ones.

    One sum over the allowed actions of all rows costs a tenth of ``torch.multinomial``; it is in double precision, so
    that thousands of actions add up accurately.
    """
    n, n_actions = mask.shape
    device = mask.device
    uniform = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
    if packs(device):
        index = mask.flatten().nonzero().squeeze(1)
        row, count = index // n_actions, mask.sum(1)
        values = None if logits is None else logits.flatten().index_select(0, index)
    else:  # every action, those that are not allowed with weight 0
        index = torch.arange(n * n_actions, device=device)
        row, count = index // n_actions, torch.full((n,), n_actions, device=device)
        values = (torch.zeros_like(mask, dtype=torch.float32) if logits is None else logits).masked_fill(
            ~mask, -torch.inf
        )
        values = values.flatten()
    if values is None:
        weights = torch.ones(len(index), dtype=torch.float64)
    else:
        top = torch.full((n,), -torch.inf, dtype=values.dtype, device=device).scatter_reduce(0, row, values, "amax")
        # NaN: the row allows no action, or a logit is not finite
        weights = (values - top[row]).double().exp().nan_to_num(0.0)
    cumulative = torch.nn.functional.pad(weights.cumsum(0), (1, 0))
    last = count.cumsum(0)
    before, after = cumulative[last - count], cumulative[last]
    total = after - before
    level = before + uniform * total
    position = torch.searchsorted(cumulative, level, right=True) - 1
    position = torch.minimum(torch.maximum(position, last - count), last - 1)  # rounding must not leave the row
    action = (
        index[position.clamp(min=0, max=max(len(index) - 1, 0))] % n_actions if len(index) else torch.zeros_like(last)
    )
    return torch.where(total > 0, action, 0), total.log()


def _follow(
    guide: Guide, t: int, rows: Tensor | None, mask: Tensor, action: Tensor, generator: torch.Generator
) -> Tensor:
    """Replace actions, shape n, by the guide's actions if these exist and are allowed."""
    guided = guide.actions[t] if rows is None else guide.actions[t][rows]
    follows = (guided >= 0) & mask.gather(1, guided.clamp(min=0)[:, None])[:, 0]
    if guide.deviate is not None:
        deviate = guide.deviate if rows is None else guide.deviate[rows]
        follows &= torch.rand(len(action), generator=generator, device=action.device) >= deviate
    return torch.where(follows, guided, action)


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
    """Draw a history of each terminal state from the backward policy.

    If an object has several states, the trajectory may end in another state of the same object.

    Args:
        environment: the space.
        policy: the policy, on the device of the states; None: uniform.
        states: terminal states, shape n x state_size.
        generator: source of all randomness, on the device of the states.
        backward: the type of backward policy, if ``policy`` is not None.
        context: context of each state.
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
        choice, _ = _pick(logits, mask, 0.0, generator)
        before = environment.backward_step(current, choice)
        current = torch.where(is_alive[:, None], before, current)
        choices.append(torch.where(is_alive, choice, -1))
    return Trajectories(*environment.retrace(states, torch.stack(choices)))


def _backward_logits(
    environment: Environment,
    policy: Policy,
    states: Tensor,
    mask: Tensor,
    backward: Backward,
    context: Context | None,
) -> Tensor | None:
    """Return unnormalised log-probabilities of the backward actions, shape n x n_backward_actions; None: uniform."""
    if backward == "uniform" or environment.n_backward_actions == 1:
        return None
    if backward == "learned":
        return policy.backward_logits(states, context)
    n, choices = mask.shape
    candidates = torch.arange(choices, device=states.device).repeat(n)
    # the result of a forbidden step is meaningless, and the caller masks it
    parents = environment.backward_step(
        states.repeat_interleave(choices, 0), torch.where(mask.flatten(), candidates, 0)
    )
    return environment.log_paths(parents).view(n, choices).nan_to_num().float()
