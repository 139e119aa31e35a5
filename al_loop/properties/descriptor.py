"""Any of RDKit's descriptors."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

from al_loop.properties.base import MoleculeProperty

if TYPE_CHECKING:
    from torch import Tensor

    from al_loop.features.molecules.graphs import MolecularGraphs


class Descriptor(MoleculeProperty):
    """An RDKit descriptor by name: TPSA, NumHDonors, NumRotatableBonds, RingCount, FractionCSP3, ...

    Args:
        name: as in ``rdkit.Chem.Descriptors``.
        scale: distance from the bounds that counts as badly violated, in the descriptor's unit.
    """

    kind = "descriptor"

    def __init__(self, name: str, scale: float = 1.0) -> None:
        self.name = name
        self.scale = scale  # type: ignore[misc]
        if not scale > 0:
            raise ValueError(f"property.scale: {scale} must be above 0")
        _ = self._function

    @cached_property
    def _function(self) -> Any:
        from rdkit.Chem import Descriptors

        functions = dict(Descriptors.descList)
        if self.name not in functions:
            from difflib import get_close_matches

            near = get_close_matches(self.name, functions, n=3, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"property.name: {self.name!r} is not a descriptor of rdkit.Chem.Descriptors{hint}")
        return functions[self.name]

    def __getstate__(self) -> dict[str, object]:
        return {"name": self.name, "scale": self.scale}

    def of_molecule(self, molecule: Any) -> float:
        """Return the descriptor; NaN where it is undefined (some divide by the number of atoms)."""
        try:
            return float(self._function(molecule))
        except (ArithmeticError, RuntimeError, TypeError, ValueError):
            return math.nan

    def of_graphs(self, graphs: MolecularGraphs) -> Tensor | None:
        from al_loop.features.molecules.descriptors import NAMES, descriptor

        return descriptor(graphs, self.name) if self.name in NAMES else None
