"""SMILES as RDKit molecules, for features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from al_loop.smiles import read_smiles
from al_loop.system import stopping


def parse_all(objects: Sequence[str]) -> Iterator[Any]:
    """Yield the RDKit molecule of each SMILES. The molecules are shared and must not be modified.

    Raises:
        ValueError: RDKit cannot read a SMILES.
    """
    for smiles in objects:
        stopping.look()
        molecule = read_smiles(smiles)
        if molecule is None:
            raise ValueError(f"RDKit cannot read the SMILES {smiles!r}; molecules must be valid SMILES")
        yield molecule
