"""Message passing on molecules."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding, silu

from al_loop.features.row_layout import ATOM_FIELDS, N_BOND_TYPES, GraphLayout
from al_loop.surrogates.encoders.base import Trunk, standardised


class MessagePassing(Trunk):
    """Messages between bonded atoms, which depend on the type of the bond, then the sum over the atoms.

    The form is that of GINE (Hu et al. 2020) with layer normalisation. Only existing atoms are computed, so that
    padding costs nothing.

    Args:
        layout: structure of the rows.
        n_members: number of networks.
        hidden: units of the last layer; an atom has half as many.
        n_layers: rounds of messages.
        generator: of the weights.
    """

    def __init__(
        self, layout: GraphLayout, n_members: int, hidden: int, n_layers: int, generator: torch.Generator
    ) -> None:
        super().__init__(n_members, hidden, generator)
        self.layout = layout
        self.units = units = max(hidden // 2, 1)
        self.atoms = torch.nn.ParameterList(self.normal(size, n_members * units, std=0.5) for size in ATOM_FIELDS)
        self.bonds = torch.nn.ParameterList(
            self.normal(N_BOND_TYPES, n_members * units, std=0.5) for _ in range(n_layers)
        )
        self.wide = torch.nn.ModuleList(self.linear(units, 2 * units) for _ in range(n_layers))
        self.narrow = torch.nn.ModuleList(self.linear(2 * units, units, gain=0.5) for _ in range(n_layers))
        self.last = self.linear(units, hidden)

    def forward(self, inputs: Tensor) -> Tensor:
        atoms, bonds = self.layout.integers(inputs)
        is_atom = atoms > 0
        molecule = is_atom.nonzero()[:, 0]
        code = atoms[is_atom] - 1
        h = inputs.new_zeros(len(code), self.n_members * self.units)
        for table in self.atoms:
            h = h + embedding(code % len(table), table)
            code = code // len(table)
        first = is_atom.sum(1).cumsum(0) - is_atom.sum(1)  # of each molecule's atoms
        owner, column = (bonds > 0).nonzero(as_tuple=True)
        bond = bonds[owner, column] - 1
        kind, ends = bond % N_BOND_TYPES, bond // N_BOND_TYPES
        i, j = first[owner] + ends // self.layout.max_atoms, first[owner] + ends % self.layout.max_atoms
        senders, receivers, kinds = torch.cat([i, j]), torch.cat([j, i]), torch.cat([kind, kind])
        for table, wide, narrow in zip(self.bonds, self.wide, self.narrow, strict=True):
            inputs_of_atoms = self._standardised(h)
            messages = silu(inputs_of_atoms.index_select(0, senders) + table.index_select(0, kinds))
            total = self._apart(inputs_of_atoms.index_add(0, receivers, messages))
            h = h + narrow(silu(wide(total))).transpose(0, 1).reshape(h.shape)
        total = h.new_zeros(len(inputs), h.shape[1]).index_add(0, molecule, self._standardised(h))
        encoded: Tensor = silu(self.last(self._apart(total / 16)))
        return encoded

    def _apart(self, values: Tensor) -> Tensor:
        """Return each member's part: n x (n_members units) -> n_members x n x units."""
        return values.reshape(len(values), self.n_members, self.units).transpose(0, 1)

    def _standardised(self, values: Tensor) -> Tensor:
        return standardised(values.reshape(len(values), self.n_members, self.units)).reshape(values.shape)
