"""Conversion of trees of patterns to SMILES. Requires RDKit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rdkit import Chem
from torch import Tensor

from al_loop.environments.fragments.blocks import Block
from al_loop.smiles import canonical_smiles

#: index of the block's first atom in the molecule, the block, and the atom bonded to each of its sites
_Placed = tuple[int, Block, Sequence[int]]


def decode(states: Tensor, blocks: Sequence[Block]) -> list[str]:
    """Return the canonical SMILES of finished states.

    Args:
        states: states, shape n x state_size.
        blocks: the blocks of the vocabulary.
    """
    slots = (states.shape[1] - 1) // 4
    return [_decode_row(row, blocks) for row in states[:, :-1].reshape(-1, 4, slots).tolist()]


def _decode_row(row: list[list[int]], blocks: Sequence[Block]) -> str:
    """Write blocks separated by dots, bonded through ring-closure numbers; see ``states`` for the row."""
    placed = [blocks[number - 1] for number in row[0] if number]
    first, total = [], 0
    for block in placed:
        first.append(total)
        total += block.n_atoms
    marks: list[list[str]] = [[""] * len(block.sites) for block in placed]
    partners = [[-1] * len(block.sites) for block in placed]
    for slot in range(1, len(placed)):
        parent, parent_site, own_site = (column[slot] for column in row[1:])
        marks[parent][parent_site] = marks[slot][own_site] = f"%{slot + 10}"
        partners[parent][parent_site] = first[slot] + placed[slot].sites[own_site]
        partners[slot][own_site] = first[parent] + placed[parent].sites[parent_site]
    parts = []
    for block, closures in zip(placed, marks, strict=True):
        at: dict[int, str] = {}
        for atom, mark in zip(block.sites, closures, strict=True):  # in this order, stereocentres are as in the block
            at[atom] = at.get(atom, "") + mark
        parts.append("".join(token + at.get(atom, "") for atom, token in enumerate(block.tokens)))
    mol = Chem.MolFromSmiles(".".join(parts))
    assert mol is not None, f"the state {row} is not a valid molecule: {'.'.join(parts)}"
    if any(block.double_bonds for block in placed):
        set_double_bonds(mol, list(zip(first, placed, partners, strict=True)))
    name = str(Chem.MolToSmiles(mol))
    # the canonical SMILES of a molecule with stereo or an explicit hydrogen may have another canonical SMILES
    if not any(mark in name for mark in "@/\\["):
        return name
    again = Chem.MolFromSmiles(name)
    settled = again is not None and Chem.MolToSmiles(again) == name
    return name if settled else canonical_smiles(name) or name


def set_double_bonds(mol: Any, placed: Sequence[_Placed]) -> None:
    """Give the double bonds of blocks their configurations, in place.

    Args:
        mol: the molecule, its atoms in the order of the blocks.
        placed: the blocks.
    """
    for first, block, partners in placed:
        for begin, end, near_begin, near_end, is_trans in block.double_bonds:
            bond = mol.GetBondBetweenAtoms(first + begin, first + end)
            a, b = (partners[-1 - x] if x < 0 else first + x for x in (near_begin, near_end))
            if a < 0 or b < 0:
                continue
            if bond.GetBeginAtomIdx() != first + begin:
                a, b = b, a
            bond.SetStereoAtoms(a, b)
            bond.SetStereo(Chem.BondStereo.STEREOTRANS if is_trans else Chem.BondStereo.STEREOCIS)
