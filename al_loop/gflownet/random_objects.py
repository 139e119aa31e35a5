"""Random objects of an environment, as a campaign measures them first."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.rollout import rollout


def random_objects(environment: Environment, n: int, generator: torch.Generator) -> list[str]:
    """Return up to n random objects: of random actions, or drawn by the environment's untrained policy.

    Args:
        environment: the space.
        n: number of trajectories; those that do not end in a valid object have none.
        generator: source of all randomness.
    """
    objects = environment.decode(random_states(environment, n, generator))
    return [name for name in objects if environment.is_valid(name)] if environment.random_policy else objects


def random_states(environment: Environment, n: int, generator: torch.Generator) -> Tensor:
    """Return the terminal states of n random trajectories, shape n x state_size.

    Args:
        environment: the space.
        n: number of trajectories.
        generator: source of all randomness.
    """
    if not environment.random_policy:
        return rollout(environment, None, n, generator=generator).terminal
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of weights that have no effect
        policy = make_policy(environment)
    start = environment.sample_starts(n, 1, generator)
    return rollout(environment, policy, n, generator=generator, start=start).terminal


def drawn_objects(
    environment: Environment, policy: Policy, n: int, generator: torch.Generator, conditioning: Conditioning
) -> list[str]:
    """Return up to n objects that a policy draws, under random conditions.

    Args:
        environment: the space.
        policy: the policy, on the CPU.
        n: number of trajectories; those that do not end in a valid object have none.
        generator: source of all randomness, on the CPU.
        conditioning: the conditions of the policy.
    """
    values = conditioning.sample(n, generator) if conditioning.n_values else None
    context = None if values is None else Context(values)
    start = environment.sample_starts(n, 1, generator)
    drawn = rollout(environment, policy, n, generator=generator, context=context, start=start)
    return [name for name in environment.decode(drawn.terminal) if environment.is_valid(name)]
