"""The layout of states of the fragment environment, and the size limits of its molecules.

A state lists, for each slot, the block (1-based, 0 if empty), the slot of its parent, the parent's site and its own
site, in four groups of ``max_fragments`` numbers. The last number is 1 if the molecule is finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from al_loop.system.checks import whole_number


@dataclass(frozen=True)
class SizeLimits:
    """Size limits of molecules.

    Args:
        min_fragments: smallest number of blocks in a molecule.
        max_fragments: largest number of blocks in a molecule, at least ``min_fragments``.
        max_atoms: largest number of heavy atoms in a molecule.

    Raises:
        ValueError: a size is below 1, or no whole number.
    """

    min_fragments: int
    max_fragments: int
    max_atoms: int

    def __post_init__(self) -> None:
        for name in ("min_fragments", "max_fragments", "max_atoms"):
            whole_number(name, getattr(self, name), 1)

    @property
    def state_size(self) -> int:
        """Number of entries of a state."""
        return 4 * self.max_fragments + 1

    @property
    def n_parents(self) -> int:
        """Number of slots that can have children; a block in the last slot has none."""
        return max(self.max_fragments - 1, 1)


class Slots(NamedTuple):
    """The columns of n states, n x max_fragments each: block (0: empty), parent's slot, parent's site, own site."""

    block: Tensor
    parent: Tensor
    parent_site: Tensor
    own_site: Tensor


def read_slots(states: Tensor) -> Slots:
    """Split states (n x state_size) into their columns."""
    rows = states[:, :-1].reshape(-1, 4, (states.shape[1] - 1) // 4)
    return Slots(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3])


def bonded_sites(states: Tensor, n_sites: int) -> Tensor:
    """Return a bool mask of the sites with a bond, shape n x max_fragments x n_sites.

    Args:
        states: states, shape n x state_size.
        n_sites: number of sites of a block in the tables.
    """
    block, parent, parent_site, own_site = read_slots(states)
    is_child = (block > 0).long()
    is_child[:, 0] = 0
    bits = (is_child << own_site).scatter_add_(1, parent, is_child << parent_site)  # bit s: site s
    return (bits[..., None] >> torch.arange(n_sites, device=states.device)) & 1 > 0
