"""Conversion of states of the fragment environment to SMILES. Requires RDKit."""

from __future__ import annotations

from collections.abc import Sequence

from rdkit import Chem
from torch import Tensor

from al_loop.environments.fragments.blocks import Block
from al_loop.smiles import canonical_smiles


def decode(states: Tensor, blocks: Sequence[Block]) -> list[str]:
    """Return the canonical SMILES of states.

    Args:
        states: states, shape n x state_size, each with at least one block.
        blocks: the blocks of the vocabulary.
    """
    slots = (states.shape[1] - 1) // 4
    smiles = []
    for row in states[:, :-1].reshape(-1, 4, slots).tolist():
        mol = Chem.MolFromSmiles(_write(row, blocks))
        assert mol is not None, f"the state {row} is not a valid molecule"
        name = Chem.MolToSmiles(mol)
        # a canonical SMILES with an explicit hydrogen may have another canonical SMILES
        smiles.append(canonical_smiles(name) or name if "[H]" in name else name)
    return smiles


def _write(row: list[list[int]], blocks: Sequence[Block]) -> str:
    """Write a state as SMILES: blocks separated by dots, bonded through ring-closure numbers.

    Args:
        row: the four columns of a state; see ``states``.
        blocks: the blocks of the vocabulary.
    """
    slots = len(row[0])
    closures: list[dict[int, str]] = [{} for _ in range(slots)]
    for slot in range(1, slots):
        block, parent, parent_site, own_site = (column[slot] for column in row)
        if block:
            mark = f"%{slot + 10}"
            ends = ((parent, blocks[row[0][parent] - 1].sites[parent_site]), (slot, blocks[block - 1].sites[own_site]))
            for end, atom in ends:
                closures[end][atom] = closures[end].get(atom, "") + mark
    parts = []
    for slot in range(slots):
        if row[0][slot]:
            text = ""
            for atom, token in enumerate(blocks[row[0][slot] - 1].tokens):
                bonds = closures[slot].get(atom, "")
                if bonds and token.endswith("H]"):  # the bond replaces the hydrogen in brackets
                    token = token[: token.index("[")] + token[token.index("[") + 1 : -2]
                text += token + bonds
            parts.append(text)
    return ".".join(parts)
