"""The GuacaMol goal-directed benchmark tasks."""

from al_loop.oracles.guacamol.guacamol import GuacaMol

__all__ = ["GuacaMol"]
