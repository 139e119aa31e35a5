"""A message-passing policy on trees of fragments."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from al_loop.environments.fragments import Fragments
from al_loop.gflownet.policies.base import Policy


class FragmentPolicy(Policy):
    """Message passing along the bonds between blocks.

    The forward half sees through which site a neighbour is bonded (so that it can tell ortho from para). The backward
    half sees blocks and bonds only, neither the order of the slots nor the labels of equivalent sites: it then gives
    one probability for all states of a molecule, without which ``log_multiplicity`` would not be exact.
    """

    def __init__(self, environment: Fragments, hidden: int = 128, layers: int = 2) -> None:
        super().__init__()
        self._environment = environment
        n_blocks, n_sites = len(environment.blocks) + 1, environment.n_sites
        self._n_parents = environment._n_parents

        self.block = nn.Embedding(n_blocks, hidden)
        self.site = nn.Embedding(n_blocks * n_sites, hidden)
        self.messages = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(layers)])
        self.updates = nn.ModuleList([nn.Linear(2 * hidden, hidden) for _ in range(layers)])
        self.readout = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden))
        self.site_out = nn.Embedding(n_blocks * n_sites, hidden)
        self.entries = nn.Linear(hidden, environment.n_entries)
        self.stop = nn.Sequential(nn.Linear(hidden, hidden), nn.LeakyReLU(), nn.Linear(hidden, 1))

        small = max(hidden // 2, 8)
        self.back_block = nn.Embedding(n_blocks, small)
        self.back_updates = nn.ModuleList([nn.Linear(2 * small, small) for _ in range(layers)])
        self.back_out = nn.Sequential(nn.Linear(2 * small, small), nn.LeakyReLU(), nn.Linear(small, 1))
        self.act = nn.LeakyReLU()

    def _neighbours(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Block of each slot; and for each slot its parent, parent's site, own site; and which slots have a parent."""
        block, parent, parent_site, own_site = self._environment.slots(states)
        is_child = (block > 0) & (torch.arange(block.shape[1], device=states.device) > 0)
        return block, parent, parent_site, own_site, is_child[..., None].float()

    def forward_logits(self, states: Tensor) -> Tensor:
        block, parent, parent_site, own_site, is_child = self._neighbours(states)
        n_sites = self._environment.n_sites
        parent_block = block.gather(1, parent)
        at_parent = self.site(parent_block * n_sites + parent_site)
        at_own = self.site(block * n_sites + own_site)
        present = (block > 0)[..., None].float()
        size = present.sum(1).clamp(min=1)
        index = parent[..., None].expand(-1, -1, self.block.embedding_dim)
        x = self.block(block) * present
        for message, update in zip(self.messages, self.updates, strict=True):
            m = message(x) * is_child
            # to the parent through its site, and from the parent through the own site
            inbox = torch.zeros_like(x).scatter_add(1, index, m * (1 + at_parent))
            inbox = inbox + message(x).gather(1, index) * (1 + at_own) * is_child
            x = (x + self.act(update(torch.cat([x, inbox], -1)))) * present
        pooled = x.sum(1) / size
        h = self.readout(torch.cat([x, pooled[:, None].expand_as(x)], -1))[:, : self._n_parents]
        sites = torch.arange(n_sites, device=states.device)
        queries = h[:, :, None] + self.site_out(block[:, : self._n_parents, None] * n_sites + sites)
        grow = self.entries(self.act(queries)).flatten(1)
        return torch.cat([grow, self.stop(pooled)], dim=1)

    def backward_logits(self, states: Tensor) -> Tensor:
        block, parent, _, _, is_child = self._neighbours(states)
        present = (block > 0)[..., None].float()
        index = parent[..., None].expand(-1, -1, self.back_block.embedding_dim)
        x = self.back_block(block) * present
        for update in self.back_updates:
            inbox = torch.zeros_like(x).scatter_add(1, index, x * is_child) + x.gather(1, index) * is_child
            x = (x + self.act(update(torch.cat([x, inbox], -1)))) * present
        pooled = x.sum(1, keepdim=True).expand_as(x)
        slots = self.back_out(torch.cat([x, pooled], -1))[..., 0]
        return torch.cat([slots, torch.zeros_like(slots[:, :1])], dim=1)
