"""The goal-directed tasks of the GuacaMol and PMO benchmarks.

Modules:
    guacamol: the oracle.
    tasks: the definitions of the tasks.
"""

from al_loop.oracles.guacamol.guacamol import GuacaMol

__all__ = ["GuacaMol"]
