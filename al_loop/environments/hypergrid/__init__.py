"""The hypergrid, a test bed with exact reward distributions.

- ``hypergrid``: the environment, ``Hypergrid``.
- ``rewards``: its standard log-rewards.
"""

from al_loop.environments.hypergrid.hypergrid import Hypergrid

__all__ = ["Hypergrid"]
