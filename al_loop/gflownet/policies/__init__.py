"""Policy networks, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from al_loop.environments.base import Environment
    from al_loop.gflownet.policies.base import Policy


def make_policy(
    environment: Environment, hidden: int = 128, layers: int = 2, n_conditions: int = 0, heads: int = 1
) -> Policy:
    """The policy network that suits an environment: on its tree of fragments, or on its flat features."""
    from al_loop.environments.fragments import Fragments
    from al_loop.gflownet.policies.fragments import FragmentPolicy
    from al_loop.gflownet.policies.mlp import MLPPolicy

    suits = FragmentPolicy if isinstance(environment, Fragments) else MLPPolicy
    return suits(environment, hidden, layers, n_conditions, heads)  # type: ignore[arg-type]
