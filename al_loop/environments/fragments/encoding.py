"""Molecules back into states of the fragment environment. Needs RDKit."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch
from rdkit import Chem

from al_loop.environments.fragments.vocabulary import Piece, take_apart

if TYPE_CHECKING:
    from al_loop.environments.fragments import Fragments

#: bonds of a piece: (its site, index of the other piece, the other piece's site)
_Bonds = list[list[tuple[int, int, int]]]


def _sites_of(environment: Fragments, pieces: list[Piece], smiles: str) -> tuple[list[int], _Bonds]:
    """The block of each piece (1-based), and its bonds."""
    index = {block.smiles: i for i, block in enumerate(environment.blocks, start=1)}
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)  # cut bond -> (piece, site)
    blocks = []
    for number, piece in enumerate(pieces):
        if piece.smiles not in index:
            raise ValueError(f"{smiles!r} has the piece {piece.smiles!r}, which is not in the vocabulary")
        blocks.append(index[piece.smiles])
        free = list(enumerate(environment.blocks[blocks[-1] - 1].sites))
        for atom, bond in piece.bonds:
            site = next((s for s in free if s[1] == atom), None)
            if site is None:
                raise ValueError(f"{smiles!r} bonds {piece.smiles!r} where the vocabulary has no site")
            free.remove(site)
            ends[bond].append((number, site[0]))
    bonds: _Bonds = [[] for _ in pieces]
    for (a, a_site), (b, b_site) in ends.values():
        bonds[a].append((a_site, b, b_site))
        bonds[b].append((b_site, a, a_site))
    return blocks, bonds


def _rows_from_root(environment: Fragments, blocks: list[int], bonds: _Bonds, root: int) -> list[int] | None:
    """The state that starts at a piece, or None where the environment would not build it in that order."""
    slots = environment.max_fragments
    block_of, parent_of, parent_site_of, own_site_of = ([0] * slots for _ in range(4))
    waiting: list[tuple[int, int, int, int, int]] = [(root, -1, 0, 0, -1)]  # piece, parent's slot and site, own site
    slot = 0
    while waiting:
        piece, parent, parent_site, own, came_from = waiting.pop(0)
        block = environment.blocks[blocks[piece] - 1]
        relabel = list(range(len(block.sites)))
        if parent < 0:
            if block.required is not None:
                return None
        else:
            # equivalent sites have one name when a block is bonded: the first of their orbit
            first = min(p[own] for p in block.symmetries)
            relabel = next(p for p in block.symmetries if p[own] == first)
            if block.required not in (None, first):
                return None
        block_of[slot] = blocks[piece]
        if parent >= 0:
            parent_of[slot], parent_site_of[slot], own_site_of[slot] = parent, parent_site, relabel[own]
        for site, other, other_site in bonds[piece]:
            if other != came_from:
                waiting.append((other, slot, relabel[site], other_site, piece))
        slot += 1
    return [*block_of, *parent_of, *parent_site_of, *own_site_of, 1]


def encode_molecule(environment: Fragments, smiles: str) -> list[int]:
    """A terminal state of a molecule, as a row of ``state_size`` numbers.

    Raises:
        ValueError: the molecule is not in the space of the environment, with the reason.
    """
    mol = Chem.MolFromSmiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        raise ValueError(f"{smiles!r} is not a molecule")
    if len(Chem.GetMolFrags(mol)) > 1:
        raise ValueError(f"{smiles!r} is more than one molecule")
    Chem.RemoveStereochemistry(mol)
    pieces = take_apart(mol)
    wanted = f"not {environment.min_fragments} to {environment.max_fragments}"
    if len(pieces) > environment.max_fragments:
        raise ValueError(f"{smiles!r} has {len(pieces)} pieces, {wanted}")
    if mol.GetNumAtoms() > environment.max_atoms:
        raise ValueError(f"{smiles!r} has {mol.GetNumAtoms()} heavy atoms, more than {environment.max_atoms}")
    blocks, bonds = _sites_of(environment, pieces, smiles)
    for root in range(len(pieces)):
        row = _rows_from_root(environment, blocks, bonds, root)
        if row is not None:
            # what cannot grow may stop below the minimum
            unfinished = torch.tensor([[*row[:-1], 0]])
            if len(pieces) < environment.min_fragments and not environment.forward_mask(unfinished)[0, -1]:
                raise ValueError(f"{smiles!r} has {len(pieces)} pieces, {wanted}")
            return row
    raise ValueError(f"{smiles!r} cannot be built: one of its blocks needs a bond that is not there")
