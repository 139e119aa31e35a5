"""The bonds that leave a way to close all open attachment points of a tree of patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from al_loop.environments.fragments.blocks import Block
from al_loop.environments.fragments.growth import NEVER
from al_loop.environments.fragments.states import SizeLimits, bonded_sites, read_slots
from al_loop.environments.fragments.tables import FragmentTables


class Focus(NamedTuple):
    """The first open attachment point of n states.

    Args:
        slot: its slot, n; 0 if nothing is open.
        site: its site, n; 0 if nothing is open.
        row: its row in ``FragmentTables.joins``, n: a class, or no block yet, or nothing is open.
    """

    slot: Tensor
    site: Tensor
    row: Tensor


def rank_of(block: Block) -> tuple[bool, bool, int, str]:
    """Return the key by which blocks are ranked; the root of a molecule has the highest."""
    return block.is_ring, len(block.sites) > 1, block.n_atoms, block.smiles


@dataclass(frozen=True, eq=False)
class Closing:
    """Tables with which each state is known to have a way to its end.

    A site can be closed by an *end*: a block without rings that has one attachment point. Each state leaves room for
    the smallest end of each open site.

    Args:
        blocks: the blocks that can be used.
        tables: their look-up tables; row of ``joins``: class of a site, then no block yet, then nothing is open.
        rank: rank of each block, n_blocks + 1.
        n_sites: number of sites of each block, n_blocks + 1.
        least: heavy atoms of the smallest end for each site, n_blocks + 1 x n_sites; 0 where there is no site.
        cost: heavy atoms that each entry adds, with the ends of its other sites, n_entries.
        root_cost: the same for a first block, n_entries.
        row_least: heavy atoms of the smallest end for each row of ``joins``.
    """

    blocks: tuple[Block, ...]
    tables: FragmentTables
    rank: Tensor
    n_sites: Tensor
    least: Tensor
    cost: Tensor
    root_cost: Tensor
    row_least: Tensor

    def to(self, device: torch.device) -> Closing:
        """Return the same tables on another device."""
        moved: dict[str, Any] = {name: x.to(device) for name, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, tables=self.tables.to(device), **moved)

    @classmethod
    def of(cls, blocks: Sequence[Block], joins: Mapping[frozenset[str], int], name: str) -> Closing:
        """Build the tables of a vocabulary, without the blocks that could not be closed.

        Args:
            blocks: the blocks.
            joins: pairs of classes of sites that may be bonded.
            name: of the vocabulary, for messages.

        Raises:
            ValueError: no molecule can be made.
        """
        ends = sorted((b for b in blocks if len(b.sites) == 1 and not b.is_ring), key=rank_of)

        def end_for(kind: str) -> Block | None:
            fitting = [end for end in ends if frozenset((kind, end.classes[0])) in joins]
            return min(fitting, key=lambda end: (end.n_atoms, rank_of(end)), default=None)

        end_of = {kind: end_for(kind) for kind in {kind for block in blocks for kind in block.classes}}
        kept = [b for b in blocks if len(b.sites) == 1 or all(end_of[kind] is not None for kind in b.classes)]
        needed = [end_of[kind] for block in kept if len(block.sites) > 1 for kind in block.classes]
        floor = max((rank_of(end) for end in needed if end is not None), default=rank_of(kept[0]) if kept else None)
        roots = [b for b in kept if all(end_of[k] for k in b.classes) and floor is not None and rank_of(b) >= floor]
        if not roots:
            raise ValueError(
                f"vocabulary: no molecule can be made of the blocks of {name}: it needs blocks with one attachment "
                "point that may be bonded to the others"
            )
        classes = sorted({kind for block in kept for kind in block.classes})
        tables = FragmentTables.of(kept, classes, joins)
        order = sorted(range(len(kept)), key=lambda i: rank_of(kept[i]))
        rank = torch.zeros(len(kept) + 1, dtype=torch.int64)
        rank[torch.tensor(order) + 1] = torch.arange(1, len(kept) + 1)
        least_of = {kind: NEVER if (end := end_of[kind]) is None else end.n_atoms for kind in classes}
        least = torch.zeros_like(tables.site_class)
        for i, block in enumerate(kept, start=1):
            least[i, : len(block.sites)] = torch.tensor([least_of[kind] for kind in block.classes])
        entry_block, entry_site = tables.entry_block, tables.entry_site
        root_cost = tables.n_atoms[entry_block] + least[entry_block].sum(1)
        may_lead = torch.zeros(len(kept) + 1, dtype=torch.bool)
        may_lead[[i for i, b in enumerate(kept, start=1) if any(b is root for root in roots)]] = True
        joins_table = tables.joins.clone()
        joins_table[-2] &= may_lead[entry_block]
        row_least = torch.tensor([*(least_of[kind] for kind in classes), 0, 0])
        return cls(
            blocks=tuple(kept),
            tables=replace(tables, joins=joins_table),
            rank=rank,
            n_sites=(tables.site_class >= 0).sum(1),
            least=least,
            cost=root_cost - least[entry_block, entry_site],
            root_cost=root_cost,
            row_least=row_least,
        )

    def smallest(self) -> int:
        """Return the number of heavy atoms of the smallest molecule."""
        return int(torch.where(self.tables.joins[-2], self.root_cost, NEVER).min())

    def n_open(self, states: Tensor) -> Tensor:
        """Return the number of open attachment points, shape n; 0 for the initial state, too."""
        block, _, _, _ = read_slots(states)
        count = (block > 0).sum(1)
        return self.n_sites[block].sum(1) - 2 * (count - 1).clamp(min=0)

    def focus(self, states: Tensor) -> Focus:
        """Return the first open attachment point of each state, in the order of the slots, then of the sites."""
        block, sites = read_slots(states).block, self.tables.n_sites
        is_open = ((self.tables.site_class[block] >= 0) & ~bonded_sites(states, sites)).flatten(1)
        place = is_open.int().argmax(1)
        slot, site = place // sites, place % sites
        n_rows = len(self.tables.joins)
        kind = self.tables.site_class[block.gather(1, slot[:, None])[:, 0], site]
        row = torch.where(is_open.any(1), kind, n_rows - 1)
        return Focus(slot, site, torch.where(block[:, 0] == 0, n_rows - 2, row))

    def room(self, states: Tensor, focus: Focus, limits: SizeLimits) -> Tensor:
        """Return the heavy atoms left for the first open attachment point, shape n: all others get their smallest ends.

        Args:
            states: states, shape n x state_size.
            focus: their first open attachment points.
            limits: sizes of the molecules.
        """
        block, parent, parent_site, own_site = read_slots(states)
        is_child = (block > 0) & (torch.arange(block.shape[1], device=states.device) > 0)
        bonded = self.least[block, own_site] + self.least[block.gather(1, parent), parent_site]
        own = self.tables.n_atoms[block].sum(1)
        taken = own + self.least[block].sum((1, 2)) - torch.where(is_child, bonded, 0).sum(1)
        return limits.max_atoms - taken + self.row_least[focus.row]

    def mask(self, states: Tensor, focus: Focus, limits: SizeLimits) -> Tensor:
        """Return the entries that may be bonded to the first open attachment point, shape n x n_entries.

        Args:
            states: states, shape n x state_size.
            focus: their first open attachment points.
            limits: sizes of the molecules.
        """
        tables, row, room = self.tables, focus.row, self.room(states, focus, limits)
        block = read_slots(states).block
        is_first = block[:, 0] == 0
        places = limits.max_fragments - (block > 0).sum(1) - self.n_open(states)  # beyond the ends of open sites
        places = torch.where(is_first, limits.max_fragments - 2, places)
        n_others = self.n_sites[tables.entry_block] - 1
        fits = torch.where(is_first[:, None], self.root_cost, self.cost) <= room[:, None]
        ranks = self.rank[tables.entry_block] <= torch.where(is_first, len(self.rank), self.rank[block[:, 0]])[:, None]
        return tables.joins[row] & fits & (n_others <= places[:, None]) & ranks
