"""Graphs of RDKit molecules. Requires RDKit where it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from al_loop.features.molecules.graphs import N_ATOM_COLUMNS, MolecularGraphs


def atom_row(atom: Any) -> list[int]:
    """Return the columns of ``MolecularGraphs.atoms`` for an RDKit atom."""
    from rdkit import Chem

    usual = Chem.GetPeriodicTable().GetAtomicWeight(atom.GetAtomicNum())
    return [
        atom.GetAtomicNum(),
        atom.GetTotalNumHs(),
        atom.GetFormalCharge(),
        int(atom.GetMass() - usual),
        int(atom.IsInRing()),
        int(atom.GetIsAromatic()),
        int(atom.IsInRingSize(3)),
    ]


def read_graphs(molecules: Sequence[Any]) -> MolecularGraphs:
    """Return the graphs of sanitised RDKit molecules without explicit hydrogens, on the CPU."""
    n = len(molecules)
    n_atoms = max((m.GetNumAtoms() for m in molecules), default=1)
    n_bonds = max((m.GetNumBonds() for m in molecules), default=0)
    most = max((a.GetDegree() for m in molecules for a in m.GetAtoms()), default=0)
    atoms = np.zeros((n, n_atoms, N_ATOM_COLUMNS), dtype=np.int32)
    neighbours, index = np.zeros((2, n, n_atoms, max(most, 1)), dtype=np.int64)
    types = np.zeros(neighbours.shape, dtype=np.int32)
    is_ring_bond = np.zeros(neighbours.shape, dtype=bool)
    for i, molecule in enumerate(molecules):
        degree = [0] * n_atoms
        for atom in molecule.GetAtoms():
            atoms[i, atom.GetIdx()] = atom_row(atom)
        for bond in molecule.GetBonds():
            ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            for own, other in (ends, ends[::-1]):
                at = i, own, degree[own]
                neighbours[at], types[at], index[at] = other, int(bond.GetBondType()), bond.GetIdx()
                is_ring_bond[at] = bond.IsInRing()
                degree[own] += 1
    return MolecularGraphs(
        torch.from_numpy(atoms),
        torch.from_numpy(neighbours),
        torch.from_numpy(types),
        torch.from_numpy(index),
        torch.from_numpy(is_ring_bond),
        torch.tensor([m.GetRingInfo().NumRings() for m in molecules], dtype=torch.int64),
        n_bonds,
    )
