"""Cached parsing of SMILES into RDKit molecules, and canonical SMILES. RDKit is imported on first use."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_MAX_ITERATIONS = 8


@lru_cache(maxsize=4096)
def read_smiles(smiles: str) -> Any:
    """Return the sanitised RDKit molecule, or None if RDKit cannot parse the SMILES; its messages are suppressed.

    Map numbers of atoms are dropped, except those of attachment points: they are no part of a molecule.

    The molecule is cached and shared, so it must not be modified. Each object of a draw passes through several
    properties and a fingerprint, and parsing takes a third of their time.
    """
    return parse_smiles(smiles)


def parse_smiles(smiles: str) -> Any:
    """Return what ``read_smiles`` does, a molecule of the caller's own, which may be modified."""
    with without_messages():
        return _parsed(smiles)


def _parsed(smiles: str) -> Any:
    """Return the molecule of a SMILES without the map numbers of its atoms; attachment points (dummies) keep theirs."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or ":" not in smiles:
        return molecule
    mapped = [atom for atom in molecule.GetAtoms() if atom.GetAtomMapNum() and atom.GetAtomicNum()]
    for atom in mapped:
        atom.SetAtomMapNum(0)
    # read again, since an atom in brackets has no implicit hydrogens
    return Chem.MolFromSmiles(Chem.MolToSmiles(molecule)) if mapped else molecule


def without_messages() -> Any:
    """Return a context manager that suppresses RDKit's messages, about texts that need not be SMILES."""
    from rdkit import rdBase

    return rdBase.BlockLogs()


def canonical_smiles(smiles: str) -> str | None:
    r"""Return the canonical SMILES of a molecule, or None if RDKit cannot parse it; RDKit's messages are suppressed.

    RDKit's canonical SMILES of a molecule may have another canonical SMILES (``[H]/N=C1\CCCCC1`` becomes
    ``[H]N=C1CCCCC1``, which becomes ``N=C1CCCCC1``), so it is read again until it does not change. Map numbers of atoms
    are dropped.
    """
    from rdkit import Chem

    spellings: list[str] = []
    with without_messages():
        for _ in range(_MAX_ITERATIONS):
            molecule = _parsed(smiles)
            if molecule is None or not molecule.GetNumAtoms():
                break
            smiles = str(Chem.MolToSmiles(molecule))
            if smiles in spellings:  # usually the last; a few molecules alternate between several
                return min(spellings[spellings.index(smiles) :])
            spellings.append(smiles)
    return spellings[-1] if spellings else None


def largest_part(smiles: str) -> str | None:
    """Return the canonical SMILES of the largest molecule of a salt or mixture, or None if RDKit cannot parse it.

    The largest has most heavy atoms; of several, it is the one that comes first in the alphabet.
    """
    name = canonical_smiles(smiles)
    if name is None or "." not in name:
        return name
    parts = sorted(name.split("."), key=lambda part: (-_n_heavy_atoms(part), part))
    return canonical_smiles(parts[0])


def _n_heavy_atoms(smiles: str) -> int:
    molecule = read_smiles(smiles)
    return 0 if molecule is None else int(molecule.GetNumHeavyAtoms())


def without_hydrogens(smiles: str) -> str | None:
    """Return the canonical SMILES without hydrogens that define the configuration of a double bond, as in ``[H]/N=C``.

    None if RDKit cannot parse it.
    """
    from rdkit import Chem

    molecule = read_smiles(smiles)
    if molecule is None:
        return None
    settings: Any = Chem.RemoveHsParameters()
    settings.removeDefiningBondStereo = True
    with without_messages():
        return canonical_smiles(Chem.MolToSmiles(Chem.RemoveHs(molecule, settings)))


def neutral_smiles(smiles: str) -> str | None:
    """Return the canonical SMILES of a molecule without the charges that protons can balance; None if it is none."""
    from rdkit import Chem
    from rdkit.Chem.MolStandardize import rdMolStandardize

    molecule = read_smiles(smiles)
    if molecule is None:
        return None
    with without_messages():
        neutral = rdMolStandardize.Uncharger().uncharge(molecule)  # a copy
    return canonical_smiles(Chem.MolToSmiles(neutral))
