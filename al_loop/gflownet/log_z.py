"""Log of the total flow, a parameter that is learned along with the policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.objectives.base import Objective
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.reward import StateReward, as_log_reward


class LogZ(nn.Module):
    """Log of the total flow: a level for each head, plus a change that depends on the conditions.

    Of conditions in the start states, the change is the policy's own flow at these states.

    Args:
        n_conditions: number of conditions of the reward.
        heads: members of the ensemble of forward heads.
        has_starts: whether there are conditions in the start states.
    """

    def __init__(self, n_conditions: int, heads: int, has_starts: bool = False) -> None:
        super().__init__()
        self.has_starts = has_starts
        self.level = nn.Parameter(torch.zeros(heads))
        self.change = (
            nn.Sequential(nn.Linear(n_conditions, 64), nn.LeakyReLU(), nn.Linear(64, 1)) if n_conditions else None
        )

    def forward(self, policy: Policy, start: Tensor, context: Context | None) -> Tensor:
        """Return log Z of n trajectories, shape n.

        Args:
            policy: the policy.
            start: the start states of the trajectories, shape n x state_size.
            context: context of each trajectory.

        Raises:
            ValueError: there are conditions in the start states, and the policy does not model flows.
        """
        head = context.head if context is not None else None
        level = self.level.mean().expand(len(start)) if head is None else self.level[head]
        if self.change is not None and context is not None:
            level = level + self.change(context.values)[:, 0]
        if self.has_starts:
            flow = policy.log_flow(start, context)
            if flow is None:
                raise ValueError(
                    f"policy: {type(policy).__name__} does not model flows, from which log Z of each condition is "
                    "read; implement its log_flow, or use objective: log_partition_variance"
                )
            level = level + flow
        return level


@torch.no_grad()
def total_flow(
    environment: Environment,
    objective: Objective,
    log_z: LogZ,
    policy: Policy,
    start: Tensor,
    values: Tensor | None,
    conditioning: Conditioning,
    log_reward: StateReward | None,
) -> Tensor:
    """Return the log of the total flow under conditions, as an objective learns it, shape n.

    Args:
        environment: the space.
        objective: the objective.
        log_z: the parameter.
        policy: the trained policy.
        start: initial states, shape n x state_size.
        values: temperatures and preferences, shape n x n_values; None: there are none.
        conditioning: the effect of these values on the reward.
        log_reward: the reward, if it is one of states.

    Raises:
        ValueError: the reward depends on values that are not given, or the objective learns no flow of a condition.
    """
    n_values = conditioning.n_values
    if n_values and (values is None or values.shape != (len(start), n_values)):
        got = "none" if values is None else f"the shape {tuple(values.shape)}"
        raise ValueError(f"values: expected {len(start)} x {n_values}, as from Conditioning.fixed, got {got}")
    context = Context(values) if n_values else None
    if not objective.uses_edges and not objective.uses_stops:
        if not objective.uses_log_z and (n_values or environment.condition_size):
            name = type(objective).__name__
            raise ValueError(f"{name} learns no log Z of a condition; estimate it by evidence_bounds")
        return log_z(policy, start, context)  # type: ignore[no-any-return]
    mask = environment.forward_mask(start)
    logits = policy.forward_logits(start, context).masked_fill(~mask, -torch.inf)
    if objective.uses_edges:
        return logits.logsumexp(1)
    if log_reward is None:
        return log_z(policy, start, context)  # type: ignore[no-any-return]
    stop = torch.full((len(start),), environment.n_actions - 1, device=start.device)
    reward = as_log_reward(log_reward.function(environment.step(start, stop)), len(start))
    reward = conditioning.apply(reward, values if values is not None else reward.new_zeros(len(start), 0))
    flow = reward - logits.log_softmax(1)[:, -1]
    return torch.where(mask[:, -1], flow, log_z(policy, start, context))
