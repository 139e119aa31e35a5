"""Trees of blocks as lists of bonds, and their states: breadth-first from the block of the highest rank."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from al_loop.environments.fragments.closing import Closing
from al_loop.environments.fragments.states import SizeLimits

#: bonds of each block: its site -> (index of the other block, its site)
Bonds = list[dict[int, tuple[int, int]]]


class TreeWriter:
    """States of trees, and why a tree has none.

    Args:
        closing: of the vocabulary, on the CPU.
        limits: sizes of the molecules.
    """

    def __init__(self, closing: Closing, limits: SizeLimits) -> None:
        self._blocks, self._limits = closing.blocks, limits
        self._closing = closing

    @cached_property
    def _rank(self) -> list[int]:
        return [int(x) for x in self._closing.rank]

    @cached_property
    def _least(self) -> list[list[int]]:
        return [[int(x) for x in row] for row in self._closing.least]

    @cached_property
    def _joins(self) -> set[tuple[str, str]]:
        classes = sorted({kind for block in self._blocks for kind in block.classes})
        table = self._closing.tables.may_join
        return {(classes[a], classes[b]) for a, b in table.nonzero().tolist()}

    @cached_property
    def _may_lead(self) -> set[int]:
        tables = self._closing.tables
        return {int(b) for b in tables.entry_block[tables.joins[-2]]}

    def may_join(self, first: int, first_site: int, second: int, second_site: int) -> bool:
        """Return whether two sites may be bonded.

        Args:
            first: a block, from 1.
            first_site: its site.
            second: another block, from 1.
            second_site: its site.
        """
        ends = self._blocks[first - 1].classes[first_site], self._blocks[second - 1].classes[second_site]
        return ends in self._joins

    def write(self, blocks: Sequence[int], bonds: Bonds) -> list[int] | str:
        """Return the finished state of a tree, or why no actions lead to it.

        Args:
            blocks: the blocks, from 1.
            bonds: the bonds of each of them, at all of their sites.
        """
        limits, n_slots = self._limits, self._limits.max_fragments
        if len(blocks) > n_slots:
            return f"it has {len(blocks)} blocks, more than max_fragments ({n_slots})"
        n_atoms = sum(self._blocks[b - 1].n_atoms for b in blocks)
        if n_atoms > limits.max_atoms:
            return f"it has {n_atoms} heavy atoms, more than max_atoms ({limits.max_atoms})"
        for i, own in enumerate(bonds):
            for site, (other, other_site) in own.items():
                if not self.may_join(blocks[i], site, blocks[other], other_site):
                    ends = (
                        self._blocks[blocks[i] - 1].classes[site],
                        self._blocks[blocks[other] - 1].classes[other_site],
                    )
                    return f"the vocabulary has no bond between {ends[0]} and {ends[1]}"
        root = max(range(len(blocks)), key=lambda i: self._rank[blocks[i]])
        if blocks[root] not in self._may_lead:
            return f"no molecule begins with its largest block, {self._blocks[blocks[root] - 1].smiles}"
        row = [0] * limits.state_size
        row[0], row[-1] = blocks[root], 1
        #: index of the block, its slot, the sites of the block in the state's numbering, whence it was reached
        queue = [(root, 0, list(range(len(self._blocks[blocks[root] - 1].sites))), -1)]
        slot, taken = 1, self._total(blocks[root])
        if taken > limits.max_atoms:
            return f"there is no room for it beside max_atoms ({limits.max_atoms}) while it is built"
        for index, at, names, came_from in queue:
            for site in sorted(bonds[index], key=lambda s: names[s]):
                other, other_site = bonds[index][site]
                if other == came_from:
                    continue
                block = self._blocks[blocks[other] - 1]
                # a block is bonded by the first of its equivalent sites
                first = min(p[other_site] for p in block.symmetries)
                renamed = next(p for p in block.symmetries if p[other_site] == first)
                row[slot], row[n_slots + slot] = blocks[other], at
                row[2 * n_slots + slot], row[3 * n_slots + slot] = names[site], first
                taken += self._total(blocks[other]) - self._least[blocks[other]][other_site]
                taken -= self._least[blocks[index]][site]
                if taken > limits.max_atoms:
                    return f"there is no room for it beside max_atoms ({limits.max_atoms}) while it is built"
                queue.append((other, slot, renamed, index))
                slot += 1
        return row

    def _total(self, block: int) -> int:
        return self._blocks[block - 1].n_atoms + sum(self._least[block])

    def read(self, row: Sequence[int]) -> tuple[list[int], Bonds]:
        """Return the blocks of a finished state, from 1, and their bonds."""
        slots = self._limits.max_fragments
        blocks = [block for block in row[:slots] if block]
        bonds: Bonds = [{} for _ in blocks]
        for slot in range(1, len(blocks)):
            parent, parent_site, own_site = row[slots + slot], row[2 * slots + slot], row[3 * slots + slot]
            bonds[slot][own_site] = parent, parent_site
            bonds[parent][parent_site] = slot, own_site
        return blocks, bonds
