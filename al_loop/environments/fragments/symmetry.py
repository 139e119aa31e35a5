"""Automorphisms of fragment trees, counted for whole batches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from al_loop.environments.fragments.states import read_slots
from al_loop.environments.fragments.tables import FragmentTables, mix


class _Trees(NamedTuple):
    """What is known of the trees of n states.

    Args:
        whole: hash of the whole tree as seen from each slot, n x slots; equal for equivalent blocks.
        stabiliser: number of automorphisms that fix the root, n.
    """

    whole: Tensor
    stabiliser: Tensor


def count_automorphisms(states: Tensor, tables: FragmentTables) -> Tensor:
    """Count the automorphisms of each tree, free sites included; exact but for 64-bit hash collisions.

    By the orbit-stabiliser theorem, their number is the number of blocks equivalent to the root, times the number of
    automorphisms that fix the root.

    Args:
        states: states, shape n x state_size, finished or not.
        tables: the tables of the vocabulary, on the device of the states.

    Returns:
        The counts, shape n, int64.
    """
    whole, stabiliser = _trees(states, tables)
    orbit_of_root = ((whole == whole[:, :1]) & (states[:, : whole.shape[1]] > 0)).sum(1)
    return stabiliser * orbit_of_root.clamp(min=1)  # the empty tree has one automorphism


def identify(states: Tensor, tables: FragmentTables) -> Tensor:
    """Return a hash of each tree that does not depend on which of its states represents it, shape n, int64.

    A molecule has one tree, so that this is the identity of the molecule, but for 64-bit hash collisions.

    Args:
        states: states, shape n x state_size, finished or not.
        tables: the tables of the vocabulary, on the device of the states.
    """
    whole, _ = _trees(states, tables)
    largest = torch.iinfo(torch.int64).max
    return torch.where(states[:, : whole.shape[1]] > 0, whole, largest).amin(1)


def _trees(states: Tensor, tables: FragmentTables) -> _Trees:
    """Pass messages along the bonds of each tree, up to the root and down again."""
    device = states.device
    block, parent, parent_site, own_site = read_slots(states)
    n, slots = block.shape
    sites = tables.n_sites
    slot_index = torch.arange(slots, device=device)
    is_child = (block > 0) & (slot_index > 0)
    permutations = tables.symmetries[block]  # n x slots x symmetries x sites
    salts = tables.salts

    def canonical(kind: Tensor, labels: Tensor) -> Tensor:
        """Hash site labels (... x sites) so that the symmetries of their block (...) do not change the result."""
        return mix((labels.unsqueeze(-2) * salts[kind]).sum(-1).amin(-1) + mix(kind + 1))

    # message[slot, site]: hash of the subtree bonded to the site, seen from the slot; 0 for free sites and for the bond
    # to the parent. The last column absorbs writes for empty slots.
    nowhere = slots * sites
    message = torch.zeros(n, nowhere + 1, dtype=torch.int64, device=device)
    up = torch.where(is_child, parent * sites + parent_site, nowhere)
    down = torch.where(is_child, slot_index * sites + own_site, nowhere)
    ones = torch.ones(n, 1, dtype=torch.int64, device=device)
    for slot in range(slots - 1, 0, -1):  # children have the larger slots
        labels = message.scatter(1, down[:, slot, None], ones)[:, slot * sites : (slot + 1) * sites]
        message.scatter_(1, up[:, slot, None], canonical(block[:, slot], labels)[:, None])
    # automorphisms that fix the root: for each block, the symmetries that keep the subtrees on its sites, where the
    # bond to the parent counts as one more subtree
    marked = message.scatter(1, down, ones.expand(-1, slots))[:, :-1].view(n, slots, 1, sites)
    images = marked.expand(permutations.shape).gather(-1, permutations)
    keeps = (images == marked).all(-1) & tables.is_symmetry[block]
    stabiliser = torch.where(block > 0, keeps.sum(-1), 1).prod(1)
    for slot in range(1, slots):  # the rest of the tree, seen through the bond to the parent
        around = message.scatter(1, up[:, slot, None], ones)[:, :-1].view(n, slots, sites)
        index = parent[:, slot, None]
        labels = around.gather(1, index[..., None].expand(-1, -1, sites))[:, 0]
        message.scatter_(1, down[:, slot, None], canonical(block.gather(1, index)[:, 0], labels)[:, None])
    return _Trees(canonical(block, message[:, :-1].view(n, slots, sites)), stabiliser)
