"""The hypergrid, a test bed with exact reward distributions.

- ``hypergrid``: the environment, ``Hypergrid``.
- ``rewards``: its usual log-rewards.
"""

from al_loop.environments.hypergrid.hypergrid import Hypergrid

__all__ = ["Hypergrid"]
