"""Molecular weight."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from al_loop.properties.base import MoleculeProperty

if TYPE_CHECKING:
    from torch import Tensor

    from al_loop.features.molecules.graphs import MolecularGraphs


class MolWeight(MoleculeProperty):
    """Average molecular weight in g/mol; drugs taken by mouth are mostly below 500 (Lipinski et al. 1997)."""

    kind = "mol_weight"
    scale: ClassVar[float] = 50.0
    span: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def of_molecule(self, molecule: Any) -> float:
        from rdkit.Chem.Descriptors import MolWt  # type: ignore[attr-defined]  # RDKit defines it at run time

        return float(MolWt(molecule))

    def of_graphs(self, graphs: MolecularGraphs) -> Tensor:
        from al_loop.features.molecules.descriptors import descriptor

        return descriptor(graphs, "MolWt")
