"""Molecular weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from al_loop.properties.base import Property


class MolWeight(Property):
    """Average molecular weight in g/mol; drugs taken by mouth are mostly below 500 (Lipinski et al. 1997)."""

    kind = "mol_weight"
    object_type = "molecule"
    scale: ClassVar[float] = 50.0

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """Molecular weights of SMILES in g/mol: n."""
        from rdkit.Chem.rdMolDescriptors import _CalcMolWt as average_weight

        from al_loop.properties._molecules import per_molecule

        return per_molecule(objects, average_weight)
