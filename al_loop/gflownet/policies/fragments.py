"""A message-passing policy on trees of fragments."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.environments.fragments import Fragments
from al_loop.gflownet.fixed_shapes import packs
from al_loop.gflownet.policies.base import Context, Heads, Policy, condition_values


class FragmentPolicy(Policy):
    """Message passing along the bonds between blocks.

    The forward half depends on the site through which a neighbour is bonded (so that it distinguishes ortho from para).
    The backward half and the flow depend only on blocks and bonds, not on the order of the slots or the labels of
    equivalent sites: they are the same for all states of a molecule, as ``log_multiplicity`` requires to be exact.

    Args:
        environment: the space, ``Fragments``.
        hidden: width; the backward half is half as wide.
        layers: number of rounds of message passing.
        n_conditions: number of conditions of the reward.
        heads: members of the ensemble of forward heads.

    Raises:
        ValueError: the environment is not ``Fragments``.
    """

    kind = "fragments"

    def __init__(
        self, environment: Environment, hidden: int = 128, layers: int = 2, n_conditions: int = 0, heads: int = 1
    ) -> None:
        super().__init__()
        if not isinstance(environment, Fragments):
            raise ValueError(
                f"policy: {self.kind} requires trees of fragments, not {environment.name!r}; use environment: "
                "fragments, or another policy"
            )
        self._environment = environment
        self.heads = heads
        n_blocks, n_sites = len(environment.blocks) + 1, environment.n_sites
        self._n_parents = environment.n_parents

        self.block = nn.Embedding(n_blocks, hidden)
        self.site = nn.Embedding(n_blocks * n_sites, hidden)
        self.messages = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(layers)])
        self.updates = nn.ModuleList([nn.Linear(2 * hidden, hidden) for _ in range(layers)])
        self.readout = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden))
        self.site_out = nn.Embedding(n_blocks * n_sites, hidden)
        self.entries = Heads(hidden, environment.n_entries, heads)
        self.stop = nn.Sequential(nn.Linear(hidden, hidden), nn.LeakyReLU())
        self.stop_out = Heads(hidden, 1, heads)

        small = max(hidden // 2, 8)
        self.back_block = nn.Embedding(n_blocks, small)
        self.back_updates = nn.ModuleList([nn.Linear(2 * small, small) for _ in range(layers)])
        self.back_out = nn.Sequential(nn.Linear(2 * small, small), nn.LeakyReLU(), nn.Linear(small, 1))
        self.flow_out = nn.Sequential(nn.Linear(small, small), nn.LeakyReLU(), nn.Linear(small, 1))
        self.condition = nn.Linear(n_conditions, hidden) if n_conditions else None
        self.back_condition = nn.Linear(n_conditions, small) if n_conditions else None
        self.act = nn.LeakyReLU()

    def _neighbours(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return block, parent, parent's site and own site of each slot, and whether it has a parent (float)."""
        block, parent, parent_site, own_site = self._environment.slots(states)
        is_child = (block > 0) & (torch.arange(block.shape[1], device=states.device) > 0)
        return block, parent, parent_site, own_site, is_child[..., None].float()

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return logits, shape n x n_actions; 0 for sites that are occupied or absent."""
        index, at_sites, stop = self._at_open_sites(states, context)
        n_rows = self._n_parents * self._environment.n_sites
        grow = stop.new_zeros(len(states) * n_rows, self._environment.n_entries).index_copy(0, index, at_sites)
        return torch.cat([grow.view(len(states), -1), stop], dim=1)

    def forward_log_prob(self, states: Tensor, mask: Tensor, actions: Tensor, context: Context | None = None) -> Tensor:
        """Return log-probabilities, shape n, skipping the (many) actions at sites that are occupied or absent."""
        site_index, at_sites, stop = self._at_open_sites(states, context)
        n, n_entries = len(states), self._environment.n_entries
        n_rows = self._n_parents * self._environment.n_sites
        may_grow = mask[:, :-1].reshape(n * n_rows, n_entries)[site_index]
        # finite, since a site without a fitting block would have a gradient of NaN; e^-1e30 is 0
        at_sites = at_sites.masked_fill(~may_grow, -1e30)
        at_site = stop.new_full((n * n_rows,), -1e30).index_copy(0, site_index, at_sites.logsumexp(-1))
        stop = stop.masked_fill(~mask[:, -1:], -1e30)
        total = torch.cat([at_site.view(n, n_rows), stop], dim=1).logsumexp(-1)
        is_stop = actions == self._environment.n_actions - 1
        index = torch.zeros(n * n_rows, dtype=torch.int64, device=states.device)
        index[site_index] = torch.arange(len(site_index), device=states.device)
        # padded for batches in which no state can grow
        flat = torch.cat([at_sites.flatten(), stop.new_zeros(1)])
        row = index[torch.arange(n, device=states.device) * n_rows + (actions // n_entries).clamp(max=n_rows - 1)]
        grown = flat[torch.where(is_stop, len(flat) - 1, row * n_entries + actions % n_entries)]
        return torch.where(is_stop, stop[:, 0], grown) - total

    def _at_open_sites(self, states: Tensor, context: Context | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the indices (k, into n x parents x sites) and logits (k x n_entries) of bonding, and stop (n x 1).

        With fixed shapes, these are all sites; the caller masks those to which no block may be bonded.
        """
        n_sites, block = self._environment.n_sites, self._environment.slots(states)[0]
        x, pooled = self._labelled(states, context)
        h = self.readout(torch.cat([x, pooled[:, None].expand_as(x)], -1))[:, : self._n_parents]
        open_sites = self._environment.open_sites(states)
        if packs(states.device):  # only sites to which a block may be bonded: most are occupied or absent
            row, slot, site = open_sites.nonzero(as_tuple=True)
        else:
            every = torch.arange(open_sites.numel(), device=states.device)
            row, slot, site = every // (self._n_parents * n_sites), every // n_sites % self._n_parents, every % n_sites
        queries = h[row, slot] + self.site_out(block[row, slot] * n_sites + site)
        index = (row * self._n_parents + slot) * n_sites + site
        head = context.head if context is not None else None
        at_sites = self.entries(self.act(queries), None if head is None else head[row])
        return index, at_sites, self.stop_out(self.stop(pooled), head)

    def _labelled(self, states: Tensor, context: Context | None) -> tuple[Tensor, Tensor]:
        """Embed each slot (n x slots x width) and the molecule (n x width), with the sites of the bonds."""
        block, parent, parent_site, own_site, is_child = self._neighbours(states)
        n_sites = self._environment.n_sites
        parent_block = block.gather(1, parent)
        at_parent = self.site(parent_block * n_sites + parent_site)
        at_own = self.site(block * n_sites + own_site)
        present = (block > 0)[..., None].float()
        size = present.sum(1).clamp(min=1)
        index = parent[..., None].expand(-1, -1, self.block.embedding_dim)
        x = self._with_condition(self.block(block), self.condition, context) * present
        for message, update in zip(self.messages, self.updates, strict=True):
            m = message(x)
            # messages to the parent through its site, and from the parent through the child's own site
            inbox = torch.zeros_like(x).scatter_add(1, index, m * is_child * (1 + at_parent))
            inbox = inbox + m.gather(1, index) * (1 + at_own) * is_child
            x = (x + self.act(update(torch.cat([x, inbox], -1)))) * present
        return x, self._with_condition(x.sum(1) / size, self.condition, context)

    @staticmethod
    def _with_condition(x: Tensor, layer: nn.Module | None, context: Context | None) -> Tensor:
        """Add the embedded conditions of the reward to an embedding (n x width, or n x slots x width)."""
        if layer is None:
            return x
        condition: Tensor = layer(condition_values(context))
        return x + (condition if x.dim() == 2 else condition[:, None])

    def _unlabelled(self, states: Tensor, context: Context | None) -> tuple[Tensor, Tensor]:
        """Embed each slot (n x slots x width) and the molecule (n x width), by blocks and bonds only."""
        block, parent, _, _, is_child = self._neighbours(states)
        present = (block > 0)[..., None].float()
        index = parent[..., None].expand(-1, -1, self.back_block.embedding_dim)
        x = self._with_condition(self.back_block(block), self.back_condition, context) * present
        for update in self.back_updates:
            inbox = torch.zeros_like(x).scatter_add(1, index, x * is_child) + x.gather(1, index) * is_child
            x = (x + self.act(update(torch.cat([x, inbox], -1)))) * present
        return x, self._with_condition(x.sum(1), self.back_condition, context)

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return log-flows, shape n, the same for all states of a molecule."""
        flow: Tensor = self.flow_out(self._unlabelled(states, context)[1])[:, 0]
        return flow

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return logits, shape n x n_backward_actions, the same for all states of a molecule."""
        x, pooled = self._unlabelled(states, context)
        slots = self.back_out(torch.cat([x, pooled[:, None].expand_as(x)], -1))[..., 0]
        return torch.cat([slots, torch.zeros_like(slots[:, :1])], dim=1)
