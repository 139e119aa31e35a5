"""What the properties of molecules share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_loop.smiles import read_smiles


def per_molecule(objects: Sequence[str], of: Callable[[Any], float]) -> NDArray[np.float64]:
    """A number of each SMILES' RDKit molecule: n, NaN where RDKit cannot read the SMILES."""
    molecules = map(read_smiles, objects)
    return np.array([np.nan if molecule is None else of(molecule) for molecule in molecules], dtype=np.float64)
