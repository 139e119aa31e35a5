"""Training objectives: losses of trajectories that are zero at an exact solution.

- ``base``: the interface, ``Objective``, and the terms that it receives.
- one module for each objective, named by its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from al_loop.gflownet._discovery import find_part

if TYPE_CHECKING:
    from al_loop.gflownet.objectives.base import Objective


def make_objective(kind: str) -> Objective:
    """Return a built-in objective with its default settings.

    Raises:
        ValueError: there is no objective of that kind; the message lists the available ones.
    """
    try:
        factory = find_part(__name__, kind)
    except ValueError as error:
        raise ValueError(f"objective: {error}") from None
    objective: Objective = factory()
    return objective
