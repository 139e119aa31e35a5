"""A graph transformer policy on trees of fragments."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.fragments import FragmentPolicy
from al_loop.gflownet.policies.transformer import Layer


class FragmentTransformerPolicy(FragmentPolicy):
    """A graph transformer in which each block attends to all blocks of its molecule.

    Attention is biased by the distance in the tree and, between neighbours, by the sites of their bond (as in
    Graphormer, Ying et al. 2021). An additional token represents the molecule and carries the conditions of the reward.
    The backward half and the flow depend on blocks and distances only, as in ``fragments``, so that they are the same
    for all states of a molecule.

    Args:
        environment: the space, ``Fragments``.
        hidden: width, a multiple of ``attention_heads``; the backward half is half as wide.
        layers: number of layers of each half.
        n_conditions: number of conditions of the reward.
        heads: members of the ensemble of forward heads.
        attention_heads: number of attention heads.

    Raises:
        ValueError: the environment is not ``Fragments``, or the width is not a multiple of ``attention_heads``.
    """

    kind = "fragment_transformer"

    def __init__(
        self,
        environment: Environment,
        hidden: int = 128,
        layers: int = 2,
        n_conditions: int = 0,
        heads: int = 1,
        attention_heads: int = 4,
    ) -> None:
        super().__init__(environment, hidden, 0, n_conditions, heads)  # 0: without its message passing
        small = self.back_block.embedding_dim
        for width in (hidden, small):
            if width % attention_heads:
                raise ValueError(
                    f"hidden: {hidden} and its half ({small}) must be multiples of attention_heads ({attention_heads})"
                )
        slots, n_block_sites = self._environment.max_fragments, self.site.num_embeddings
        self._shape = (layers, attention_heads)
        n_biases = layers * attention_heads
        self.whole = nn.Parameter(torch.randn(hidden))
        self.layers = nn.ModuleList([Layer(hidden, attention_heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(hidden)
        # biases by distance (the last one: from and to the molecule), and by the sites at both ends of a bond
        self.distance = nn.Embedding(slots + 1, n_biases)
        self.site_here = nn.Embedding(n_block_sites, n_biases)
        self.site_there = nn.Embedding(n_block_sites, n_biases)
        self.back_whole = nn.Parameter(torch.randn(small))
        self.back_layers = nn.ModuleList([Layer(small, attention_heads) for _ in range(layers)])
        self.back_norm = nn.LayerNorm(small)
        self.back_distance = nn.Embedding(slots + 1, n_biases)
        for table in (self.distance, self.site_here, self.site_there, self.back_distance):
            nn.init.normal_(table.weight, std=0.1)

    def _distances(self, parent: Tensor) -> Tensor:
        """Return distances between slots in bonds, ``slots`` for the molecule, shape n x slots + 1 x slots + 1."""
        n, slots = parent.shape
        between = torch.zeros(n, slots + 1, slots + 1, dtype=torch.int64, device=parent.device)
        for slot in range(1, slots):  # a parent comes before its children
            row = between.gather(1, parent[:, slot, None, None].expand(-1, -1, slot))[:, 0] + 1
            between[:, slot, :slot] = row
            between[:, :slot, slot] = row
        between[:, -1] = slots
        between[:, :, -1] = slots
        return between

    def _attend(self, layers: nn.ModuleList, x: Tensor, block: Tensor, biases: Tensor) -> Tensor:
        """Apply all layers to the tokens of the slots and of the molecule.

        Args:
            layers: the layers.
            x: tokens, shape n x slots + 1 x width.
            block: blocks, shape n x slots, 0 for empty slots.
            biases: attention biases, shape n x slots + 1 x slots + 1 x (layers times attention heads).
        """
        is_token = torch.cat([block > 0, torch.ones_like(block[:, :1], dtype=torch.bool)], dim=1)
        biases = biases.masked_fill(~is_token[:, None, :, None], -torch.inf)
        for layer, bias in zip(layers, biases.permute(0, 3, 1, 2).chunk(self._shape[0], dim=1), strict=True):
            assert isinstance(layer, Layer)
            query, key, value = layer.split(x)
            scores = query @ key.transpose(-1, -2) / key.shape[-1] ** 0.5 + bias
            x = layer.close(x, scores.softmax(-1) @ value)
        return x

    def _gather(self, x: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slots (0 if empty) and the molecule plus their sum, since attention cannot count."""
        slots = x[:, :-1] * (block > 0)[..., None].float()
        return slots, x[:, -1] + slots.sum(1) / slots.shape[1]

    def _with_whole(self, x: Tensor, whole: Tensor, layer: nn.Module | None, context: Context | None) -> Tensor:
        """Append the molecule's token to the tokens of the slots, shape n x slots + 1 x width."""
        token = self._with_condition(whole.expand(len(x), 1, -1), layer, context)
        return torch.cat([x, token], dim=1)

    def _labelled(self, states: Tensor, context: Context | None) -> tuple[Tensor, Tensor]:
        block, parent, parent_site, own_site, is_child = self._neighbours(states)
        n_sites, slots = self._environment.n_sites, block.shape[1]
        at_parent = block.gather(1, parent) * n_sites + parent_site
        at_own = block * n_sites + own_site
        # the block and its occupied sites
        index = parent[..., None].expand(-1, -1, self.block.embedding_dim)
        x = self.block(block) + self.site(at_own) * is_child
        x = x.scatter_add(1, index, self.site(at_parent) * is_child)
        slot_index = torch.arange(slots, device=states.device)
        is_bond = ((parent[..., None] == slot_index) * is_child)[..., None]  # from a slot (row) to its parent (column)
        upwards = is_bond * (self.site_here(at_own) + self.site_there(at_parent))[:, :, None]
        downwards = is_bond * (self.site_here(at_parent) + self.site_there(at_own))[:, :, None]
        bonds = nn.functional.pad(upwards + downwards.transpose(1, 2), (0, 0, 0, 1, 0, 1))
        biases = self.distance(self._distances(parent)) + bonds
        x = self._attend(self.layers, self._with_whole(x, self.whole, self.condition, context), block, biases)
        return self._gather(self.norm(x), block)

    def _unlabelled(self, states: Tensor, context: Context | None) -> tuple[Tensor, Tensor]:
        block, parent, _, _, _ = self._neighbours(states)
        x = self._with_whole(self.back_block(block), self.back_whole, self.back_condition, context)
        x = self._attend(self.back_layers, x, block, self.back_distance(self._distances(parent)))
        return self._gather(self.back_norm(x), block)
