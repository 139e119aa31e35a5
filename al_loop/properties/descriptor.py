"""Any of RDKit's descriptors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_loop.properties.base import Property


class Descriptor(Property):
    """One of RDKit's descriptors by its name there: TPSA, NumHDonors, NumRotatableBonds, RingCount, FractionCSP3, ...

    Args:
        name: as in ``rdkit.Chem.Descriptors``.
        scale: how far outside of the bounds counts as badly violated, in the descriptor's unit.
    """

    kind = "descriptor"
    object_type = "molecule"

    def __init__(self, name: str, scale: float = 1.0) -> None:
        self.name = name
        self.scale = scale  # type: ignore[misc]
        if not scale > 0:
            raise ValueError(f"property.scale: {scale} must be above 0")
        _ = self._function

    @cached_property
    def _function(self) -> Any:
        from rdkit.Chem import Descriptors

        known = dict(Descriptors._descList)
        if self.name not in known:
            from difflib import get_close_matches

            near = get_close_matches(self.name, known, n=3, cutoff=0.4)
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise ValueError(f"property.name: {self.name!r} is not a descriptor of rdkit.Chem.Descriptors{hint}")
        return known[self.name]

    def __getstate__(self) -> dict[str, object]:
        return {"name": self.name, "scale": self.scale}

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """The descriptor of each SMILES: n, NaN also where it has none (some divide by the number of atoms)."""
        from al_loop.properties._molecules import per_molecule

        return per_molecule(objects, self._of)

    def _of(self, molecule: Any) -> float:
        try:
            return float(self._function(molecule))
        except (ArithmeticError, RuntimeError, TypeError, ValueError):
            return math.nan
