"""Substructures by SMARTS."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_loop.properties.base import Property


class Smarts(Property):
    """How often substructures occur, by SMARTS patterns: unwanted groups (max: 0), or a scaffold to keep (min: 1).

    Args:
        patterns: SMARTS, e.g. ``["[N+](=O)[O-]", "C(=O)Cl"]``; matches of all are added up.
    """

    kind = "smarts"
    object_type = "molecule"
    scale: ClassVar[float] = 1.0

    def __init__(self, patterns: Annotated[Sequence[str], Field(min_length=1)]) -> None:
        self.patterns = tuple(patterns)
        if not self.patterns:
            raise ValueError("property.patterns: give at least one SMARTS pattern")
        _ = self._queries

    @cached_property
    def _queries(self) -> list[Any]:
        from rdkit import Chem, rdBase

        with rdBase.BlockLogs():
            queries = [Chem.MolFromSmarts(pattern) if pattern else None for pattern in self.patterns]
        for pattern, query in zip(self.patterns, queries, strict=True):
            if query is None:
                raise ValueError(f"property.patterns: {pattern!r} is not a SMARTS pattern")
        return queries

    def __getstate__(self) -> dict[str, object]:
        return {"patterns": self.patterns}

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """How many (unique) matches each SMILES has: n."""
        from al_loop.properties._molecules import per_molecule

        return per_molecule(objects, lambda m: sum(len(m.GetSubstructMatches(query)) for query in self._queries))
