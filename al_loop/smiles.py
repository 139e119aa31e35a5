"""Cached parsing of SMILES into RDKit molecules. RDKit is imported on first use."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=4096)
def read_smiles(smiles: str) -> Any:
    """Return the sanitised RDKit molecule, or None if RDKit cannot parse the SMILES.

    The molecule is cached and shared, so it must not be modified. Each object of a draw passes through several
    properties and a fingerprint, and parsing takes a third of their time.
    """
    from rdkit import Chem

    return Chem.MolFromSmiles(smiles)


def canonical_smiles(smiles: str) -> str | None:
    """Return the canonical SMILES of a molecule, or None if RDKit cannot parse it; RDKit's messages are suppressed."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    return None if molecule is None or not molecule.GetNumAtoms() else str(Chem.MolToSmiles(molecule))
