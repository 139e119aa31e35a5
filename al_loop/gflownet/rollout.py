"""Trajectories, drawn in whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.policies.base import Policy


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

    @staticmethod
    def join(parts: Sequence[Trajectories]) -> Trajectories:
        """All trajectories of several batches, padded to one length."""
        steps = max(p.actions.shape[0] for p in parts)
        states, actions = [], []
        for part in parts:
            missing = steps - part.actions.shape[0]
            states.append(torch.cat([part.states, part.states[-1:].expand(missing, -1, -1)]))
            actions.append(torch.nn.functional.pad(part.actions, (0, 0, 0, missing), value=-1))
        return Trajectories(torch.cat(states, 1), torch.cat(actions, 1))


def masked_log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities over the allowed actions, -inf for the others: n x n_actions."""
    return logits.masked_fill(~mask, -torch.inf).log_softmax(-1)


@torch.no_grad()
def rollout(
    environment: Environment,
    policy: Policy | None,
    n: int,
    *,
    generator: torch.Generator,
    epsilon: float = 0.0,
    device: torch.device | str = "cpu",
) -> Trajectories:
    """Draws n trajectories from the policy mixed with a share epsilon of uniform actions; policy None: uniform.

    Raises:
        ValueError: n is not positive, or a state that is not terminal allows no action.
    """
    if n < 1:
        raise ValueError(f"a roll-out needs at least one trajectory, not {n}")
    current = environment.initial(n, device)
    states, actions = [current], []
    for _ in range(environment.max_steps):
        mask = environment.forward_mask(current)
        is_over = environment.is_terminal(current)
        uniform = mask / mask.sum(-1, keepdim=True).clamp(min=1)
        probabilities = uniform
        if policy is not None and epsilon < 1:
            # finished rows have no allowed action; any distribution does for them, as their action is thrown away
            logits = policy.forward_logits(current).masked_fill(~mask & ~is_over[:, None], -torch.inf)
            probabilities = (1 - epsilon) * logits.softmax(-1) + epsilon * uniform
        probabilities = torch.where(is_over[:, None], 1.0 / mask.shape[1], probabilities)
        if device == "cpu" and not torch.isfinite(probabilities).all():
            raise ValueError("a state that is not terminal allows no action, or the policy's logits are not finite")
        action = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        moved = environment.step(current, torch.where(is_over, environment.n_actions - 1, action))
        current = torch.where(is_over[:, None], current, moved)
        states.append(current)
        actions.append(torch.where(is_over, -1, action))
    trajectories = Trajectories(torch.stack(states), torch.stack(actions))
    if not bool(environment.is_terminal(current).all()):
        raise ValueError("a trajectory did not end: a state allows no action, or max_steps is too small")
    longest = int((trajectories.actions >= 0).any(1).sum())
    return Trajectories(trajectories.states[: longest + 1], trajectories.actions[:longest])


def log_probabilities(environment: Environment, policy: Policy, trajectories: Trajectories) -> tuple[Tensor, Tensor]:
    """Log P_F and log P_B of each trajectory, with gradients: n and n."""
    n_steps, n = trajectories.actions.shape
    is_step = (trajectories.actions >= 0).flatten()
    before = trajectories.states[:-1].flatten(0, 1)[is_step]
    after = trajectories.states[1:].flatten(0, 1)[is_step]
    actions = trajectories.actions.flatten()[is_step]
    backward = environment.backward_action(before, actions)
    log_pf = masked_log_softmax(policy.forward_logits(before), environment.forward_mask(before))
    log_pf = log_pf.gather(1, actions[:, None])[:, 0]
    log_pb = masked_log_softmax(policy.backward_logits(after), environment.backward_mask(after))
    log_pb = log_pb.gather(1, backward[:, None])[:, 0]
    owner = torch.arange(n, device=actions.device).repeat(n_steps)[is_step]
    zero = torch.zeros(n, device=actions.device)
    return zero.index_add(0, owner, log_pf), zero.index_add(0, owner, log_pb)
