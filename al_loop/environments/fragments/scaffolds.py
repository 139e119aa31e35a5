"""Scaffolds: patterns that every molecule of a space has, read from SMILES with attachment points. Requires RDKit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rdkit import Chem

from al_loop.environments.fragments.blocks import SCAFFOLD_MARK, Block
from al_loop.environments.fragments.pattern_blocks import NotABlockError, describe_pattern
from al_loop.environments.fragments.patterns import MAX_SITES, CutMolecule, canonical_pattern, cut_at, is_cut, unusable
from al_loop.smiles import parse_smiles

_MOST_MATCHES = 10_000
_FILE = re.compile(r"\.(smi|smiles|csv|tsv|txt|sdf|mol|mol2|xlsx|json)$", re.IGNORECASE)
_EXAMPLE = "such as c1ccc([*:1])cc1[*:2]"


@dataclass(frozen=True)
class Scaffold:
    """A part that a molecule has to have.

    Args:
        block: its block, with a site for each attachment point and classes of its own.
        query: an RDKit query that matches it where exactly its attachment points are bonded to other atoms.
        core: indices of the query's atoms without those of the attachment points.
    """

    block: Block
    query: Any
    core: tuple[int, ...]

    def places(self, mol: Any) -> list[frozenset[int]]:
        """Return the sets of atoms of a molecule that may be this scaffold."""
        matches = mol.GetSubstructMatches(self.query, uniquify=True, maxMatches=_MOST_MATCHES)
        return list(dict.fromkeys(frozenset(match[i] for i in self.core) for match in matches))


def own_class(name: str) -> str:
    """Return the class of a scaffold's site, whose atom is of a class of the vocabulary."""
    return f"scaffold's {name}"


def read_scaffolds(given: str | Sequence[str]) -> list[Scaffold]:
    """Return the scaffold with its attachment points, or the two parts that a linker is to connect.

    Args:
        given: SMILES with an attachment point ``[*]`` (or ``[*:1]``, ``[*:2]``, ...) in place of each substituent; two
            SMILES, or one of two components, for a linker.

    Raises:
        ValueError: it is no such SMILES; the message gives the reason.
    """
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, Sequence) or not all(isinstance(text, str) for text in listed):
        raise ValueError(f"scaffold: expected a SMILES with attachment points, {_EXAMPLE}, got {given!r}")
    if file := next((text for text in listed if _FILE.search(text)), None):
        raise ValueError(f"scaffold: {file!r} is the name of a file; give the SMILES itself, {_EXAMPLE}")
    texts = [part for text in listed for part in text.strip().split(".")]
    if not any(texts):
        raise ValueError(f"scaffold: expected a SMILES with attachment points, {_EXAMPLE}, got {given!r}")
    if len(texts) > 2:
        raise ValueError(f"scaffold: {given!r} has {len(texts)} parts; give one scaffold, or the two ends of a linker")
    scaffolds = [_read(text, number) for number, text in enumerate(texts, start=1)]
    if len(scaffolds) == 2:
        for text, scaffold in zip(texts, scaffolds, strict=True):
            n = len(scaffold.block.sites)
            if n != 1:
                raise ValueError(f"scaffold: {text!r} has {n} attachment points; each end of a linker has exactly one")
    return scaffolds


def _read(text: str, number: int) -> Scaffold:
    """Return a scaffold, and give its block a name of its own."""
    mol = parse_smiles(text)
    if mol is None or not mol.GetNumAtoms():
        raise ValueError(f"scaffold: {text!r} is not a SMILES that RDKit can read")
    points = [atom for atom in mol.GetAtoms() if not atom.GetAtomicNum()]
    if not points:
        raise ValueError(
            f"scaffold: {text!r} has no attachment point; write [*] where a substituent is to go, {_EXAMPLE}"
        )
    if len(points) > MAX_SITES:
        raise ValueError(f"scaffold: {text!r} has {len(points)} attachment points, more than {MAX_SITES}")
    for label, atom in enumerate(points, start=1):
        bonds = list(atom.GetBonds())
        is_single = len(bonds) == 1 and bonds[0].GetBondType() == Chem.BondType.SINGLE
        if not is_single or not bonds[0].GetOtherAtom(atom).GetAtomicNum():
            raise ValueError(f"scaffold: in {text!r}, each attachment point must have one single bond to an atom")
        atom.SetAtomMapNum(0)
        atom.SetIsotope(label)
    heavy = Chem.RWMol(mol)
    for index in sorted((atom.GetIdx() for atom in points), reverse=True):
        heavy.RemoveAtom(index)
    if fault := unusable(heavy):
        raise ValueError(f"scaffold: {text!r} has {fault}, which no block may have")
    pattern, _ = canonical_pattern(Chem.MolToSmiles(mol))
    try:
        block = describe_pattern(pattern)
    except NotABlockError as error:
        raise ValueError(f"scaffold: {text!r} cannot be a block, since it has {error}") from None
    classes = [own_class(name) for name in block.classes]
    own = replace(block, smiles=f"{pattern}{SCAFFOLD_MARK} {number}", classes=classes)
    return Scaffold(own, *_query(pattern))


