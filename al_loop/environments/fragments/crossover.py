"""Children of two molecules: a part of one, bonded to a part of the other."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from al_loop.environments.fragments import Fragments

_N_TRIES = 20


@dataclass(frozen=True)
class _Part:
    """A connected part of a molecule.

    blocks: 1-based. bonds: of each block, (own site, index of the other block, its site). free: (block, site) that
    may be bonded.
    """

    blocks: list[int]
    bonds: list[list[tuple[int, int, int]]]
    free: list[tuple[int, int]]


class Crossover:
    """Makes children, see ``Fragments.crossover``; object by object.

    Args:
        environment: the space that parents and children are in.
        seed: of all random choices.
    """

    def __init__(self, environment: Fragments, seed: int) -> None:
        self.environment = environment
        self._random = random.Random(seed)
        cpu = torch.device("cpu")
        self._site_class, self._required, self._n_atoms, self._may_join, self._to_first = (
            environment.table(name, cpu).tolist()
            for name in ("_site_class", "_required", "_n_atoms", "_may_join", "_to_first")
        )

    def child(self, a: list[int], b: list[int]) -> list[int] | None:
        """A terminal state made of two, as rows of ``state_size`` numbers; None where none was found."""
        space = self.environment
        trees = self._tree(a), self._tree(b)
        for _ in range(_N_TRIES):
            n_a = self._random.randint(1, len(trees[0][0]))
            least, most = max(1, space.min_fragments - n_a), min(len(trees[1][0]), space.max_fragments - n_a)
            if least > most:
                continue
            parts = self._part(*trees[0], n_a), self._part(*trees[1], self._random.randint(least, most))
            if sum(self._n_atoms[block] for part in parts for block in part.blocks) > space.max_atoms:
                continue
            row = self._join(*parts)
            if row is not None:
                return row
        return None

    def _tree(self, row: list[int]) -> tuple[list[int], list[list[tuple[int, int, int]]]]:
        slots = self.environment.max_fragments
        blocks = [block for block in row[:slots] if block]
        bonds: list[list[tuple[int, int, int]]] = [[] for _ in blocks]
        for slot in range(1, len(blocks)):
            parent, parent_site, own_site = row[slots + slot], row[2 * slots + slot], row[3 * slots + slot]
            bonds[slot].append((own_site, parent, parent_site))
            bonds[parent].append((parent_site, slot, own_site))
        return blocks, bonds

    def _part(self, blocks: list[int], bonds: list[list[tuple[int, int, int]]], size: int) -> _Part:
        """A random connected part of so many blocks."""
        members = [self._random.randrange(len(blocks))]
        around = [other for _, other, _ in bonds[members[0]]]
        while len(members) < size:
            members.append(around.pop(self._random.randrange(len(around))))
            around += [other for _, other, _ in bonds[members[-1]] if other not in members]
        number = {slot: i for i, slot in enumerate(members)}
        kept = [[(own, number[to], site) for own, to, site in bonds[slot] if to in number] for slot in members]
        inside = [blocks[slot] for slot in members]
        free = []
        for i, block in enumerate(inside):
            used = {own for own, _, _ in kept[i]}
            free += [(i, s) for s, kind in enumerate(self._site_class[block]) if kind >= 0 and s not in used]
        # a bond that is required must be made here, as no other is made
        unmet = [(i, self._required[block]) for i, block in enumerate(inside) if (i, self._required[block]) in free]
        return _Part(inside, kept, ([] if len(unmet) > 1 else unmet) if unmet else free)

    def _join(self, a: _Part, b: _Part) -> list[int] | None:
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

    def _write(self, blocks: list[int], bonds: list[list[tuple[int, int, int]]], root: int) -> list[int] | None:
        """The state that starts at a block, or None where a required bond would not be the one to the parent."""
        if self._required[blocks[root]] >= 0:
            return None
        slots = self.environment.max_fragments
        row = [0] * self.environment.state_size
        row[0], row[-1] = blocks[root], 1
        names = self._to_first[0][0]  # of the sites; equivalent ones have one name where a block is bonded
        waiting = [(root, -1, 0, names)]  # block, where it came from, its slot, names of its sites
        slot = 1
        for block, came_from, at, names in waiting:
            for site, other, other_site in bonds[block]:
                if other == came_from:
                    continue
                if self._required[blocks[other]] not in (-1, other_site):
                    return None
                renamed = self._to_first[blocks[other]][other_site]
                row[slot], row[slots + slot] = blocks[other], at
                row[2 * slots + slot], row[3 * slots + slot] = names[site], renamed[other_site]
                waiting.append((other, block, slot, renamed))
                slot += 1
        return row


def cross(environment: Fragments, a: Tensor, b: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """As ``Fragments.crossover``."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    crossover = Crossover(environment, seed)
    mothers = a.tolist()
    children = [crossover.child(x, y) for x, y in zip(mothers, b.tolist(), strict=True)]
    rows = [mother if child is None else child for mother, child in zip(mothers, children, strict=True)]
    states = torch.tensor(rows, dtype=torch.int64, device=a.device).reshape(-1, environment.state_size)
    return states, torch.tensor([child is not None for child in children], dtype=torch.bool, device=a.device)
