"""SMILES -> RDKit molecules, read once. RDKit is loaded with the first molecule."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=4096)
def read_smiles(smiles: str) -> Any:
    """The sanitised RDKit molecule (not to be changed: it is shared), or None where RDKit cannot read the SMILES.

    A sampler's draw goes through several properties and a fingerprint in a row; reading it is a third of their time.
    """
    from rdkit import Chem

    return Chem.MolFromSmiles(smiles)


def canonical_smiles(smiles: str) -> str | None:
    """The canonical SMILES of a molecule, None where RDKit cannot read it. It does not print what is wrong."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    return None if molecule is None or not molecule.GetNumAtoms() else str(Chem.MolToSmiles(molecule))
