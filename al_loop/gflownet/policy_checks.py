"""A check that a policy suits an environment and the settings of its training."""

from __future__ import annotations

import copy

import torch

from al_loop.environments.base import Environment
from al_loop.errors import counted
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.settings import TrainingSettings

_SIZES = ("state_size", "n_actions", "n_backward_actions", "n_features")


def check_policy(policy: Policy, environment: Environment, training: TrainingSettings) -> None:
    """Raise an error if a policy contradicts the environment or the settings.

    Args:
        policy: the policy.
        environment: the space in which it is to act.
        training: the settings.

    Raises:
        ValueError: it was made for a space of another size, has another number of heads, or does not use the conditions
            of the reward.
    """
    name = f"policy: {type(policy).__name__}"
    space = policy.made_for
    for size in _SIZES:
        if space is not None and getattr(space, size) != getattr(environment, size):
            raise ValueError(
                f"{name} was made for another environment, {space.name}, with {size} {getattr(space, size)} in place "
                f"of {getattr(environment, size)}; make it for this one"
            )
    if policy.heads != training.heads:
        raise ValueError(
            f"{name} has {counted(policy.heads, 'head')}, and the setting heads is {training.heads}; make it with "
            f"heads={training.heads}, or set heads to {policy.heads}"
        )
    if training.conditioning.n_values:
        _check_conditions(policy, environment, training)


def _check_conditions(policy: Policy, environment: Environment, training: TrainingSettings) -> None:
    """Raise an error if the logits do not depend on the conditions of the reward."""
    policy = copy.deepcopy(policy)  # since a pass may count batches, as layers of batch normalisation do
    device = next(policy.parameters()).device
    n = training.conditioning.n_values
    conditions = counted(n, "condition")
    remedy = f"make it with n_conditions={n}, one for each temperature or preference of the settings' conditioning"
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        values = training.conditioning.sample(2, torch.Generator(device).manual_seed(0)).requires_grad_()
        head = torch.zeros(2, dtype=torch.int64, device=device) if training.heads > 1 else None
        try:
            logits = policy.forward_logits(environment.initial(2, device), Context(values, head))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"policy: {type(policy).__name__} cannot read {conditions} ({reason}); {remedy}") from None
        changes = not torch.equal(logits[0], logits[1])  # by numbers without a gradient
        if not changes and logits.requires_grad:  # weights of the conditions that are 0 at first have a gradient
            (gradient,) = torch.autograd.grad(logits.sum(), values, allow_unused=True)
            changes = gradient is not None
    if not changes:
        raise ValueError(f"policy: {type(policy).__name__} does not use the {conditions} of the reward; {remedy}")
