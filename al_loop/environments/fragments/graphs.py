"""States of the fragment environment as molecular graphs, without decoding them.

A state is a molecular graph already: the atoms and bonds of each block are known, and a bond between two blocks is
single, acyclic, and takes a hydrogen from each end. It changes neither rings nor aromaticity.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.fragments.blocks import Block
from al_loop.environments.fragments.states import SizeLimits, read_slots
from al_loop.features.molecules.graphs import HYDROGENS, N_ATOM_COLUMNS, SINGLE, MolecularGraphs

#: graphs of the blocks of the included vocabulary, by SMILES, so that they can be used without RDKit
SHIPPED_GRAPHS = Path(__file__).parents[1] / "data" / "zinc_fragment_graphs.json"


@dataclass(frozen=True)
class BlockGraph:
    """The atoms and bonds of a block; created by ``vocabulary.describe_graph``.

    Args:
        atoms: columns of ``MolecularGraphs.atoms`` of each atom.
        bonds: (atom, atom, type, whether it is in a ring) of each bond.
        n_rings: size of the smallest set of smallest rings.
    """

    atoms: list[list[int]]
    bonds: list[list[int]]
    n_rings: int


def block_graphs(blocks: Sequence[Block]) -> list[BlockGraph]:
    """Return the graph of each block. Requires RDKit for blocks that are not in the included vocabulary."""
    if all(block.graph is not None for block in blocks):
        return [BlockGraph(**block.graph) for block in blocks if block.graph is not None]
    stored = json.loads(SHIPPED_GRAPHS.read_text(encoding="utf-8"))
    return [BlockGraph(**(stored.get(block.smiles) or _described(block))) for block in blocks]


def _described(block: Block) -> dict[str, object]:
    from al_loop.environments.fragments.vocabulary import describe_graph

    return describe_graph(block.smiles)


@dataclass(frozen=True)
class BlockGraphs:
    """The atoms and bonds of the blocks of a vocabulary, all on one device.

    B is the number of blocks plus 1 (index 0 is empty), a the largest number of atoms in a block, D the largest number
    of bonds of an atom, those to other blocks included, and S the largest number of sites.

    Args:
        atoms: B x a x 7, see ``MolecularGraphs``.
        neighbours: B x a x D, index within the block.
        bonds: B x a x D, types; 0: none.
        bond_index: B x a x D, number of the bond in the block.
        is_ring_bond: B x a x D.
        n_atoms: B.
        n_bonds: B, bonds within the block.
        n_rings: B.
        site_atom: B x S, atom of each site.
        most_bonds: largest number of bonds within a block.
        bonds_per_atom: largest ratio of the number of bonds within a block to that of its atoms.
    """

    atoms: Tensor
    neighbours: Tensor
    bonds: Tensor
    bond_index: Tensor
    is_ring_bond: Tensor
    n_atoms: Tensor
    n_bonds: Tensor
    n_rings: Tensor
    site_atom: Tensor
    most_bonds: int
    bonds_per_atom: float

    def to(self, device: torch.device) -> BlockGraphs:
        """Return the same tables on another device."""
        moved: dict[str, Any] = {name: x.to(device) for name, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **moved)

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> BlockGraphs:
        """Build the tables of a vocabulary on the CPU."""
        graphs = block_graphs(blocks)
        n, n_atoms = len(blocks) + 1, max(block.n_atoms for block in blocks)
        most = 1
        for block, graph in zip(blocks, graphs, strict=True):
            ends = [end for bond in graph.bonds for end in bond[:2]]
            most = max(most, *(ends.count(atom) + block.sites.count(atom) for atom in range(block.n_atoms)))
        atoms = torch.zeros(n, n_atoms, N_ATOM_COLUMNS, dtype=torch.int32)
        neighbours, bond_index = torch.zeros(2, n, n_atoms, most, dtype=torch.int64)
        bonds = torch.zeros(n, n_atoms, most, dtype=torch.int32)
        is_ring_bond = torch.zeros(n, n_atoms, most, dtype=torch.bool)
        site_atom = torch.zeros(n, max(len(block.sites) for block in blocks), dtype=torch.int64)
        for b, (block, graph) in enumerate(zip(blocks, graphs, strict=True), start=1):
            atoms[b, : block.n_atoms] = torch.tensor(graph.atoms, dtype=torch.int32)
            site_atom[b, : len(block.sites)] = torch.tensor(block.sites)
            degree = [0] * block.n_atoms
            for index, (i, j, kind, is_ring) in enumerate(graph.bonds):
                for own, other in ((i, j), (j, i)):
                    at = b, own, degree[own]
                    neighbours[at], bonds[at], bond_index[at], is_ring_bond[at] = other, kind, index, bool(is_ring)
                    degree[own] += 1
        return cls(
            atoms,
            neighbours,
            bonds,
            bond_index,
            is_ring_bond,
            torch.tensor([0, *(block.n_atoms for block in blocks)]),
            torch.tensor([0, *(len(graph.bonds) for graph in graphs)]),
            torch.tensor([0, *(graph.n_rings for graph in graphs)]),
            site_atom,
            max(len(graph.bonds) for graph in graphs),
            max(len(graph.bonds) / len(graph.atoms) for graph in graphs),
        )


def molecular_graphs(states: Tensor, tables: BlockGraphs, limits: SizeLimits) -> MolecularGraphs:
    """Return the graphs of states, finished or not.

    Args:
        states: states, shape n x state_size.
        tables: the blocks of the vocabulary, on the device of the states.
        limits: sizes of the molecules.
    """
    device = states.device
    block, parent, parent_site, own_site = read_slots(states.long())
    n, slots = block.shape
    width, degree_limit = tables.atoms.shape[1], tables.bonds.shape[2]
    n_atoms = min(limits.max_atoms, slots * width)
    ends = tables.n_atoms[block].cumsum(1)  # of the atoms of each slot
    begins = ends - tables.n_atoms[block]

    # the atoms of all blocks, one after another
    index = torch.arange(n_atoms, device=device)
    slot = (index >= ends[..., None]).sum(1).clamp(max=slots - 1)  # n x A
    is_atom = index < ends[:, -1:]
    first = begins.gather(1, slot)
    row = torch.where(is_atom, block.gather(1, slot) * width + index - first, 0)  # in the tables, 0: an empty block
    atoms = tables.atoms.flatten(0, 1)[row]
    neighbours = tables.neighbours.flatten(0, 1)[row]
    bonds = tables.bonds.flatten(0, 1)[row]
    is_bond = bonds > 0
    neighbours = torch.where(is_bond, neighbours + first[..., None], 0)
    n_block_bonds = tables.n_bonds[block]
    bond_begins = n_block_bonds.cumsum(1) - n_block_bonds + slots  # the first numbers are those of bonds to parents
    bond_index = torch.where(is_bond, tables.bond_index.flatten(0, 1)[row] + bond_begins.gather(1, slot)[..., None], 0)
    is_ring_bond = tables.is_ring_bond.flatten(0, 1)[row]

    # a bond of each slot to its parent, in the first free column of both atoms; what is not there goes to one more atom
    def padded(x: Tensor) -> Tensor:
        return torch.cat([x, x.new_zeros(n, 1, *x.shape[2:])], 1)

    neighbours, bonds, bond_index, hydrogens = map(padded, (neighbours, bonds, bond_index, atoms[..., HYDROGENS]))
    degree = (bonds > 0).sum(2)
    ones = torch.ones(n, 1, dtype=torch.int64, device=device)
    for child in range(1, slots):
        at = parent[:, child, None]
        above = begins.gather(1, at) + tables.site_atom[block.gather(1, at), parent_site[:, child, None]]
        below = begins[:, child, None] + tables.site_atom[block[:, child, None], own_site[:, child, None]]
        is_there = block[:, child, None] > 0
        above, below = torch.where(is_there, above, n_atoms), torch.where(is_there, below, n_atoms)
        for own, other in ((above, below), (below, above)):
            column = degree.gather(1, own).clamp(max=degree_limit - 1)
            place = own * degree_limit + column
            neighbours.flatten(1).scatter_(1, place, other)
            bonds.flatten(1).scatter_(1, place, SINGLE)
            bond_index.flatten(1).scatter_(1, place, child)
            degree.scatter_add_(1, own, ones)
            hydrogens.scatter_add_(1, own, -ones.to(hydrogens.dtype))
    atoms = torch.cat([atoms[..., :HYDROGENS], hydrogens[:, :-1, None], atoms[..., HYDROGENS + 1 :]], 2)
    return MolecularGraphs(
        atoms,
        neighbours[:, :-1],
        bonds[:, :-1],
        bond_index[:, :-1],
        is_ring_bond,
        tables.n_rings[block].sum(1),
        slots + min(slots * tables.most_bonds, int(tables.bonds_per_atom * n_atoms) + 1),
    )
