"""Graphs of many molecules, padded to the same number of atoms, on one device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

#: bond types, as numbered by RDKit
SINGLE, DOUBLE, TRIPLE, AROMATIC = 1, 2, 3, 12
#: columns of ``MolecularGraphs.atoms``
ELEMENT, HYDROGENS, CHARGE, MASS_SHIFT, IN_RING, IS_AROMATIC, IN_RING_OF_3 = range(7)
N_ATOM_COLUMNS = 7


@dataclass(frozen=True)
class MolecularGraphs:
    """Heavy atoms and bonds of n molecules, of at most A atoms with at most D neighbours each.

    Args:
        atoms: n x A x 7, int32: atomic number (0: no such atom), number of hydrogens, formal charge, mass of an isotope
            less the element's average (towards 0), whether in a ring, aromatic, in a ring of three.
        neighbours: n x A x D, int64, index of each neighbour; 0 where there is none.
        bonds: n x A x D, int32, type of the bond to each neighbour; 0 where there is none.
        bond_index: n x A x D, int64, number of this bond in its molecule, the same at both ends.
        is_ring_bond: n x A x D, bool.
        n_rings: n, int64, size of the smallest set of smallest rings.
        n_bonds: larger than every ``bond_index``.
    """

    atoms: Tensor
    neighbours: Tensor
    bonds: Tensor
    bond_index: Tensor
    is_ring_bond: Tensor
    n_rings: Tensor
    n_bonds: int

    def __len__(self) -> int:
        return len(self.atoms)

    @property
    def device(self) -> torch.device:
        """The device of all tensors."""
        return self.atoms.device

    @property
    def is_atom(self) -> Tensor:
        """A mask of the atoms that exist, n x A."""
        return self.atoms[..., ELEMENT] > 0

    def at_neighbours(self, values: Tensor) -> Tensor:
        """Return a value of each atom's neighbours: n x A -> n x A x D; arbitrary where there is no neighbour."""
        return values.gather(1, self.neighbours.flatten(1)).view(self.neighbours.shape)

    def to(self, device: torch.device | str) -> MolecularGraphs:
        """Return the same graphs on another device."""
        moved: dict[str, Any] = {name: x.to(device) for name, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **moved)
