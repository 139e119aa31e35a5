"""The shared part of all environments of fragments: states that are trees of blocks, as tensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from al_loop.environments._per_device import PerDevice
from al_loop.environments.base import Environment, ObjectType
from al_loop.environments.fragments.blocks import Block
from al_loop.environments.fragments.graphs import BlockGraphs, molecular_graphs
from al_loop.environments.fragments.states import SizeLimits, Slots, bonded_sites, read_slots
from al_loop.environments.fragments.symmetry import count_automorphisms, identify
from al_loop.environments.fragments.tables import FragmentTables
from al_loop.features.molecules.graphs import MolecularGraphs


class Breeder(Protocol):
    """A maker of children of two molecules."""

    def child(self, a: list[int], b: list[int]) -> list[int] | None:
        """Return a finished child of two states, as a row of ``state_size`` numbers, or None if none was found."""


class BlockTrees(Environment):
    """Molecules as trees of blocks.

    A state lists the blocks in the order in which they were added, with the slot and the site to which each is bonded;
    see ``states``.

    Args:
        blocks: the blocks of the vocabulary.
        tables: their look-up tables.
        limits: sizes of the molecules.
    """

    object_type: ObjectType = "molecule"  # type: ignore[misc]

    def __init__(self, blocks: Sequence[Block], tables: FragmentTables, limits: SizeLimits) -> None:
        self.blocks = list(blocks)
        self.max_fragments, self.min_fragments = limits.max_fragments, limits.min_fragments
        self.max_atoms = limits.max_atoms
        self._tables, self._limits = tables, limits
        self._tables_by_device = PerDevice(tables)
        self._graphs_by_device: dict[torch.device, BlockGraphs] = {}
        self.n_sites, self.n_entries = tables.n_sites, tables.n_entries
        #: slots that can have children
        self.n_parents = limits.n_parents
        self.state_size = limits.state_size  # see ``states``
        self.n_features = 0

    def tables(self, device: torch.device) -> FragmentTables:
        """Return the look-up tables on a device, to which they are copied on first use."""
        return self._tables_by_device.on(device)

    def slots(self, states: Tensor) -> Slots:
        """Return block (0: empty), parent's slot, parent's site and own site of each slot, n x max_fragments each."""
        return read_slots(states)

    def occupied(self, states: Tensor) -> Tensor:
        """Return a bool mask of the sites with a bond, shape n x max_fragments x n_sites."""
        return bonded_sites(states, self.n_sites)

    def degree(self, states: Tensor) -> Tensor:
        """Return the number of bonds of each slot to other slots, shape n x max_fragments."""
        block, parent, _, _ = read_slots(states)
        is_child = (block > 0).long()
        is_child[:, 0] = 0
        return is_child.scatter_add(1, parent, is_child)

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        return torch.zeros(n, self.state_size, dtype=torch.int64, device=device)

    def is_terminal(self, states: Tensor) -> Tensor:
        return states[:, -1] == 1

    def n_automorphisms(self, states: Tensor) -> Tensor:
        """Return the number of automorphisms of the fragment trees, free sites included, shape n."""
        return count_automorphisms(states, self.tables(states.device))

    def identity(self, states: Tensor) -> Tensor:
        """Return a 64-bit hash of each molecule, shape n, the same for all of its states and on every device."""
        return identify(states, self.tables(states.device))

    def graphs(self, states: Tensor) -> MolecularGraphs:
        device = states.device
        tables = self._graphs_by_device.get(device)
        if tables is None:
            tables = self._graphs_by_device[device] = BlockGraphs.of(self.blocks).to(device)
        return molecular_graphs(states, tables, self._limits)

    @abstractmethod
    def breeder(self, seed: int) -> Breeder:
        """Return what makes children.

        Args:
            seed: source of all random choices.
        """

    def crossover(self, a: Tensor, b: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return a child of each pair of molecules: a part of one, bonded to a part of the other.

        The children are generated one at a time, a few thousand per second; crossover is not part of a roll-out.

        Args:
            a: terminal states, shape n x state_size.
            b: terminal states, shape n x state_size.
            generator: source of all randomness.

        Returns:
            Terminal states, shape n x state_size, and a bool mask of those that are children, shape n; if no child was
            found, the state is the one in ``a``.
        """
        breeder = self.breeder(int(torch.randint(2**62, (), generator=generator, device=generator.device)))
        parents = a.tolist()
        children = [breeder.child(x, y) for x, y in zip(parents, b.tolist(), strict=True)]
        rows = [parent if child is None else child for parent, child in zip(parents, children, strict=True)]
        states = torch.tensor(rows, dtype=torch.int64, device=a.device).reshape(-1, self.state_size)
        return states, torch.tensor([child is not None for child in children], dtype=torch.bool, device=a.device)

    def describe(self) -> str:
        return f"{self.name} ({len(self.blocks)} blocks)"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_graphs_by_device": {}}
