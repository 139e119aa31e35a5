"""Patterns as blocks that can be written into SMILES: their text, configurations, symmetries and graphs. Uses RDKit."""

from __future__ import annotations

import itertools
import re
from typing import Any

from rdkit import Chem

from al_loop.environments.fragments.blocks import Block
from al_loop.environments.fragments.pattern_decoding import set_double_bonds
from al_loop.environments.fragments.patterns import MAX_SITES, site_class, symmetries
from al_loop.features.molecules.graphs import HYDROGENS
from al_loop.features.molecules.reading import atom_row

#: most stereocentres of a block
MAX_CENTRES = 6
_SYMBOL = re.compile(r"\[[^]]*\]|Cl|Br|[A-Za-z*]")
_BRACKET = re.compile(r"\[(?P<symbol>[A-Za-z][a-z]?)(?P<rest>.*)\]")


class NotABlockError(ValueError):
    """A pattern cannot be a block; the message is the reason, in a few words."""


def describe_pattern(pattern: str) -> Block:
    """Return the block of a canonical pattern.

    Raises:
        NotABlockError: it cannot be written without losing something.
    """
    mol = Chem.MolFromSmiles(pattern)
    if mol is None:
        raise NotABlockError("a part of a molecule that RDKit cannot read")
    dummies = sorted((atom for atom in mol.GetAtoms() if not atom.GetAtomicNum()), key=lambda atom: atom.GetIsotope())
    if not dummies:
        raise NotABlockError("no attachment point")
    if len(dummies) > MAX_SITES:
        raise NotABlockError(f"more than {MAX_SITES} attachment points")
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum()]
    text = Chem.MolFragmentToSmiles(mol, heavy, isomericSmiles=False)
    order = [i for i in mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"] if i in set(heavy)]
    place = {index: i for i, index in enumerate(order)}
    ends = [atom.GetNeighbors()[0] for atom in dummies]
    sites = [place[atom.GetIdx()] for atom in ends]
    double_bonds = tuple(_double_bonds(mol, place, {atom.GetIdx(): -1 - i for i, atom in enumerate(dummies)}))
    for tokens in _writings(mol, text, order):
        block = Block(
            smiles=pattern,
            is_ring=any(atom.IsInRing() for atom in mol.GetAtoms()),
            sites=sites,
            classes=[site_class(atom) for atom in ends],
            required=None,
            n_atoms=len(heavy),
            tokens=tokens,
            symmetries=symmetries(pattern),
            double_bonds=double_bonds,
            graph=_graph(mol, order, place, sites),
        )
        if _write_alone(block) == pattern:
            return block
    raise NotABlockError("a configuration that cannot be kept")


def _writings(mol: Any, text: str, order: list[int]) -> list[list[str]]:
    """Return the text cut behind each atom symbol, for each configuration of the stereocentres.

    Raises:
        NotABlockError: there are too many stereocentres.
    """
    ends = [match.end() for match in _SYMBOL.finditer(text)]
    tokens = [text[a:b] for a, b in itertools.pairwise([0, *ends, len(text)])]
    centres = [i for i, index in enumerate(order) if mol.GetAtomWithIdx(index).GetChiralTag() in _TETRAHEDRAL]
    if len(centres) > MAX_CENTRES:
        raise NotABlockError(f"more than {MAX_CENTRES} stereocentres")
    if len(ends) != len(order):
        return []
    writings = []
    for marks in (
        itertools.product("@", repeat=len(centres))
        if not centres
        else itertools.product(("@", "@@"), repeat=len(centres))
    ):
        written = list(tokens)
        for i, mark in zip(centres, marks, strict=True):
            match = _SYMBOL.search(tokens[i])
            assert match is not None
            symbol, n_hydrogens = match.group(), mol.GetAtomWithIdx(order[i]).GetTotalNumHs()
            bracket = _BRACKET.fullmatch(symbol)
            if bracket is not None:
                symbol = f"[{bracket['symbol']}{mark}{bracket['rest']}]"
            else:
                symbol = f"[{symbol}{mark}{'H' if n_hydrogens else ''}]"
            written[i] = tokens[i][: match.start()] + symbol
        writings.append(written)
    return writings


_TETRAHEDRAL = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)


def _double_bonds(mol: Any, place: dict[int, int], sites: dict[int, int]) -> list[tuple[int, int, int, int, bool]]:
    found = []
    for bond in mol.GetBonds():
        if bond.GetBondType() == Chem.BondType.DOUBLE and bond.GetStereo() > Chem.BondStereo.STEREOANY:
            a, b = bond.GetStereoAtoms()
            number = {**place, **sites}
            is_trans = bond.GetStereo() in (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)
            found.append((place[bond.GetBeginAtomIdx()], place[bond.GetEndAtomIdx()], number[a], number[b], is_trans))
    return found


def _graph(mol: Any, order: list[int], place: dict[int, int], sites: list[int]) -> dict[str, Any]:
    """Return the graph of the block with hydrogens at its sites; see ``graphs.BlockGraph``."""
    atoms = [atom_row(mol.GetAtomWithIdx(index)) for index in order]
    for site in sites:
        atoms[site][HYDROGENS] += 1
    bonds = [
        [place[bond.GetBeginAtomIdx()], place[bond.GetEndAtomIdx()], int(bond.GetBondType()), int(bond.IsInRing())]
        for bond in mol.GetBonds()
        if bond.GetBeginAtomIdx() in place and bond.GetEndAtomIdx() in place
    ]
    return {"atoms": atoms, "bonds": bonds, "n_rings": mol.GetRingInfo().NumRings()}


def _write_alone(block: Block) -> str:
    """Return the canonical SMILES of a block whose sites are bonded to numbered dummy atoms."""
    text, dummies = "", ""
    for atom, token in enumerate(block.tokens):
        text += token
        for site in (i for i, a in enumerate(block.sites) if a == atom):
            text += f"%{site + 10}"
            dummies += f".[{site + 1}*]%{site + 10}"
    mol = Chem.MolFromSmiles(text + dummies)
    if mol is None:
        return ""
    n = block.n_atoms
    partners = [n + dummies.split(".")[1:].index(f"[{i + 1}*]%{i + 10}") for i in range(len(block.sites))]
    if block.double_bonds:
        set_double_bonds(mol, [(0, block, partners)])
    return str(Chem.MolToSmiles(mol))
