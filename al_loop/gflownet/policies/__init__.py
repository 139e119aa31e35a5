"""Policy networks.

- ``base``: the interface, ``Policy``.
- one module for each policy, named by its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from al_loop.gflownet._discovery import find_part

if TYPE_CHECKING:
    from al_loop.environments.base import Environment
    from al_loop.gflownet.policies.base import Policy


def make_policy(
    environment: Environment, hidden: int = 128, layers: int = 2, n_conditions: int = 0, heads: int = 1
) -> Policy:
    """Return the default policy network of an environment, with fresh weights from torch's global generator.

    Args:
        environment: the space; its ``default_policy`` is the kind of a built-in policy or of an installed package's.
        hidden: width of a layer.
        layers: number of layers.
        n_conditions: number of conditions of the reward.
        heads: members of the ensemble of forward heads.

    Raises:
        ValueError: there is no policy of that kind.
    """
    from al_loop.gflownet.conditioned import Conditioned

    if isinstance(environment, Conditioned) and environment.environment.default_policy != "mlp":
        from al_loop.gflownet.policies._conditioned import ConditionedPolicy

        n_all = environment.conditions.shape[1] + n_conditions
        return ConditionedPolicy(environment, make_policy(environment.environment, hidden, layers, n_all, heads))
    try:
        factory = find_part(__name__, environment.default_policy)
    except ValueError:
        from al_loop.config.plugins import find  # also searches installed packages, but requires more than torch

        factory = find("policy", environment.default_policy)
    policy: Policy = factory(environment, hidden, layers, n_conditions, heads)
    return policy
