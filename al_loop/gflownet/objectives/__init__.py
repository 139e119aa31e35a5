"""Training objectives, one file each."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from al_loop.gflownet.objectives.base import Objective


def make_objective(kind: str) -> Objective:
    """The objective of a name, with its default settings.

    Raises:
        ValueError: there is none, with the names there are.
    """
    known = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", "base"))
    if kind not in known:
        raise ValueError(f"objective: {kind!r} is none of {', '.join(known)}")
    module = importlib.import_module(f"{__name__}.{kind}")
    (found,) = (c for c in vars(module).values() if isinstance(c, type) and vars(c).get("kind") == kind)
    objective: Objective = found()
    return objective
