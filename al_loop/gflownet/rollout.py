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
        rows = (~environment.is_terminal(current)).nonzero()[:, 0]
        if not len(rows):
            break
        before = current[rows]
        mask = environment.forward_mask(before)
        weights = mask.float()
        if policy is not None and epsilon < 1:
            logits = policy.forward_logits(before).masked_fill(~mask, -torch.inf)
            greedy = logits.softmax(-1)
            if epsilon > 0:
                explores = torch.rand(len(rows), generator=generator, device=device) < epsilon
                weights = torch.where(explores[:, None], weights, greedy)
            else:
                weights = greedy
        picked = _draw(weights, generator)
        current = current.index_copy(0, rows, environment.step(before, picked))
        states.append(current)
        actions.append(torch.full((n,), -1, device=device).index_copy(0, rows, picked))
    if not bool(environment.is_terminal(current).all()):
        raise ValueError("a trajectory did not end: max_steps of the environment is too small")
    return Trajectories(torch.stack(states), torch.stack(actions))


def _draw(weights: Tensor, generator: torch.Generator) -> Tensor:
    """One action per row with probability proportional to its weight: n x n_actions -> n.

    By inversion of the cumulative sum, which costs a tenth of ``torch.multinomial`` where there are many actions; in
    double precision, so that thousands of actions add up.
    """
    cumulative = weights.cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:]
    if not bool((torch.isfinite(total) & (total > 0)).all()):
        raise ValueError("a state that is not terminal allows no action, or the policy's logits are not finite")
    uniform = torch.rand(total.shape, generator=generator, device=weights.device, dtype=torch.float64)
    # rounding must not reach the total itself: no action is behind it
    level = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, level, right=True)[:, 0]


def log_probabilities(environment: Environment, policy: Policy, trajectories: Trajectories) -> tuple[Tensor, Tensor]:
    """Log P_F and log P_B of each trajectory, with gradients: n and n."""
    n_steps, n = trajectories.actions.shape
    is_step = (trajectories.actions >= 0).flatten()
    before = trajectories.states[:-1].flatten(0, 1)[is_step]
    after = trajectories.states[1:].flatten(0, 1)[is_step]
    actions = trajectories.actions.flatten()[is_step]
    backward = environment.backward_action(before, actions)
    log_pf = policy.forward_log_prob(before, environment.forward_mask(before), actions)
    log_pb = masked_log_softmax(policy.backward_logits(after), environment.backward_mask(after))
    log_pb = log_pb.gather(1, backward[:, None])[:, 0]
    owner = torch.arange(n, device=actions.device).repeat(n_steps)[is_step]
    zero = torch.zeros(n, dtype=log_pf.dtype, device=actions.device)
    return zero.index_add(0, owner, log_pf), zero.index_add(0, owner, log_pb)
