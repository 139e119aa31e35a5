"""Automorphisms of whole batches of fragment trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from al_loop.environments.fragments import Fragments

_MIXER = 0x9E3779B97F4A7C15 - (1 << 64)  # the golden-ratio constant of splitmix64, as a signed 64-bit number


def mix(x: Tensor) -> Tensor:
    """A hash of 64-bit integers (splitmix64's finaliser with arithmetic shifts)."""
    x = x * _MIXER
    x = (x ^ (x >> 30)) * -4658895280553007687
    x = (x ^ (x >> 27)) * -7723592293110705685
    return x ^ (x >> 31)


def count_automorphisms(environment: Fragments, states: Tensor) -> Tensor:
    """Automorphisms of each tree, free sites included: n; exact but for 64-bit hash collisions.

    By the orbit-stabiliser theorem: the blocks that look like the first one, times the automorphisms that keep it.
    """
    device = states.device
    block, parent, parent_site, own_site = environment.slots(states)
    n, slots = block.shape
    sites = environment.n_sites
    here = torch.arange(slots, device=device)
    is_child = (block > 0) & (here > 0)
    permutations = environment.table("_symmetries", device)[block]  # n x slots x symmetries x sites
    salts = environment.table("_salts", device)

    def canonical(kind: Tensor, labels: Tensor) -> Tensor:
        """One number for all labels (... x sites) that the symmetries of a block (...) make of one another."""
        return mix((labels.unsqueeze(-2) * salts[kind]).sum(-1).amin(-1) + mix(kind + 1))

    # message[slot, site]: what hangs on the site, seen from the slot; empty sites carry 0, and so does the way back.
    # The last column takes what is written for empty slots.
    nowhere = slots * sites
    message = torch.zeros(n, nowhere + 1, dtype=torch.int64, device=device)
    up = torch.where(is_child, parent * sites + parent_site, nowhere)
    own = torch.where(is_child, here * sites + own_site, nowhere)
    ones = torch.ones(n, 1, dtype=torch.int64, device=device)
    for slot in range(slots - 1, 0, -1):  # children have the larger slots
        labels = message.scatter(1, own[:, slot, None], ones)[:, slot * sites : (slot + 1) * sites]
        message.scatter_(1, up[:, slot, None], canonical(block[:, slot], labels)[:, None])
    # automorphisms that keep the root: for each block, the symmetries that keep what hangs on its sites, where the
    # way back to the root is one more thing that hangs
    marked = message.scatter(1, own, ones.expand(-1, slots))[:, :-1].view(n, slots, 1, sites)
    images = marked.expand(permutations.shape).gather(-1, permutations)
    keeps = (images == marked).all(-1) & environment.table("_is_symmetry", device)[block]
    stabiliser = torch.where(block > 0, keeps.sum(-1), 1).prod(1)
    for slot in range(1, slots):  # what a block sees on the way back
        seen = message.scatter(1, up[:, slot, None], ones)[:, :-1].view(n, slots, sites)
        index = parent[:, slot, None]
        labels = seen.gather(1, index[..., None].expand(-1, -1, sites))[:, 0]
        message.scatter_(1, own[:, slot, None], canonical(block.gather(1, index)[:, 0], labels)[:, None])
    whole = canonical(block, message[:, :-1].view(n, slots, sites))
    orbit_of_root = ((whole == whole[:, :1]) & (block > 0)).sum(1)
    return stabiliser * orbit_of_root.clamp(min=1)  # no block: one way to map nothing to itself
