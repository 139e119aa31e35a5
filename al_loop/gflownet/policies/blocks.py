"""A policy on trees of patterns that embeds each block by what it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.environments.fragments.block_features import N_BLOCK_FEATURES, N_SITE_FEATURES
from al_loop.environments.fragments.closed import ClosedFragments
from al_loop.gflownet.fixed_shapes import packs
from al_loop.gflownet.policies.base import Context, Heads, Policy, condition_values

#: embeddings of blocks (n_blocks + 1 x width), of sites (n_blocks + 1 times n_sites x width), and of entries
_Tables = tuple[Tensor, Tensor, Tensor, Tensor]


class BlockPolicy(Policy):
    """Message passing along the bonds between blocks, and a product of the state's vector with that of each block.

    Blocks and their attachment points are embedded from their structure by networks that all of them share. The number
    of weights does not depend on the vocabulary, and a policy trained with one can go on with another. An untrained one
    chooses blocks about as often as they occur in the file that the vocabulary was made from.

    Args:
        environment: the space, ``fragments`` with a vocabulary of patterns.
        hidden: width.
        layers: number of rounds of message passing.
        n_conditions: number of conditions of the reward.
        heads: members of the ensemble of forward heads.

    Raises:
        ValueError: the environment is another one.
    """

    kind = "blocks"
    _log_frequency: Tensor

    def __init__(
        self, environment: Environment, hidden: int = 128, layers: int = 2, n_conditions: int = 0, heads: int = 1
    ) -> None:
        super().__init__()
        if not isinstance(environment, ClosedFragments):
            raise ValueError(
                f"policy: {self.kind} requires environment: fragments with a vocabulary of patterns, such as zinc, not "
                f"{environment.describe()}; use another policy"
            )
        self._environment, self.heads = environment, heads
        of_blocks, of_sites = environment.block_features()
        sites = torch.cat([of_blocks[:, None].expand(-1, of_sites.shape[1], -1), of_sites], -1)
        #: features of the blocks and of all their sites: constants of the environment, not weights
        self.register_buffer("_block_features", of_blocks, persistent=False)
        self.register_buffer("_site_features", sites.flatten(0, 1), persistent=False)
        tables = environment.tables(torch.device("cpu"))
        index = tables.entry_block * environment.n_sites + tables.entry_site
        self.register_buffer("_entry_index", index, persistent=False)
        counts = torch.tensor([1.0, *(float(max(block.count, 1)) for block in environment.blocks)]).log()
        counts = counts[tables.entry_block]
        self.register_buffer("_log_frequency", counts - counts.max(), persistent=False)
        #: weight of the logarithm of a block's frequency in the file that the vocabulary was made from
        self.frequency = nn.Parameter(torch.ones(()))

        self.block = nn.Sequential(nn.Linear(N_BLOCK_FEATURES, hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden))
        n_site_features = N_BLOCK_FEATURES + N_SITE_FEATURES
        self.site = nn.Sequential(nn.Linear(n_site_features, hidden), nn.LeakyReLU())
        self.site_here, self.entry = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden + 1)
        self.messages = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(layers)])
        self.updates = nn.ModuleList([nn.Linear(2 * hidden, hidden) for _ in range(layers)])
        self.nothing = nn.Parameter(torch.randn(hidden))
        self.size = nn.Linear(3, hidden)
        self.readout = nn.Sequential(nn.Linear(3 * hidden, hidden), nn.LeakyReLU())
        self.query = Heads(hidden, hidden, heads)
        self.flow_out = nn.Sequential(nn.Linear(hidden, hidden), nn.LeakyReLU(), nn.Linear(hidden, 1))
        self.condition = nn.Linear(n_conditions, hidden) if n_conditions else None
        self.act = nn.LeakyReLU()

    def _embedded(self) -> _Tables:
        """Return the embeddings of all blocks, sites and entries, and the entries' own preferences."""
        blocks, sites = self.block(self._block_features), self.site(self._site_features)
        entries = self.entry(sites.index_select(0, self._entry_index))
        own = entries[:, -1] + self.frequency * self._log_frequency
        return blocks, self.site_here(sites), entries[:, :-1] / entries.shape[1] ** 0.5, own

    def start(self, n: int, device: torch.device) -> Any:
        return self._embedded()

    def next_logits(self, states: Tensor, context: Context | None, memory: Any, rows: Tensor | None) -> Tensor:
        return self._logits(states, context, memory)

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._logits(states, context, self._embedded())

    def _logits(self, states: Tensor, context: Context | None, tables: _Tables) -> Tensor:
        focus = self._environment.focus(states)
        pooled, at_slot = self._trees(states, context, tables, focus.slot)
        block = states.gather(1, focus.slot[:, None])[:, 0]
        at_site = tables[1].index_select(0, block * self._environment.n_sites + focus.site)
        h = self.readout(torch.cat([at_slot, pooled, at_site], -1))
        query: Tensor = self.query(h, context.head if context is not None else None)
        logits: Tensor = query @ tables[2].T.to(query.dtype) + tables[3]
        return logits

    def _trees(self, states: Tensor, context: Context | None, tables: _Tables, slot: Tensor) -> tuple[Tensor, Tensor]:
        """Embed the unfinished molecules, and one slot of each (0 if it is empty), n x width each."""
        environment, device = self._environment, states.device
        slots = environment.slots(states)
        (n, n_slots), n_sites = slots.block.shape, environment.n_sites
        is_there = (slots.block > 0).flatten()
        # on a CPU, only the slots that have a block; the last place is for all others
        keep = is_there.nonzero()[:, 0] if packs(device) else torch.arange(n * n_slots, device=device)
        place = torch.full((n * n_slots,), len(keep), device=device)
        place[keep] = torch.arange(len(keep), device=device)
        row = keep // n_slots
        block, parent, parent_site, own_site = (column.flatten()[keep] for column in slots)
        parent = row * n_slots + parent
        is_child = ((block > 0) & (keep % n_slots > 0))[:, None].float()
        present = (block > 0)[:, None].float()
        at_parent = (1 + tables[1][slots.block.flatten()[parent] * n_sites + parent_site]) * is_child
        at_own = (1 + tables[1][block * n_sites + own_site]) * is_child
        parent = place[parent]
        x = tables[0][block]
        condition: Tensor | None = None
        if self.condition is not None:
            condition = self.condition(condition_values(context))
            x = x + condition[row]
        x = x * present
        for message, update in zip(self.messages, self.updates, strict=True):
            m = message(x)
            # messages to the parent through its site, and from the parent through the child's own site
            inbox = torch.zeros_like(x).index_add(0, parent, (m * at_parent).to(x.dtype)) + m[parent] * at_own
            x = (x + self.act(update(torch.cat([x, inbox], -1)))) * present
        count = (slots.block > 0).sum(1, keepdim=True)
        closing = environment.closing(device)
        n_atoms = closing.tables.n_atoms[slots.block].sum(1, keepdim=True)
        sizes = torch.cat([count / 10, n_atoms / 38, closing.n_open(states)[:, None] / 5], 1)
        total = x.new_zeros(n, x.shape[1]).index_add(0, row, x) / count.clamp(min=1)
        pooled = total + self.size(sizes) + self.nothing * (count == 0)
        if condition is not None:
            pooled = pooled + condition
        x = torch.cat([x, x.new_zeros(1, x.shape[1])])
        at = place[torch.arange(n, device=device) * n_slots + slot]
        return pooled, x[at]

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return log-flows, shape n."""
        flow: Tensor = self.flow_out(self._trees(states, context, self._embedded(), torch.zeros_like(states[:, 0]))[0])[
            :, 0
        ]
        return flow

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return 0 for the only way back, shape n x 1."""
        return torch.zeros(len(states), 1, device=states.device)
