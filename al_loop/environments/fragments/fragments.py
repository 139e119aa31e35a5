"""Molecules as trees of ring systems and chains. RDKit is imported only to decode or encode molecules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from al_loop.environments._per_device import PerDevice
from al_loop.environments.fragments.blocks import read_blocks
from al_loop.environments.fragments.closed import ClosedFragments
from al_loop.environments.fragments.crossover import PartCrossover
from al_loop.environments.fragments.growth import NEVER, LeastGrowth
from al_loop.environments.fragments.scaffold_space import ScaffoldFragments
from al_loop.environments.fragments.states import SizeLimits, read_slots
from al_loop.environments.fragments.tables import SITE_CLASSES, FragmentTables
from al_loop.environments.fragments.trees import BlockTrees
from al_loop.environments.fragments.vocabulary_file import BENGIO_72, read_vocabulary, vocabulary_path
from al_loop.environments.fragments.walks import log_paths, retrace
from al_loop.system.path_texts import PathOrName


class Fragments(BlockTrees):
    """Drug-like molecules, built by bonding ring systems and chains (from ZINC, or your own vocabulary) into a tree.

    A state lists the blocks in the order in which they were added, with the slot and the site to which each is bonded.
    An action bonds a new block, by one of its sites, to a free site of an existing block. Many states represent one
    molecule (orders, equivalent sites); ``log_multiplicity`` counts them exactly by the orbit-stabiliser theorem, so
    that molecules rather than states are drawn in proportion to the reward (the bias described in Ma et al. 2023,
    "Baking symmetry into GFlowNets").

    Args:
        max_fragments: largest number of blocks in a molecule; None: 10, or 6 of the vocabulary bengio72.
        min_fragments: smallest number of blocks in a molecule.
        max_atoms: largest number of heavy atoms in a molecule.
        vocabulary: the blocks: a file created by ``al-loop vocabulary``, or zinc, zinc_small, zinc_large or bengio72,
            which are included. The first three have stereocentres, double bonds with a configuration and charges; for
            bengio72, the 72 blocks of earlier versions, these are ignored. A config that names none gets zinc, and a
            run of an earlier version has bengio72 (null).
        exclude: SMILES of blocks of the vocabulary to omit.
        scaffold: a part that every molecule has, with an attachment point ``[*]`` for each of its substituents, such as
            ``c1ccc([*:1])cc1[*:2]``; or two parts with one attachment point each, which a linker is to connect. It need
            not be in the vocabulary, which must be one of patterns.

    Raises:
        ValueError: a limit is out of range, or the vocabulary cannot be used.
    """

    kind = "fragments"
    default_policy: ClassVar[str] = "fragments"

    def __new__(  # its parameters are the keys of a config
        cls,
        max_fragments: int | None = None,
        min_fragments: int = 2,
        max_atoms: int = 38,
        vocabulary: PathOrName | None = None,
        exclude: Sequence[str] = (),
        scaffold: str | Sequence[str] | None = None,
    ) -> Any:
        """Return an environment of the kind that the scaffold or the vocabulary requires."""
        sizes = max_fragments, min_fragments, max_atoms
        if cls is Fragments and scaffold is not None:
            return ScaffoldFragments(*sizes, vocabulary, exclude, scaffold)
        if cls is Fragments and read_vocabulary(vocabulary) is not None:
            return ClosedFragments(*sizes, vocabulary, exclude)
        return object.__new__(cls)

    def __init__(
        self,
        max_fragments: int | None = None,
        min_fragments: int = 2,
        max_atoms: int = 38,
        vocabulary: PathOrName | None = None,
        exclude: Sequence[str] = (),
        scaffold: str | Sequence[str] | None = None,
    ) -> None:
        max_fragments = 6 if max_fragments is None else max_fragments
        if not 1 <= min_fragments <= max_fragments:
            allowed = f"between 1 and max_fragments ({max_fragments})"
            raise ValueError(f"min_fragments: must be {allowed}, got {min_fragments}")
        blocks = read_blocks(vocabulary_path(vocabulary or BENGIO_72), exclude)
        least = min(b.n_atoms for b in blocks if b.required is None)
        if max_atoms < least:
            raise ValueError(f"max_atoms: {max_atoms} is below the smallest block, which has {least} heavy atoms")
        super().__init__(blocks, FragmentTables.of(blocks), SizeLimits(min_fragments, max_fragments, max_atoms))
        self._growth = LeastGrowth(self._tables, min_fragments - 1)
        smallest = self._growth.smallest()
        if smallest > max_atoms:
            fault = f"the smallest has {smallest}" if smallest < NEVER else "the blocks do not fit together"
            raise ValueError(
                f"min_fragments: no molecule of {min_fragments} blocks has at most max_atoms ({max_atoms}) heavy "
                f"atoms; {fault}"
            )
        self._growth_by_device = PerDevice(self._growth)
        self.n_actions = self.n_parents * self.n_sites * self.n_entries + 1
        self.n_backward_actions = max_fragments + 1  # a slot to remove, or stop to undo
        self.max_steps = max_fragments + 1

    def open_sites(self, states: Tensor) -> Tensor:
        """Return a bool mask of the sites to which an action may bond a block, shape n x n_parents x n_sites.

        The first block, which has no parent, counts as bonded to the first site of the first slot.
        """
        block = states[:, : self.n_parents]
        sites = self.tables(states.device).site_class[block] >= 0
        is_open = sites & ~self.occupied(states)[:, : self.n_parents]
        is_open[:, 0, 0] |= block[:, 0] == 0
        may_grow = (states[:, self.max_fragments - 1] == 0) & (states[:, -1] == 0)
        return is_open & may_grow[:, None, None]

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        states = states.clone()
        is_stop = actions == self.n_actions - 1
        at, entry = actions // self.n_entries, actions % self.n_entries
        slot = (states[:, : self.max_fragments] > 0).sum(1)
        device = states.device
        tables = self.tables(device)
        new = torch.stack(
            [tables.entry_block[entry], at // self.n_sites, at % self.n_sites, tables.entry_site[entry]], dim=1
        )
        new[:, 1:] *= (slot > 0)[:, None]  # the first block has no parent
        columns = slot[:, None] + self.max_fragments * torch.arange(4, device=device)
        columns = torch.where(is_stop[:, None], self.state_size - 1, columns)
        return states.scatter(1, columns, torch.where(is_stop[:, None], 1, new))

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        slots = self.max_fragments
        slot_index = torch.arange(slots, device=states.device)
        removed = backward_actions[:, None]
        source = slot_index + (slot_index >= removed).long()
        remains = (source < slots)[:, None].expand(-1, 4, -1).clone()
        remains[:, 1:, 0] = False  # if the root is removed, its only neighbour becomes the root
        rows = states[:, :-1].reshape(-1, 4, slots)
        rows = rows.gather(2, source.clamp(max=slots - 1)[:, None].expand(-1, 4, -1))
        rows[:, 1] -= (rows[:, 1] > removed).long()
        smaller = torch.where(remains, rows, 0).flatten(1)
        is_undo = removed == slots  # stop is undone, no block is removed
        return torch.cat([torch.where(is_undo, states[:, :-1], smaller), torch.zeros_like(removed)], dim=1)

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        """Return the slot of the new block, or the undoing of stop, shape n."""
        slot = (states[:, : self.max_fragments] > 0).sum(1)
        return torch.where(actions == self.n_actions - 1, self.max_fragments, slot)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Return the action that rebonds the removed block by the first of its equivalent sites, shape n."""
        block, parent, parent_site, own_site = read_slots(states)
        removed = backward_actions.clamp(max=self.max_fragments - 1)[:, None]
        # a root is removed when it has one child, which is in the second slot and then in the first
        child = min(1, self.max_fragments - 1)
        is_root = removed == 0
        site = torch.where(is_root, parent_site[:, child, None], own_site.gather(1, removed))
        at_site = torch.where(is_root, own_site[:, child, None], parent_site.gather(1, removed))
        slot = torch.where(is_root, 0, parent.gather(1, removed))
        entry = self.tables(states.device).entry_of[block.gather(1, removed), site]
        action = (slot * self.n_sites + at_site) * self.n_entries + entry
        return torch.where(backward_actions == self.max_fragments, self.n_actions - 1, action[:, 0])

    def retrace(self, states: Tensor, backward_actions: Tensor) -> tuple[Tensor, Tensor]:
        return retrace(states, backward_actions, self.tables(states.device), self.n_actions - 1)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return the bonds that site classes, size limits and free slots allow, and whether stop is allowed."""
        device = states.device
        tables = self.tables(device)
        block = states[:, : self.max_fragments]
        n, count = len(states), (block > 0).sum(1)
        is_open = states[:, -1] == 0
        room = self.max_atoms - tables.n_atoms[block].sum(1)
        room = torch.where(is_open & (count < self.max_fragments), room, 0)
        fits = tables.entry_n_atoms <= room[:, None]
        allowed = tables.joins & fits[:, None]  # n x classes x entries: there are fewer classes than sites
        n_classes = len(tables.joins)
        site_class = tables.site_class[block[:, : self.n_parents]]
        is_closed = (site_class < 0) | self.occupied(states)[:, : self.n_parents]
        site_class = torch.where(is_closed, n_classes - 1, site_class).flatten(1)
        site_class[:, 0] = torch.where(count == 0, n_classes - 2, site_class[:, 0])
        row = site_class + n_classes * torch.arange(n, device=device)[:, None]
        grows = allowed.flatten(0, 1).index_select(0, row.flatten())
        # no state is a dead end: after each step, the molecule can still reach its smallest number of blocks
        left = (self.min_fragments - 1 - count).clamp(min=0)
        grows = grows.view(n, self.n_parents * self.n_sites, self.n_entries) & self._growth_by_device.on(device).allows(
            site_class, room, left, count == 0
        )
        may_stop = is_open & (count >= self.min_fragments)
        return torch.cat([grows.flatten(1), may_stop[:, None]], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Return the blocks with one neighbour, except those whose neighbour requires the bond."""
        device = states.device
        block, parent, parent_site, own_site = read_slots(states)
        is_finished = states[:, -1:] == 1
        is_leaf = (block > 0) & (self.degree(states) <= 1)
        # the block bonded to a required site remains as long as the block that requires it
        required = self.tables(device).required[block]
        blocked = (required.gather(1, parent) == parent_site) & (required.gather(1, parent) >= 0)
        blocked[:, 0] = False
        child_of_root = torch.arange(self.max_fragments, device=device) > 0
        holds_root = (parent == 0) & child_of_root & (required == own_site) & (required >= 0) & (block > 0)
        blocked[:, 0] = holds_root.any(1)
        return torch.cat([is_leaf & ~blocked & ~is_finished, is_finished], dim=1)

    def features(self, states: Tensor) -> Tensor:
        """Raise a ValueError, since trees have no flat features; a policy must read the tree itself."""
        raise ValueError("fragments are trees, which have no flat features; use policy: {kind: fragments}")

    def log_multiplicity(self, states: Tensor) -> Tensor:
        """Return log(labellings of the sites) - log(automorphisms), shape n, exact but for 64-bit hash collisions.

        The sites of a molecule's fragment tree can be relabelled by any symmetry of each block; blocks other than the
        first are bonded by the first site of an orbit, so only the stabiliser of that site remains. Each state is then
        counted once for each automorphism of the whole tree. See ``Environment.log_multiplicity``.
        """
        device = states.device
        tables = self.tables(device)
        block, _, _, own_site = read_slots(states)
        slot_index = torch.arange(self.max_fragments, device=device)
        labellings = tables.n_symmetries[block].log()
        orbit = tables.orbit_size[block, own_site].log()
        labellings = labellings - torch.where((slot_index > 0) & (block > 0), orbit, 0.0)
        return labellings.sum(1) - self.n_automorphisms(states).double().log().float()

    def log_paths(self, states: Tensor) -> Tensor:
        return log_paths(states, self.tables(states.device))

    def decode(self, states: Tensor) -> list[str]:
        """Return canonical SMILES."""
        from al_loop.environments.fragments.decoding import decode

        return decode(states, self.blocks)

    def encode(self, objects: Sequence[str]) -> Tensor:
        """Return a state of each molecule; stereochemistry is ignored."""
        from al_loop.environments.fragments.encoding import encode_molecule

        rows = [encode_molecule(smiles, self.blocks, self._limits) for smiles in objects]
        states = torch.tensor(rows, dtype=torch.int64).reshape(-1, self.state_size)
        count = (states[:, : self.max_fragments] > 0).sum(1)
        unfinished = torch.cat([states[:, :-1], torch.zeros_like(states[:, -1:])], dim=1)
        too_small = (~self.forward_mask(unfinished)[:, -1]).nonzero()[:, 0].tolist()
        if too_small:
            i, allowed = too_small[0], f"{self.min_fragments} to {self.max_fragments}"
            raise ValueError(f"{objects[i]!r} has {int(count[i])} fragments, not {allowed}")
        self._require_bonds(states, objects)
        return states

    def _require_bonds(self, states: Tensor, objects: Sequence[str]) -> None:
        """Raise a ValueError if a molecule has a bond that no action makes."""
        block, parent, parent_site, own_site = read_slots(states)
        tables = self._tables
        ends = tables.site_class[block.gather(1, parent), parent_site], tables.site_class[block, own_site]
        is_child = (block > 0) & (torch.arange(block.shape[1]) > 0)
        faults = (is_child & ~tables.may_join[ends[0], ends[1]]).nonzero().tolist()
        if faults:
            i, slot = faults[0]
            first, second = (SITE_CLASSES[int(end[i, slot])].replace("_", " ") for end in ends)
            raise ValueError(f"{objects[i]!r} has a bond between {first} and {second} atoms, which no action makes")

    def breeder(self, seed: int) -> PartCrossover:
        return PartCrossover(self._tables, self._limits, seed)

    def about(self) -> list[str]:
        n_rings = sum(block.is_ring for block in self.blocks)
        return [
            f"molecules of {self.min_fragments} to {self.max_fragments} blocks, at most {self.max_atoms} heavy atoms",
            f"{len(self.blocks)} blocks: {n_rings} ring systems and {len(self.blocks) - n_rings} chains",
            "it cannot make other ring systems or chains, charges, or molecules with a defined stereochemistry",
        ]

    def vocabulary(self) -> list[Any]:
        return [[block.smiles, block.sites] for block in self.blocks]
