"""Lipophilicity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from al_loop.properties.base import Property


class LogP(Property):
    """Estimated logP, octanol over water (Wildman & Crippen 1999)."""

    kind = "logp"
    object_type = "molecule"
    scale: ClassVar[float] = 1.0

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """Crippen logP of SMILES: n."""
        from rdkit.Chem.rdMolDescriptors import CalcCrippenDescriptors

        from al_loop.properties._molecules import per_molecule

        return per_molecule(objects, lambda molecule: CalcCrippenDescriptors(molecule)[0])
