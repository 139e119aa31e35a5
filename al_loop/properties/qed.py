"""Drug-likeness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from al_loop.properties.base import Property


class QED(Property):
    """Quantitative estimate of drug-likeness, 0 to 1, larger is more drug-like (Bickerton et al. 2012)."""

    kind = "qed"
    object_type = "molecule"
    scale: ClassVar[float] = 0.2

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """QED of SMILES, by RDKit's weights: n."""
        from rdkit.Chem import QED as rdkit_qed  # noqa: N811

        from al_loop.properties._molecules import per_molecule

        return per_molecule(objects, rdkit_qed.qed)
