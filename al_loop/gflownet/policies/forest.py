"""A policy that merges the trees over an observed sequence."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from al_loop.environments.base import Environment
from al_loop.environments.forest import Forests
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.policies._observed import ObservedPolicy
from al_loop.gflownet.policies.base import Context, Logits
from al_loop.gflownet.policies.transformer import Layer

_ATTENTION_HEADS = 4


class ForestPolicy(ObservedPolicy):
    """A transformer over the roots of a forest, with a vote on each pair of neighbours.

    A root that is a word is seen as such, a node by its label and those of its children, which is all that the rest of
    the tree depends on in a grammar whose rules see a parent, its children, and their sisters.

    Args:
        environment: forests under conditions that have as many numbers for each word.
        hidden: width of the tokens, a multiple of 4.
        layers: number of layers.
        n_conditions: not supported, must be 0.
        heads: not supported, must be 1.

    Raises:
        ValueError: the environment is another one, or the width is not a multiple of 4.
    """

    kind = "forest"
    shares_trunk: ClassVar[bool] = True

    def __init__(
        self, environment: Environment, hidden: int = 64, layers: int = 2, n_conditions: int = 0, heads: int = 1
    ) -> None:
        space = environment.environment if isinstance(environment, Conditioned) else None
        if not isinstance(environment, Conditioned) or not isinstance(space, Forests) or space.order == "top_down":
            raise ValueError("policy: forest requires forests under conditions, with order: any or left_to_right")
        super().__init__(environment, space.length, "words", n_conditions, heads)
        self._space = space
        if hidden % _ATTENTION_HEADS:
            raise ValueError(f"hidden: must be a multiple of {_ATTENTION_HEADS}, got {hidden}")
        none = space.n_labels + 1  # a word; beyond it, nothing
        self.word = nn.Linear(self._width, hidden)
        self.root = nn.Embedding(none, hidden)
        self.halves = nn.ModuleList([nn.Embedding(none, hidden) for _ in range(2)])
        self.place = nn.Embedding(space.length, hidden)
        self.width = nn.Embedding(space.length + 1, hidden)
        self.trunk = nn.ModuleList([Layer(hidden, _ATTENTION_HEADS) for _ in range(layers)])
        self.pair = nn.Linear(2 * hidden, hidden)
        self.label = nn.Linear(hidden, space.n_labels)
        self.undo = nn.Linear(hidden, 1)
        self.flow = nn.Linear(hidden, 1)

    def _tokens(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a token for each word, the mask of those that begin a tree, and the first word of each tree."""
        space = self._space
        trees = states[:, 1:]
        first, last = space.blocks(trees)
        place = torch.arange(space.length, device=states.device)
        is_root = (first == place) & (place < trees[:, :1])
        label, left, right = space.nodes(trees)
        # the node of the tree that begins at each word, and its children: all by their extent
        root, gap = self._find(label, left, right, place, last)
        second = torch.where(gap < space.n_gaps, gap + 1, 0)
        halves = (
            self._find(label, left, right, place, gap)[0],
            self._find(label, left, right, second, torch.where(gap < space.n_gaps, last, -2))[0],
        )
        words = self._observed(states)
        is_word = (first == last)[..., None]
        width = (last - first + 1).clamp(min=0, max=space.length)
        tokens = torch.where(is_word, self.word(words), self.root(root))
        tokens = tokens + self.width(width) + self.place((is_root.cumsum(1) - 1).clamp(min=0))
        for half, embedding in zip(halves, self.halves, strict=True):
            tokens = tokens + embedding(half)
        return tokens, is_root, first

    def _find(self, label: Tensor, left: Tensor, right: Tensor, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return the label and the gap of the nodes with given extents, shape n x length; the largest if there is none.

        Args:
            label: labels of the nodes, shape n x n_gaps.
            left: their first words.
            right: their last words.
            first: first words to look for, shape n x length or length.
            last: last words.
        """
        first = first.expand_as(last)
        is_match = (left[:, None] == first[..., None]) & (right[:, None] == last[..., None])
        is_match = is_match & (label[:, None] < self._space.n_labels)
        gap = torch.where(is_match, torch.arange(self._space.n_gaps, device=label.device), self._space.n_gaps).amin(2)
        return torch.where(is_match, label[:, None], self._space.n_labels).amin(2), gap

    def all_logits(self, states: Tensor, context: Context | None = None) -> Logits:
        x, is_root, first = self._tokens(states)
        mask = is_root[:, None, None]  # of the keys
        for layer in self.trunk:
            assert isinstance(layer, Layer)
            query, key, value = layer.split(x)
            x = layer.close(x, scaled_dot_product_attention(query, key, value, attn_mask=mask))
        here = x.gather(1, first[:, :-1, None].expand(-1, -1, x.shape[2]))  # the tree to the left of each gap
        pair = gelu(self.pair(torch.cat([here, x[:, 1:]], 2)))
        count = is_root.sum(1, keepdim=True).clamp(min=1)
        mean = (x * is_root[..., None]).sum(1) / count
        return Logits(self.label(pair).flatten(1), self.undo(here)[..., 0], self.flow(mean)[:, 0])

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self.all_logits(states).forward

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self.all_logits(states).backward

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor | None:
        return self.all_logits(states).log_flow
