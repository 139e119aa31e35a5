"""Ease of synthesis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from al_loop.properties.base import Property


class SAScore(Property):
    """Synthetic accessibility score, 1 (easy to make) to 10 (hard) (Ertl & Schuffenhauer 2009)."""

    kind = "sa_score"
    object_type = "molecule"
    scale: ClassVar[float] = 1.0

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """SA scores of SMILES, by RDKit's contributed module: n."""
        from rdkit.Contrib.SA_Score import sascorer

        from al_loop.properties._molecules import per_molecule

        return per_molecule(objects, sascorer.calculateScore)
