"""Children of two molecules: a part of one, bonded to a part of the other."""

from __future__ import annotations

import random
from dataclasses import dataclass

from al_loop.environments.fragments.states import SizeLimits
from al_loop.environments.fragments.tables import FragmentTables

_N_ATTEMPTS = 20

#: bonds of each block: (own site, index of the other block, its site)
_Bonds = list[list[tuple[int, int, int]]]


@dataclass(frozen=True)
class _Part:
    """A connected part of a molecule.

    Args:
        blocks: 1-based indices into the vocabulary.
        bonds: bonds between the blocks of the part.
        free: (block, site) pairs that may be bonded to another part.
    """

    blocks: list[int]
    bonds: _Bonds
    free: list[tuple[int, int]]


class PartCrossover:
    """A generator of children, one at a time.

    Args:
        tables: the tables of the vocabulary, on any device.
        limits: sizes of the children.
        seed: source of all random choices.
    """

    def __init__(self, tables: FragmentTables, limits: SizeLimits, seed: int) -> None:
        self._limits = limits
        self._random = random.Random(seed)
        self._site_class: list[list[int]] = tables.site_class.tolist()
        self._required: list[int] = tables.required.tolist()
        self._n_atoms: list[int] = tables.n_atoms.tolist()
        self._may_join: list[list[bool]] = tables.may_join.tolist()
        self._to_first: list[list[list[int]]] = tables.to_first.tolist()

    def child(self, a: list[int], b: list[int]) -> list[int] | None:
        """Return a finished child of two states, as a row of ``state_size`` numbers, or None if none was found."""
        limits = self._limits
        trees = self._tree(a), self._tree(b)
        for _ in range(_N_ATTEMPTS):
            n_a = self._random.randint(1, len(trees[0][0]))
            least, most = max(1, limits.min_fragments - n_a), min(len(trees[1][0]), limits.max_fragments - n_a)
            if least > most:
                continue
            parts = self._part(*trees[0], n_a), self._part(*trees[1], self._random.randint(least, most))
            if sum(self._n_atoms[block] for part in parts for block in part.blocks) > limits.max_atoms:
                continue
            row = self._join(*parts)
            if row is not None:
                return row
        return None

    def _tree(self, row: list[int]) -> tuple[list[int], _Bonds]:
        """Return the blocks of a state and their bonds."""
        slots = self._limits.max_fragments
        blocks = [block for block in row[:slots] if block]
        bonds: _Bonds = [[] for _ in blocks]
        for slot in range(1, len(blocks)):
            parent, parent_site, own_site = row[slots + slot], row[2 * slots + slot], row[3 * slots + slot]
            bonds[slot].append((own_site, parent, parent_site))
            bonds[parent].append((parent_site, slot, own_site))
        return blocks, bonds

    def _part(self, blocks: list[int], bonds: _Bonds, size: int) -> _Part:
        """Return a random connected part of ``size`` blocks."""
        members = [self._random.randrange(len(blocks))]
        around = [other for _, other, _ in bonds[members[0]]]
        while len(members) < size:
            members.append(around.pop(self._random.randrange(len(around))))
            around += [other for _, other, _ in bonds[members[-1]] if other not in members]
        number = {slot: i for i, slot in enumerate(members)}
        inner = [[(own, number[to], site) for own, to, site in bonds[slot] if to in number] for slot in members]
        inside = [blocks[slot] for slot in members]
        free = []
        for i, block in enumerate(inside):
            used = {own for own, _, _ in inner[i]}
            free += [(i, s) for s, kind in enumerate(self._site_class[block]) if kind >= 0 and s not in used]
        # a required bond must be the one between the parts, since no other is added
        unmet = [(i, self._required[block]) for i, block in enumerate(inside) if (i, self._required[block]) in free]
        return _Part(inside, inner, ([] if len(unmet) > 1 else unmet) if unmet else free)

    def _join(self, a: _Part, b: _Part) -> list[int] | None:
        """Return the state of two parts, bonded at random, or None if no bond is possible."""
        kinds_a, kinds_b = ([self._site_class[p.blocks[i]][s] for i, s in p.free] for p in (a, b))
        pairs = [(i, j) for i, x in enumerate(kinds_a) for j, y in enumerate(kinds_b) if self._may_join[x][y]]
        if not pairs:
            return None
        i, j = self._random.choice(pairs)
        (at_a, site_a), (at_b, site_b) = a.free[i], b.free[j]
        shift = len(a.blocks)
        bonds = [list(x) for x in a.bonds] + [[(own, to + shift, site) for own, to, site in x] for x in b.bonds]
        bonds[at_a].append((site_a, at_b + shift, site_b))
        bonds[at_b + shift].append((site_b, at_a, site_a))
        blocks = a.blocks + b.blocks
        for root in self._random.sample(range(len(blocks)), len(blocks)):
            row = self._write(blocks, bonds, root)
            if row is not None:
                return row
        return None

    def _write(self, blocks: list[int], bonds: _Bonds, root: int) -> list[int] | None:
        """Return the state with a block as the root, or None if a required bond would not lead to the parent."""
        if self._required[blocks[root]] >= 0:
            return None
        slots = self._limits.max_fragments
        row = [0] * self._limits.state_size
        row[0], row[-1] = blocks[root], 1
        names = self._to_first[0][0]  # names of the sites; a block is bonded by the first of its equivalent sites
        queue = [(root, -1, 0, names)]  # block, previous block, slot, names of its sites
        slot = 1
        for block, came_from, at, names in queue:
            for site, other, other_site in bonds[block]:
                if other == came_from:
                    continue
                if self._required[blocks[other]] not in (-1, other_site):
                    return None
                renamed = self._to_first[blocks[other]][other_site]
                row[slot], row[slots + slot] = blocks[other], at
                row[2 * slots + slot], row[3 * slots + slot] = names[site], renamed[other_site]
                queue.append((other, block, slot, renamed))
                slot += 1
        return row
