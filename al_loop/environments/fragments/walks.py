"""Backward walks on fragment trees: the corresponding forward trajectories, and the number of build orders."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.environments.fragments.states import read_slots
from al_loop.environments.fragments.tables import FragmentTables


def retrace(states: Tensor, backward_actions: Tensor, tables: FragmentTables, stop: int) -> tuple[Tensor, Tensor]:
    """Return the forward trajectories that backward walks undo; they may end in another state of the same molecule.

    A block that a walk removed as the root returns as a leaf, bonded by the first site of an orbit. A symmetry of the
    block then renames its sites, and later blocks are bonded to the renamed sites.

    Args:
        states: terminal states, shape n x state_size.
        backward_actions: backward actions from the terminal states to the initial state, shape T x n, -1 after the end
            of a walk.
        tables: the tables of the vocabulary, on the device of the states.
        stop: the action that finishes a molecule.

    Returns:
        States, shape T + 1 x n x state_size, and actions, shape T x n; see ``Environment.retrace``.
    """
    device = states.device
    block, parent, parent_site, own_site = read_slots(states)
    n, slots = block.shape
    n_steps, n_sites = len(backward_actions), tables.n_sites
    slot_index = torch.arange(slots, device=device)

    # the walk in terms of the terminal state's slots: the block removed in each step, and its remaining neighbour
    remaining = slot_index.expand(n, slots)  # in the order of the slots
    removed, neighbours = [], []
    for choice in backward_actions:
        is_block = ((choice >= 0) & (choice < slots))[:, None]
        index = choice.clamp(0, slots - 1)[:, None]
        removed.append(remaining.gather(1, index))
        # a root is removed when it has one child, which is then in the next slot
        neighbours.append(torch.where(index == 0, remaining[:, 1 % slots, None], parent.gather(1, removed[-1])))
        source = (slot_index + (slot_index >= index).long()).clamp(max=slots - 1)
        remaining = torch.where(is_block, remaining.gather(1, source), remaining)

    # forwards, with the last removed block as the root
    length = (backward_actions >= 0).sum(0)
    n_blocks = (block > 0).sum(1)
    columns = torch.zeros(n, 4, slots, dtype=torch.int64, device=device)
    new_slot = torch.zeros_like(block)  # new slot of each block
    new_site = torch.arange(n_sites, device=device).expand(n, slots, -1).contiguous()  # new index of each site
    actions = []
    when = (length - 1 - torch.arange(n_steps, device=device)[:, None]).clamp(min=0)[..., None]
    added, beside = torch.stack(removed).gather(0, when), torch.stack(neighbours).gather(0, when)
    for t in range(min(slots, n_steps)):
        slot, neighbour = added[t], beside[t]
        kind = block.gather(1, slot)
        is_leaf = slot > neighbour  # it was a child of its neighbour, rather than its parent
        its_site = torch.where(is_leaf, own_site.gather(1, slot), parent_site.gather(1, neighbour))
        at_site = torch.where(is_leaf, parent_site.gather(1, slot), own_site.gather(1, neighbour))
        new_slot = new_slot.scatter(1, slot, t)
        if t == 0:
            actions.append(tables.entry_of[kind[:, 0], 0])
            columns[:, 0, :1] = kind
            continue
        renamed = tables.to_first[kind[:, 0], its_site[:, 0]]
        index = torch.stack([slot, neighbour], 1).expand(-1, -1, n_sites)
        at_site = new_site.gather(1, index[:, 1:])[:, 0].gather(1, at_site)
        new_site = new_site.scatter(1, index[:, :1], renamed[:, None])
        entry = tables.entry_of[kind[:, 0], its_site[:, 0]]
        at = new_slot.gather(1, neighbour)
        actions.append(((at * n_sites + at_site)[:, 0]) * tables.n_entries + entry)
        columns[:, :, t] = torch.cat([kind, at, at_site, renamed.gather(1, its_site)], 1)

    time = torch.arange(n_steps + 1, device=device)[:, None]
    rows = columns * (slot_index < torch.minimum(time, n_blocks)[..., None])[:, :, None]
    is_over = ((time > n_blocks) * states[:, -1])[..., None]
    trajectory = torch.full((n_steps, n), -1, device=device)
    trajectory[: len(actions)] = torch.stack(actions) if actions else trajectory[:0]
    trajectory = torch.where(time[:-1] < n_blocks, trajectory, -1)
    trajectory = torch.where((time[:-1] == n_blocks) & (states[:, -1] == 1), stop, trajectory)
    return torch.cat([rows.flatten(2), is_over], 2), trajectory


def log_paths(states: Tensor, tables: FragmentTables) -> Tensor:
    """Return the logarithm of the number of orders in which the blocks of each tree can be assembled.

    From one root there are n! / (product of the sizes of all subtrees) orders, by the hook length formula. With a child
    as the root instead, only its own hook and the old root's change. A block that requires a bond (to its parent) is
    never the root, nor is any block behind it.

    Args:
        states: states, shape n x state_size, finished or not.
        tables: the tables of the vocabulary, on the device of the states.

    Returns:
        Logarithms, shape n, in double precision.
    """
    block, parent, _, _ = read_slots(states)
    slots = block.shape[1]
    is_block = block > 0
    may_lead = tables.required[block] < 0
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
