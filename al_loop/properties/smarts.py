"""Substructures by SMARTS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field

from al_loop.properties.base import MoleculeProperty


class Smarts(MoleculeProperty):
    """Number of matches of SMARTS patterns, such as unwanted groups (max: 0) or a scaffold to keep (min: 1).

    Args:
        patterns: SMARTS, e.g. ``["[N+](=O)[O-]", "C(=O)Cl"]``; the unique matches of all are added up.
    """

    kind = "smarts"
    scale: ClassVar[float] = 1.0
    span: ClassVar[tuple[float, float]] = (0.0, math.inf)

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

    def of_molecule(self, molecule: Any) -> float:
        return float(sum(len(molecule.GetSubstructMatches(query)) for query in self._queries))
