"""Other charge states of a molecule, in which a space may have it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from typing import Any

from al_loop.smiles import canonical_smiles, neutral_smiles, read_smiles, without_messages

NEUTRALISED = "charged, counted as the neutral molecule"
IONISED = "neutral, counted as the ion that is in the space"

#: SMARTS of atoms that lose a proton: acids of C, S and P, tetrazoles, acyl sulfonamides
_ACIDS = ("[OX2H1][CX3]=[O,S]", "[OX2H1][SX4,PX4]=O", "[nH]1nnnc1", "[nH]1nncn1", "[NX3H1](S(=O)=O)C=O")
#: SMARTS of atoms that take up a proton: amines, all of whose neighbours are saturated carbons
_BASES = ("[NX3+0;!$(N~[!#6]);!$(N~[#6;!X4])]",)
_MAX_BASES = 4  # each of which is protonated alone, too


def charge_states(smiles: str) -> Iterator[tuple[str, str]]:
    """Yield other charge states of a molecule as canonical SMILES, each with what was changed.

    First the neutral molecule, then its ions: acids without their protons, amines with one, and both.

    Args:
        smiles: a canonical SMILES.
    """
    neutral = neutral_smiles(smiles)
    if neutral is None:
        return
    seen = {smiles}
    if neutral not in seen:
        seen.add(neutral)
        yield neutral, NEUTRALISED
    for ion in _ions(neutral):
        if ion not in seen:
            seen.add(ion)
            yield ion, IONISED if neutral == smiles else "counted in another charge state, which is in the space"


def _ions(smiles: str) -> Iterator[str]:
    molecule = read_smiles(smiles)
    acids, bases = (_matches(molecule, patterns) for patterns in (_ACIDS, _BASES))
    single: list[tuple[int, ...]] = [(atom,) for atom in bases] if 1 < len(bases) <= _MAX_BASES else []
    for protonated, lost in itertools.product(((), *single, bases), dict.fromkeys((acids, ()))):
        if (ion := _ion(molecule, lost, protonated)) is not None:
            yield ion


def _matches(molecule: Any, patterns: tuple[str, ...]) -> tuple[int, ...]:
    found = (match[0] for text in patterns for match in molecule.GetSubstructMatches(_pattern(text)))
    return tuple(dict.fromkeys(found))


@cache
def _pattern(text: str) -> Any:
    from rdkit import Chem

    return Chem.MolFromSmarts(text)


def _ion(molecule: Any, lost: tuple[int, ...], protonated: tuple[int, ...]) -> str | None:
    """Return a molecule with a proton less at some atoms, and one more at others."""
    from rdkit import Chem

    ion = Chem.RWMol(molecule)
    for atoms, charge in ((lost, -1), (protonated, 1)):
        for index in atoms:
            atom = ion.GetAtomWithIdx(index)
            atom.SetNumExplicitHs(atom.GetTotalNumHs() + charge)
            atom.SetNoImplicit(True)
            atom.SetFormalCharge(charge)
    with without_messages():
        try:
            Chem.SanitizeMol(ion)
        except ValueError:  # RDKit's errors: the ion is no molecule
            return None
    return canonical_smiles(Chem.MolToSmiles(ion))
