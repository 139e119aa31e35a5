"""Policy networks, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from al_loop.environments.base import Environment
    from al_loop.gflownet.policies.base import Policy


def make_policy(environment: Environment, hidden: int = 128, layers: int = 2) -> Policy:
    """The policy network that suits an environment: on its tree of fragments, or on its flat features."""
    from al_loop.environments.fragments import Fragments

    if isinstance(environment, Fragments):
        from al_loop.gflownet.policies.fragments import FragmentPolicy

        return FragmentPolicy(environment, hidden, layers)
    from al_loop.gflownet.policies.mlp import MLPPolicy

    return MLPPolicy(environment, hidden, layers)
