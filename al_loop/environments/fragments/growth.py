"""The least number of heavy atoms with which a molecule can reach its smallest number of blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.environments.fragments.tables import FragmentTables

#: more heavy atoms than any molecule has: there is no way to add so many blocks
NEVER = 10_000


class LeastGrowth:
    """Least numbers of heavy atoms of further blocks, found by dynamic programming over trees.

    Args:
        tables: of the vocabulary.
        n_more: largest number of further blocks.
    """

    def __init__(self, tables: FragmentTables, n_more: int) -> None:
        self._entry_n_atoms = tables.entry_n_atoms
        #: classes x (n_more + 1): the least atoms of a branch of j blocks at a free site of a class
        self._at_site = torch.full((len(tables.joins), n_more + 1), NEVER)
        self._at_site[:, 0] = 0
        self._is_root = tables.joins[-2]
        for j in range(n_more + 1):
            #: entries x (n_more + 1): the least atoms of j blocks at the free sites of a block, bonded or as the root
            self._beyond, self._beyond_root = self._at_blocks(tables, True), self._at_blocks(tables, False)
            if j < n_more:
                least = (tables.entry_n_atoms + self._beyond[:, j]).clamp(max=NEVER)
                self._at_site[:, j + 1] = torch.where(tables.joins, least, NEVER).amin(1)

    def _at_blocks(self, tables: FragmentTables, is_bonded: bool) -> Tensor:
        total = _nothing(len(tables.entry_block), self._at_site.shape[1])
        for site in range(tables.n_sites):
            branch = self._at_site[tables.site_class[tables.entry_block, site]]  # class -1, no site: the last row
            if is_bonded:
                branch = torch.where((tables.entry_site == site)[:, None], _nothing(*total.shape), branch)
            total = _add(total, branch)
        return total

    def smallest(self) -> int:
        """Return the heavy atoms of the smallest molecule of ``n_more`` + 1 blocks; at least NEVER if there is none."""
        total = torch.where(self._is_root, self._entry_n_atoms + self._beyond_root[:, -1], NEVER)
        return int(total.min())

    def to(self, device: torch.device) -> LeastGrowth:
        """Return the same numbers on another device."""
        if self._at_site.device == device:
            return self
        other = object.__new__(LeastGrowth)
        other.__dict__.update({name: value.to(device) for name, value in self.__dict__.items()})
        return other

    def allows(self, site_class: Tensor, room: Tensor, n_left: Tensor, is_first: Tensor) -> Tensor:
        """Return whether enough blocks can still be added after an action, n x sites x entries.

        The work depends on the shapes alone, so that no GPU has to be waited for.

        Args:
            site_class: class of each site of n molecules, n x sites; the last class for a site that is not free.
            room: heavy atoms that may be added, n.
            n_left: blocks to be added after the action, n.
            is_first: whether the action places the first block, n.
        """
        n_more = self._at_site.shape[1] - 1
        first = (self._entry_n_atoms + self._beyond_root[:, -1]) <= room[:, None]
        if n_more < 2:  # any block but the first may be the last
            return (first | ~is_first[:, None])[:, None]
        room = room.clamp(max=NEVER).short()
        others = self._others(site_class)
        allowed = is_first[:, None, None] & first[:, None]
        for j in range(n_more):
            i = (n_left - j).clamp(min=0)[:, None, None].expand(-1, site_class.shape[1], 1)
            others_left = torch.where((n_left >= j)[:, None], others.gather(2, i)[..., 0], NEVER)
            beyond = (self._entry_n_atoms + self._beyond[:, j]).clamp(max=NEVER).short()
            allowed = allowed | ((beyond <= (room[:, None] - others_left)[..., None]) & ~is_first[:, None, None])
        return allowed

    def _others(self, site_class: Tensor) -> Tensor:
        """Return the least atoms of j blocks at all sites but one: n x sites x (n_more + 1)."""
        branches = self._at_site[site_class].short()
        n, n_sites, n_columns = branches.shape
        before, after = [_nothing(n, n_columns, branches)], [_nothing(n, n_columns, branches)]
        for i in range(n_sites - 1):
            before.append(_add(before[-1], branches[:, i]))
            after.append(_add(after[-1], branches[:, n_sites - 1 - i]))
        return torch.stack([_add(b, a) for b, a in zip(before, reversed(after), strict=True)], dim=1)


def _nothing(n: int, n_columns: int, like: Tensor | None = None) -> Tensor:
    total = torch.full((n, n_columns), NEVER) if like is None else like.new_full((n, n_columns), NEVER)
    total[:, 0] = 0
    return total


def _add(a: Tensor, b: Tensor) -> Tensor:
    """Return the least atoms of j blocks in two places, n x columns, from those in each place."""
    columns = [
        torch.stack([a[:, i] + b[:, j - i] for i in range(j + 1)]).amin(0).clamp(max=NEVER) for j in range(a.shape[1])
    ]
    return torch.stack(columns, dim=1)
