"""Backward walks on fragment trees: the forward trajectories that they undo, and how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from al_loop.environments.fragments import Fragments


def retrace(environment: Fragments, states: Tensor, backward_actions: Tensor) -> tuple[Tensor, Tensor]:
    """As ``Environment.retrace``; the trajectories may end in another drawing of the molecule.

    A block that a walk removed as the root comes back as a leaf, bonded by the first site of an orbit. A symmetry of
    the block then renames its sites, and what is bonded to it later goes to the renamed sites.
    """
    device = states.device
    block, parent, parent_site, own_site = environment.slots(states)
    n, slots = block.shape
    n_steps = len(backward_actions)
    here = torch.arange(slots, device=device)

    # the walk, by the slots of the terminal state: which block goes, and the block that it leaves behind
    left = here.expand(n, slots)  # what is still there, in the order of the slots
    gone, stays = [], []
    for choice in backward_actions:
        is_block = ((choice >= 0) & (choice < slots))[:, None]
        index = choice.clamp(0, slots - 1)[:, None]
        gone.append(left.gather(1, index))
        # a root goes when it has one child, which is then in the next slot
        stays.append(torch.where(index == 0, left[:, 1 % slots, None], parent.gather(1, gone[-1])))
        source = (here + (here >= index).long()).clamp(max=slots - 1)
        left = torch.where(is_block, left.gather(1, source), left)

    # forwards, with the last block that went as the root
    length = (backward_actions >= 0).sum(0)
    n_blocks = (block > 0).sum(1)
    columns = torch.zeros(n, 4, slots, dtype=torch.int64, device=device)
    place = torch.zeros_like(block)  # the new slot of each block
    names = torch.arange(environment.n_sites, device=device).expand(n, slots, -1).contiguous()  # new names of sites
    actions = []
    when = (length - 1 - torch.arange(n_steps, device=device)[:, None]).clamp(min=0)[..., None]
    added, beside = torch.stack(gone).gather(0, when), torch.stack(stays).gather(0, when)
    for t in range(min(slots, n_steps)):
        slot, neighbour = added[t], beside[t]
        kind = block.gather(1, slot)
        is_leaf = slot > neighbour  # it was bonded to what stays, or what stays was bonded to it
        its_site = torch.where(is_leaf, own_site.gather(1, slot), parent_site.gather(1, neighbour))
        at_site = torch.where(is_leaf, parent_site.gather(1, slot), own_site.gather(1, neighbour))
        place = place.scatter(1, slot, t)
        if t == 0:
            entry = environment.table("_entry_of", device)[kind[:, 0], 0]
            actions.append(entry)
            columns[:, 0, :1] = kind
            continue
        renamed = environment.table("_to_first", device)[kind[:, 0], its_site[:, 0]]
        index = torch.stack([slot, neighbour], 1).expand(-1, -1, environment.n_sites)
        at_site = names.gather(1, index[:, 1:])[:, 0].gather(1, at_site)
        names = names.scatter(1, index[:, :1], renamed[:, None])
        entry = environment.table("_entry_of", device)[kind[:, 0], its_site[:, 0]]
        at = place.gather(1, neighbour)
        actions.append(((at * environment.n_sites + at_site)[:, 0]) * environment.n_entries + entry)
        columns[:, :, t] = torch.cat([kind, at, at_site, renamed.gather(1, its_site)], 1)

    time = torch.arange(n_steps + 1, device=device)[:, None]
    rows = columns * (here < torch.minimum(time, n_blocks)[..., None])[:, :, None]
    is_over = ((time > n_blocks) * states[:, -1])[..., None]
    taken = torch.full((n_steps, n), -1, device=device)
    taken[: len(actions)] = torch.stack(actions) if actions else taken[:0]
    taken = torch.where(time[:-1] < n_blocks, taken, -1)
    taken = torch.where((time[:-1] == n_blocks) & (states[:, -1] == 1), environment.n_actions - 1, taken)
    return torch.cat([rows.flatten(2), is_over], 2), taken


def log_paths(environment: Fragments, states: Tensor) -> Tensor:
    """As ``Environment.log_paths``: the orders in which the blocks of each tree can be put together.

    From one root there are n! / (product of the sizes of all subtrees), the hook length formula. With a child as the
    root instead, its own hook and that of the old root change. A block that requires a bond, which is the one to its
    parent, is never the root, nor is what hangs behind it.
    """
    device = states.device
    block, parent, _, _ = environment.slots(states)
    slots = block.shape[1]
    is_block = block > 0
    may_lead = environment.table("_required", device)[block] < 0
    size = is_block.double()
    for slot in range(slots - 1, 0, -1):  # parents have the smaller slots
        size = size.scatter_add(1, parent[:, slot, None], size[:, slot, None])
    n_blocks = is_block.sum(1, keepdim=True).double()
    hooks = torch.where(is_block, size.clamp(min=1).log(), 0.0)
    change = size.log() - (n_blocks - size).log()
    first = torch.lgamma(n_blocks + 1) - hooks.sum(1, keepdim=True)
    orders = torch.where(may_lead, first, -torch.inf)
    for slot in range(1, slots):
        moved = orders.gather(1, parent[:, slot, None])[:, 0] + change[:, slot]
        orders[:, slot] = torch.where(is_block[:, slot] & may_lead[:, slot], moved, -torch.inf)
    return orders.logsumexp(1)
