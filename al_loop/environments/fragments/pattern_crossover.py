"""Children of two closed trees: a half of one, bonded to a half of the other."""

from __future__ import annotations

import random

from al_loop.environments.fragments.closing import Closing
from al_loop.environments.fragments.pattern_trees import Bonds, TreeWriter
from al_loop.environments.fragments.states import SizeLimits

_N_ATTEMPTS = 20


class HalfCrossover:
    """A generator of children, one at a time.

    Args:
        closing: of the vocabulary, on the CPU.
        limits: sizes of the children.
        seed: source of all random choices.
    """

    def __init__(self, closing: Closing, limits: SizeLimits, seed: int) -> None:
        self._random, self._writer = random.Random(seed), TreeWriter(closing, limits)

    def child(self, a: list[int], b: list[int]) -> list[int] | None:
        """Return a finished child of two states, as a row of ``state_size`` numbers, or None if none was found."""
        trees = self._writer.read(a), self._writer.read(b)
        for _ in range(_N_ATTEMPTS):
            (first, i, site_i), (second, j, site_j) = (_half(self._random, *tree) for tree in trees)
            if not self._writer.may_join(first[0][i], site_i, second[0][j], site_j):
                continue
            shift = len(first[0])
            moved: Bonds = [{s: (to + shift, t) for s, (to, t) in own.items()} for own in second[1]]
            bonds = [*map(dict, first[1]), *moved]
            bonds[i][site_i] = j + shift, site_j
            bonds[j + shift][site_j] = i, site_i
            row = self._writer.write([*first[0], *second[0]], bonds)
            if not isinstance(row, str):
                return row
        return None


def _half(choice: random.Random, blocks: list[int], bonds: Bonds) -> tuple[tuple[list[int], Bonds], int, int]:
    """Return one side of a random bond, with the block and the site that had the bond."""
    begin = choice.randrange(len(blocks))
    site = choice.choice(sorted(bonds[begin]))
    beyond = bonds[begin][site][0]
    members = [begin]
    for member in members:
        members += [to for to, _ in bonds[member].values() if to not in members and (member, to) != (begin, beyond)]
    number = {old: new for new, old in enumerate(members)}
    kept = [{s: (number[to], t) for s, (to, t) in bonds[old].items() if to in number} for old in members]
    return ([blocks[old] for old in members], kept), 0, site
