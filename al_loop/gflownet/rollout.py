"""Roll-outs: trajectories drawn from a policy in whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.action_choice import GumbelNoise, masked_log_softmax, pick_actions
from al_loop.gflownet.backward_rollout import Backward, backward_rollout
from al_loop.gflownet.fixed_shapes import packs
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.reward import Diverged
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.unique_rows import unique_rows
from al_loop.system import stopping

#: with the names that this module used to define
__all__ = ["Backward", "Guide", "Trajectories", "backward_rollout", "masked_log_softmax", "packs", "rollout"]


@dataclass(frozen=True)
class Guide:
    """Actions that a roll-out follows if they are allowed.

    Args:
        actions: actions, shape T x n; -1: the policy decides.
        deviate: the probability that the policy decides a step anyway, shape n; None: 0.
    """

    actions: Tensor
    deviate: Tensor | None = None


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
        memory = policy.start_from(start) if policy is not None else None
        noise = GumbelNoise(generator)
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
                action, check = pick_actions(logits, mask, epsilon, generator, noise)
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
                raise Diverged(_NO_ACTION) from None
            raise
        if not _all_finite(checks):
            raise Diverged(_NO_ACTION)
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
    current = start
    states, actions, checks = [current], [], []
    memory = policy.start_from(start) if policy is not None else None
    for t in range(environment.max_steps):
        stopping.look()
        is_alive = ~environment.is_terminal(current)
        mask = environment.forward_mask(current) | ~is_alive[:, None]
        logits = None
        if policy is not None and epsilon < 1:
            logits = policy.next_logits(current, context, memory, None)
            if temperature != 1:
                logits = logits / temperature
        action, check = pick_actions(logits, mask, epsilon, generator)
        checks.append(check)
        if guide is not None and t < len(guide.actions):
            action = _follow(guide, t, None, mask, action, generator)
        after = environment.step(current, torch.where(is_alive, action, environment.n_actions - 1))
        current = torch.where(is_alive[:, None], after, current)
        states.append(current)
        actions.append(torch.where(is_alive, action, -1))
    if not _all_finite(checks):
        raise Diverged(_NO_ACTION)
    return Trajectories(torch.stack(states), torch.stack(actions))


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
