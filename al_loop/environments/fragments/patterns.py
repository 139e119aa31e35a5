"""Molecules cut into patterns: blocks with numbered attachment points. Requires RDKit.

A molecule is cut at every acyclic single bond that touches a ring, and at every one between a saturated acyclic carbon
and an unsaturated carbon, N, O, P or S. Whether a bond is cut depends on its two atoms alone (their element, their ring
membership, their multiple bonds), none of which a cut changes. Every molecule can therefore be cut in exactly one way,
and joining patterns by the same rule never forms a bond that would not be cut again: one molecule, one tree.

A pattern keeps its attachment points as dummy atoms, so that stereocentres and double bonds at the cuts keep their
configuration, which is then part of what the block is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rdkit import Chem

from al_loop.smiles import parse_smiles

#: elements of the molecules that can be cut
ELEMENTS = {5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53}
#: most attachment points of a block
MAX_SITES = 5
_HETERO = {7, 8, 15, 16}


@dataclass(frozen=True)
class Piece:
    """A piece of a molecule.

    Args:
        pattern: canonical SMILES with an attachment point ``[1*]``, ``[2*]``, ... in place of each cut bond.
        bonds: number of the cut bond at each attachment point, in their order.
    """

    pattern: str
    bonds: tuple[int, ...]


@dataclass(frozen=True)
class CutMolecule:
    """A molecule in pieces.

    Args:
        pieces: the pieces.
        classes: classes of the two atoms of each cut bond, in alphabetical order.
    """

    pieces: list[Piece]
    classes: list[tuple[str, str]]


def site_class(atom: Any) -> str:
    """Return what decides which blocks may be bonded to an atom, such as ``aromatic C`` or ``N+``."""
    charge = atom.GetFormalCharge()
    sign = "" if not charge else ("+" if charge > 0 else "-") * abs(charge)
    name = f"{atom.GetSymbol()}{sign}"
    if atom.GetIsAromatic():
        return f"aromatic {name}"
    name = f"unsaturated {name}" if _is_unsaturated(atom) else name
    return f"ring {name}" if atom.IsInRing() else name


def _is_unsaturated(atom: Any) -> bool:
    return any(bond.GetBondType() != Chem.BondType.SINGLE for bond in atom.GetBonds())


def is_cut(bond: Any) -> bool:
    """Return whether the rule cuts a bond."""
    if bond.GetBondType() != Chem.BondType.SINGLE or bond.IsInRing():
        return False
    ends = bond.GetBeginAtom(), bond.GetEndAtom()
    if any(atom.IsInRing() for atom in ends):
        return True
    return any(
        atom.GetAtomicNum() == 6
        and not _is_unsaturated(atom)
        and (other.GetAtomicNum() in _HETERO or (other.GetAtomicNum() == 6 and _is_unsaturated(other)))
        for atom, other in (ends, ends[::-1])
    )


def unusable(mol: Any) -> str:
    """Return why a molecule cannot be cut, or an empty text."""
    for atom in mol.GetAtoms():
        if atom.GetIsotope() and atom.GetAtomicNum():
            return "an isotope"
        if atom.GetAtomicNum() == 1:
            return "a hydrogen that defines a configuration" if atom.GetDegree() else "the element H"
        if atom.GetAtomicNum() not in ELEMENTS:
            return f"the element {atom.GetSymbol()}"
        if atom.GetNumRadicalElectrons():
            return "an unpaired electron"
    return ""


def cut(mol: Any) -> CutMolecule:
    """Cut a sanitised RDKit molecule, of one component and without isotopes, into its pieces."""
    return cut_at(mol, [bond for bond in mol.GetBonds() if is_cut(bond)])


def cut_at(mol: Any, bonds: Sequence[Any]) -> CutMolecule:
    """Cut a molecule at some of its bonds, all of them single and acyclic, into its pieces.

    Args:
        mol: a sanitised RDKit molecule, of one component and without isotopes.
        bonds: the bonds.
    """
    classes = []
    for bond in bonds:
        first, second = sorted((site_class(bond.GetBeginAtom()), site_class(bond.GetEndAtom())))
        classes.append((first, second))
    if not bonds:
        return CutMolecule([Piece(Chem.MolToSmiles(mol), ())], [])
    labels = [(k + 1, k + 1) for k in range(len(bonds))]
    broken = Chem.FragmentOnBonds(mol, [bond.GetIdx() for bond in bonds], dummyLabels=labels)
    return CutMolecule([_piece(part) for part in Chem.GetMolFrags(broken, asMols=True, sanitizeFrags=False)], classes)


def _piece(part: Any) -> Piece:
    dummies = sorted((atom for atom in part.GetAtoms() if not atom.GetAtomicNum()), key=lambda atom: atom.GetIsotope())
    bonds = tuple(atom.GetIsotope() - 1 for atom in dummies)
    for number, atom in enumerate(dummies, start=1):
        atom.SetIsotope(number)
    pattern, order = canonical_pattern(Chem.MolToSmiles(part))
    return Piece(pattern, tuple(bonds[i] for i in order))


@lru_cache(maxsize=200_000)
def canonical_pattern(smiles: str) -> tuple[str, tuple[int, ...]]:
    """Return the canonical form of a pattern and the order of its attachment points in it.

    Args:
        smiles: a pattern with attachment points ``[1*]`` ... ``[k*]``.

    Returns:
        The pattern, whose i-th attachment point is the ``order[i]``-th (from 0) of the given one, and this order. A
        pattern with too many attachment points is returned as it is.
    """
    writings = _writings(smiles)
    best = min(writings)
    return best, writings[best][0]


def symmetries(pattern: str) -> list[list[int]]:
    """Return the permutations of the attachment points that leave a canonical pattern, stereo included, unchanged."""
    return sorted(list(order) for order in _writings(pattern)[pattern])


def _writings(smiles: str) -> dict[str, list[tuple[int, ...]]]:
    """Return each way to number the attachment points: the text, and the orders that lead to it."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return {smiles: [tuple(range(smiles.count("*")))]}
    dummies = sorted((atom for atom in mol.GetAtoms() if not atom.GetAtomicNum()), key=lambda atom: atom.GetIsotope())
    if len(dummies) > MAX_SITES:
        return {smiles: [tuple(range(len(dummies)))]}
    texts: dict[str, list[tuple[int, ...]]] = {}
    for order in itertools.permutations(range(len(dummies))):
        for number, i in enumerate(order, start=1):
            dummies[i].SetIsotope(number)
        texts.setdefault(Chem.MolToSmiles(mol), []).append(order)
    return texts


def parent_of(mol: Any) -> tuple[Any, bool]:
    """Return the component of a molecule with the most heavy atoms, and whether there were others (salts, solvents)."""
    parts = Chem.GetMolFrags(mol, asMols=True)
    if len(parts) < 2:
        return mol, False
    return max(parts, key=lambda part: part.GetNumHeavyAtoms()), True


def read_parent(smiles: str, on_salt: Callable[[], None] | None = None) -> Any:
    """Return the RDKit molecule of a SMILES without salts, or None if it cannot be read.

    Args:
        smiles: the molecule.
        on_salt: called if other components were stripped.
    """
    mol = parse_smiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        return None
    mol, is_stripped = parent_of(mol)
    if is_stripped and on_salt is not None:
        on_salt()
    return mol
