"""Discovery of the engine's built-in parts by kind, without the packages that configs require."""

from __future__ import annotations

import importlib
from functools import lru_cache
from pathlib import Path

from al_loop.errors import not_one_of


@lru_cache(maxsize=64)
def find_part(package: str, kind: str) -> type:
    """Return the class with ``kind = "<kind>"`` in the module ``<kind>`` of a package.

    Args:
        package: the room, e.g. ``al_loop.gflownet.objectives``.
        kind: the name of a part.

    Raises:
        ValueError: there is no such part; the message lists the available ones.
    """
    file = importlib.import_module(package).__file__
    assert file is not None
    kinds = sorted(p.stem for p in Path(file).parent.glob("*.py") if p.stem != "base" and not p.stem.startswith("_"))
    if kind not in kinds:
        raise ValueError(f"{not_one_of(kind, kinds)}")
    module = importlib.import_module(f"{package}.{kind}")
    classes = [c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__]
    (part,) = (c for c in classes if vars(c).get("kind") == kind)  # a policy may import an environment of its name
    return part
