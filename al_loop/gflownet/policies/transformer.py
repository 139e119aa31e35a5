"""A causal transformer policy on words that are written from left to right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from al_loop.environments.base import Environment
from al_loop.environments.sequence import Sequences
from al_loop.gflownet.fixed_shapes import packs
from al_loop.gflownet.policies.base import Context, Heads, Logits, Policy, condition_values


class Layer(nn.Module):
    """A transformer layer, normalised before each half; the caller computes the attention.

    Args:
        width: width of the tokens, a multiple of ``attention_heads``.
        attention_heads: number of attention heads.
    """

    def __init__(self, width: int, attention_heads: int) -> None:
        super().__init__()
        self._attention_heads = attention_heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, shape n x attention_heads x t x d each, of tokens, shape n x t x width."""
        n, t, _ = x.shape
        parts = self.query_key_value(self.norm(x)).view(n, t, 3, self._attention_heads, -1).permute(2, 0, 3, 1, 4)
        return parts[0], parts[1], parts[2]

    def close(self, x: Tensor, attended: Tensor) -> Tensor:
        """Return the tokens after attention, shape n x t x width.

        Args:
            x: the tokens before attention, shape n x t x width.
            attended: the result of attention, shape n x attention_heads x t x d.
        """
        x = x + self.mix(attended.transpose(1, 2).flatten(2))
        return x + self.think(x)  # type: ignore[no-any-return]


@dataclass
class _Memory:
    """Keys and values of n roll-outs (2 x layers x n x attention_heads x positions x d), and the positions so far."""

    cache: Tensor
    n_positions: int = 0


class TransformerPolicy(Policy):
    """A causal transformer over the letters of a word; one pass returns the logits of all its prefixes.

    The first token represents the empty word and carries the conditions of the reward. In a roll-out, keys and values
    are cached, so that each step processes one new letter.

    Args:
        environment: the space, ``Sequences`` written from left to right.
        hidden: width of the tokens, a multiple of ``attention_heads``.
        layers: number of layers.
        n_conditions: number of conditions of the reward.
        heads: members of the ensemble of forward heads.
        attention_heads: number of attention heads.

    Raises:
        ValueError: the environment is not such ``Sequences``, or the width is not a multiple of ``attention_heads``.
    """

    kind = "transformer"
    shares_trunk: ClassVar[bool] = True
    is_markov: ClassVar[bool] = False  # each roll-out has its own keys and values

    def __init__(
        self,
        environment: Environment,
        hidden: int = 128,
        layers: int = 2,
        n_conditions: int = 0,
        heads: int = 1,
        attention_heads: int = 4,
    ) -> None:
        super().__init__()
        if not isinstance(environment, Sequences) or environment.order != "append":
            order = f" with order {environment.order!r}" if environment.order else ""
            raise ValueError(
                f"policy: transformer requires words written from left to right, not {environment.name!r}{order};"
                " use a sequence with order 'append', or policy: {kind: mlp}"
            )
        if hidden % attention_heads:
            raise ValueError(f"hidden: must be a multiple of attention_heads ({attention_heads}), got {hidden}")
        self._environment, self.heads = environment, heads
        self._length, self._shape = environment.length, (layers, attention_heads, hidden // attention_heads)
        # the last embedding represents no letter, for the first token
        self.letter = nn.Embedding(len(environment.alphabet) + 1, hidden)
        self.position = nn.Embedding(environment.length + 1, hidden)
        self.condition = nn.Linear(n_conditions, hidden) if n_conditions else None
        self.layers = nn.ModuleList([Layer(hidden, attention_heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(hidden)
        self.forward_head = Heads(hidden, environment.n_actions, heads)
        self.flow_head = nn.Linear(hidden, 1)

    def _tokens(self, letters: Tensor, start: int, context: Context | None) -> Tensor:
        """Return the tokens, shape n x t x hidden, of letters, shape n x t, the first of them at position ``start``."""
        positions = torch.arange(start, start + letters.shape[1], device=letters.device)
        x: Tensor = self.letter(letters) + self.position(positions)
        if start == 0 and self.condition is not None:
            condition = self.condition(condition_values(context))[:, None]
            x = torch.cat([x[:, :1] + condition, x[:, 1:]], dim=1)
        return x

    def _read(self, states: Tensor, context: Context | None) -> Tensor:
        """Embed each prefix of words, the empty one first, shape n x (length of the longest + 1) x hidden."""
        # the longest word of the batch, unless its length would have to be read from a GPU
        longest = int(states[:, -2].max()) if packs(states.device) and len(states) else self._length
        nothing = torch.full_like(states[:, :1], self.letter.num_embeddings - 1)
        x = self._tokens(torch.cat([nothing, states[:, :longest]], dim=1), 0, context)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            x = layer.close(x, scaled_dot_product_attention(*layer.split(x), is_causal=True))
        normed: Tensor = self.norm(x)
        return normed

    def _last(self, states: Tensor, context: Context | None) -> Tensor:
        """Embed whole words, shape n x hidden."""
        return self._read(states, context)[torch.arange(len(states), device=states.device), states[:, -2]]

    def _logits(self, h: Tensor, context: Context | None) -> Tensor:
        logits: Tensor = self.forward_head(h, None if context is None else context.head)
        return logits

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self._logits(self._last(states, context), context)

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return zeros, shape n x 1, since each word has a single parent."""
        return torch.zeros(len(states), 1, device=states.device)

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        flow: Tensor = self.flow_head(self._last(states, context))[:, 0]
        return flow

    def all_logits(self, states: Tensor, context: Context | None = None) -> Logits:
        """Return all outputs from one pass."""
        return self._all(self._last(states, context), context)

    def _all(self, h: Tensor, context: Context | None) -> Logits:
        return Logits(self._logits(h, context), h.new_zeros(*h.shape[:-1], 1), self.flow_head(h)[..., 0])

    def along(self, states: Tensor, context: Context | None = None) -> Logits:
        """Return all outputs along trajectories, from one pass over their final words."""
        prefixes = self._read(states[-1], context)
        return self._all(prefixes[torch.arange(states.shape[1], device=states.device), states[..., -2]], context)

    def start(self, n: int, device: torch.device) -> _Memory:
        """Allocate the keys and values of n roll-outs."""
        layers, attention_heads, width = self._shape
        is_cast = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if is_cast else self.position.weight.dtype
        shape = (2, layers, n, attention_heads, self._length + 1, width)
        return _Memory(torch.empty(shape, dtype=dtype, device=device))

    def next_logits(self, states: Tensor, context: Context | None, memory: _Memory, rows: Tensor | None) -> Tensor:
        """Return ``forward_logits``, computed from the last letters only.

        All unfinished words have one letter more than at the last call. The result for a finished word is meaningless.
        """
        position = memory.n_positions
        memory.n_positions += 1
        if position:
            letters = states[:, position - 1 : position]
        else:
            letters = torch.full_like(states[:, :1], self.letter.num_embeddings - 1)
        x = self._tokens(letters, position, context)
        for layer, cache in zip(self.layers, memory.cache.unbind(1), strict=True):
            assert isinstance(layer, Layer)
            query, key, value = layer.split(x)
            new = torch.stack([key, value])[..., 0, :].to(cache.dtype)
            if rows is None:
                cache[:, :, :, position] = new
                prefix = cache[:, :, :, : position + 1]
            else:
                cache[:, :, :, position].index_copy_(1, rows, new)
                prefix = cache[:, :, :, : position + 1].index_select(1, rows)
            x = layer.close(x, scaled_dot_product_attention(query, *prefix.to(query.dtype)))
        return self._logits(self.norm(x)[:, 0], context)