def _query(pattern: str) -> tuple[Any, tuple[int, ...]]:
    mol = Chem.MolFromSmiles(pattern)
    core = tuple(atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum())
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    settings: Any = Chem.AdjustQueryParameters.NoAdjustments()
    settings.adjustDegree = True
    settings.adjustDegreeFlags = Chem.AdjustQueryWhichFlags.ADJUST_IGNOREDUMMIES
    settings.makeDummiesQueries = True
    return Chem.AdjustQueryProperties(mol, settings), core


def cuts_of(mol: Any, scaffolds: Sequence[Scaffold]) -> Iterator[CutMolecule]:
    """Yield each way to cut a molecule into the scaffolds and blocks; the scaffolds' patterns are marked.

    Bonds of a scaffold are cut at its attachment points and nowhere else, all other bonds by the rule.

    Args:
        mol: a sanitised RDKit molecule, of one component and without isotopes.
        scaffolds: one or two.
    """
    for places in _choices(mol, scaffolds):
        of_scaffold = {atom: i for i, place in enumerate(places) for atom in place}
        bonds = []
        for bond in mol.GetBonds():
            ends = of_scaffold.get(bond.GetBeginAtomIdx()), of_scaffold.get(bond.GetEndAtomIdx())
            if ends == (None, None):
                bonds += [bond] if is_cut(bond) else []
            elif ends[0] != ends[1]:
                bonds.append(bond)
        if any(bond.IsInRing() or bond.GetBondType() != Chem.BondType.SINGLE for bond in bonds):
            continue
        molecule = cut_at(mol, bonds)
        parts = Chem.GetMolFrags(Chem.FragmentOnBonds(mol, [bond.GetIdx() for bond in bonds]))
        pieces = list(molecule.pieces)
        for number, atoms in enumerate(parts):
            owners = {of_scaffold[atom] for atom in atoms if atom in of_scaffold}
            for i in owners:
                name = scaffolds[i].block.smiles
                if pieces[number].pattern == name.split()[0]:
                    pieces[number] = replace(pieces[number], pattern=name)
        if sum(SCAFFOLD_MARK in piece.pattern for piece in pieces) == len(scaffolds):  # else a configuration is another
            yield CutMolecule(pieces, molecule.classes)


def has_scaffolds(smiles: str, scaffolds: Sequence[Scaffold]) -> bool:
    """Return whether a molecule has the scaffolds, each bonded at its attachment points and nowhere else.

    Whatever else it is made of need not be in a vocabulary. Two scaffolds must have a linker between them.

    Args:
        smiles: a text, which need not be a molecule.
        scaffolds: one or two.
    """
    mol = parse_smiles(smiles)
    if mol is None or len(Chem.GetMolFrags(mol)) != 1 or any(not atom.GetAtomicNum() for atom in mol.GetAtoms()):
        return False
    return any(len(molecule.pieces) > len(scaffolds) for molecule in cuts_of(mol, scaffolds))


def n_choices(smiles: str, scaffolds: Sequence[Scaffold]) -> int:
    """Return how many ways to place the scaffolds in a molecule have to be looked at.

    Args:
        smiles: the molecule.
        scaffolds: one or two.
    """
    return sum(1 for _ in _choices(Chem.MolFromSmiles(smiles), scaffolds))


def _choices(mol: Any, scaffolds: Sequence[Scaffold]) -> Iterator[tuple[frozenset[int], ...]]:
    first = scaffolds[0].places(mol)
    if len(scaffolds) == 1:
        yield from ((place,) for place in first)
        return
    second = scaffolds[1].places(mol)
    yield from ((a, b) for a in first for b in second if not a & b)
