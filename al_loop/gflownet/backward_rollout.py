"""Histories of objects, drawn backwards from the backward policy in whole batches."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.action_choice import pick_actions
from al_loop.gflownet.fixed_shapes import packs
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.trajectories import Trajectories

#: the backward policy: a network, or one of two formulas
Backward = Literal["learned", "uniform", "maximum_entropy"]


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
    only = environment.histories(states)
    if only is not None:
        return Trajectories(*only)
    current, choices = states, []
    is_packed = packs(states.device)
    for _ in range(environment.max_steps):
        mask = environment.backward_mask(current)
        is_alive = mask.any(1)
        if is_packed and not bool(is_alive.any()):
            break
        mask = mask | ~is_alive[:, None]
        logits = None if policy is None else _backward_logits(environment, policy, current, mask, backward, context)
        choice, _ = pick_actions(logits, mask, 0.0, generator)
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
