"""Conversion of molecules to states of the fragment environment. Requires RDKit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from rdkit import Chem

from al_loop.environments.fragments.blocks import Block
from al_loop.environments.fragments.states import SizeLimits
from al_loop.environments.fragments.vocabulary import Piece, take_apart
from al_loop.smiles import parse_smiles

#: bonds of each piece: (its site, index of the other piece, the other piece's site)
_Bonds = list[list[tuple[int, int, int]]]


def _match_blocks(blocks: Sequence[Block], pieces: list[Piece], smiles: str) -> tuple[list[int], _Bonds]:
    """Return the block of each piece (1-based), and the bonds between the pieces.

    Raises:
        ValueError: a piece or a bond is not in the vocabulary.
    """
    index = {block.smiles: i for i, block in enumerate(blocks, start=1)}
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)  # cut bond -> (piece, site)
    block_of = []
    for number, piece in enumerate(pieces):
        if piece.smiles not in index:
            raise ValueError(f"{smiles!r} contains the fragment {piece.smiles!r}, which is not in the vocabulary")
        block_of.append(index[piece.smiles])
        free = list(enumerate(blocks[block_of[-1] - 1].sites))
        for atom, bond in piece.bonds:
            site = next((s for s in free if s[1] == atom), None)
            if site is None:
                raise ValueError(
                    f"{smiles!r} has a bond to {piece.smiles!r} at an atom without a free site in the vocabulary"
                )
            free.remove(site)
            ends[bond].append((number, site[0]))
    bonds: _Bonds = [[] for _ in pieces]
    for (a, a_site), (b, b_site) in ends.values():
        bonds[a].append((a_site, b, b_site))
        bonds[b].append((b_site, a, a_site))
    return block_of, bonds


def _state_from_root(
    blocks: Sequence[Block], slots: int, block_of: list[int], bonds: _Bonds, root: int
) -> list[int] | None:
    """Return the finished state with a piece as the root, or None if it cannot be built in that order."""
    slot_block, slot_parent, slot_parent_site, slot_own_site = ([0] * slots for _ in range(4))
    queue: list[tuple[int, int, int, int, int]] = [(root, -1, 0, 0, -1)]  # piece, parent's slot and site, own site
    slot = 0
    while queue:
        piece, parent, parent_site, own_site, came_from = queue.pop(0)
        block = blocks[block_of[piece] - 1]
        relabel = list(range(len(block.sites)))
        if parent < 0:
            if block.required is not None:
                return None
        else:
            # a block is bonded by the first of its equivalent sites
            first = min(p[own_site] for p in block.symmetries)
            relabel = next(p for p in block.symmetries if p[own_site] == first)
            if block.required not in (None, first):
                return None
        slot_block[slot] = block_of[piece]
        if parent >= 0:
            slot_parent[slot], slot_parent_site[slot], slot_own_site[slot] = parent, parent_site, relabel[own_site]
        for site, other, other_site in bonds[piece]:
            if other != came_from:
                queue.append((other, slot, relabel[site], other_site, piece))
        slot += 1
    return [*slot_block, *slot_parent, *slot_parent_site, *slot_own_site, 1]


def encode_molecule(smiles: str, blocks: Sequence[Block], limits: SizeLimits) -> list[int]:
    """Return a finished state of a molecule, as a row of ``state_size`` numbers.

    Args:
        smiles: the molecule; its stereochemistry is ignored.
        blocks: the blocks of the vocabulary.
        limits: limits of the size of molecules, of which only the upper ones are checked.

    Raises:
        ValueError: the molecule is not in the space; the message gives the reason.
    """
    mol = parse_smiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        raise ValueError(f"{smiles!r} is not a molecule")
    if len(Chem.GetMolFrags(mol)) > 1:
        raise ValueError(f"{smiles!r} consists of more than one molecule")
    Chem.RemoveStereochemistry(mol)
    pieces = take_apart(mol)
    if len(pieces) > limits.max_fragments:
        allowed = f"{limits.min_fragments} to {limits.max_fragments}"
        raise ValueError(f"{smiles!r} has {len(pieces)} fragments, not {allowed}")
    if mol.GetNumAtoms() > limits.max_atoms:
        raise ValueError(f"{smiles!r} has {mol.GetNumAtoms()} heavy atoms, more than {limits.max_atoms}")
    block_of, bonds = _match_blocks(blocks, pieces, smiles)
    for root in range(len(pieces)):
        row = _state_from_root(blocks, limits.max_fragments, block_of, bonds, root)
        if row is not None:
            return row
    raise ValueError(f"{smiles!r} cannot be built, since one of its blocks requires a bond that is missing")
