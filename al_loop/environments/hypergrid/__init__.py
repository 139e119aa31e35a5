"""Hypergrids with exact reward distributions."""

from al_loop.environments.hypergrid.hypergrid import Hypergrid

__all__ = ["Hypergrid"]
