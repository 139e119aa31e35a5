"""Attention with a memory of keys and values, for the models that are ours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from al_loop.language_models.base import Memory


@dataclass
class KeysAndValues(Memory):
    """Keys and values of n texts.

    Args:
        keys: of each layer, shape n x heads x t x d.
        values: of each layer, in the same shape.
        is_token: mask of the tokens that are not padding, shape n x t.
        source_keys: keys of what an encoder read, of each layer, shape n x heads x s x d; empty: there is no encoder.
        source_values: its values, in the same shape.
        is_source: mask of the encoder's tokens that are not padding, shape n x s.
    """

    keys: list[Tensor]
    values: list[Tensor]
    is_token: Tensor
    source_keys: tuple[Tensor, ...] = ()
    source_values: tuple[Tensor, ...] = ()
    is_source: Tensor | None = None

    def pick(self, rows: Tensor) -> KeysAndValues:
        return KeysAndValues(
            [part[rows] for part in self.keys],
            [part[rows] for part in self.values],
            self.is_token[rows],
            tuple(part[rows] for part in self.source_keys),
            tuple(part[rows] for part in self.source_values),
            None if self.is_source is None else self.is_source[rows],
        )

    def extend(self, is_token: Tensor) -> tuple[Tensor, Tensor]:
        """Make room for further tokens.

        Args:
            is_token: mask of the new tokens that are not padding, shape n x t.

        Returns:
            The positions of the new tokens, shape n x t, and the mask of the tokens that each of them attends to, shape
            n x 1 x t x (all tokens).
        """
        before, new = self.is_token.shape[1], is_token.shape[1]
        self.is_token = torch.cat([self.is_token, is_token], 1)
        positions = (self.is_token.long().cumsum(1) - 1).clamp(min=0)[:, before:]
        device = is_token.device
        places = torch.arange(before + new, device=device)
        is_past = places <= torch.arange(before, before + new, device=device)[:, None]
        # padding attends to itself, so that no row is without a token
        itself = places == torch.arange(before, before + new, device=device)[:, None]
        return positions, ((self.is_token[:, None] & is_past) | itself)[:, None]


class Attention(nn.Module):
    """Multi-head attention.

    Args:
        width: width of the tokens, a multiple of ``heads``.
        heads: number of attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.mix = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self._heads, -1).transpose(1, 2)

    def keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values, shape n x heads x t x d each, of tokens, shape n x t x width."""
        return self._split(self.key(x)), self._split(self.value(x))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Return what tokens gather from others, shape n x t x width.

        Args:
            x: tokens that ask, shape n x t x width.
            keys: keys, shape n x heads x s x d.
            values: values, in the same shape.
            mask: which tokens may attend to which, shape n x 1 x t x s; None: all to all.
        """
        attended = scaled_dot_product_attention(self._split(self.query(x)), keys, values, attn_mask=mask)
        mixed: Tensor = self.mix(attended.transpose(1, 2).flatten(2))
        return mixed

    def attend(self, x: Tensor, memory: KeysAndValues, layer: int, mask: Tensor) -> Tensor:
        """Return what new tokens gather from all so far, and add their keys and values to a layer of the memory.

        Args:
            x: the new tokens, shape n x t x width.
            memory: the memory, after ``extend``.
            layer: number of the layer.
            mask: see ``KeysAndValues.extend``.
        """
        keys, values = self.keys_and_values(x)
        if len(memory.keys) == layer:
            memory.keys.append(keys)
            memory.values.append(values)
        else:
            memory.keys[layer] = torch.cat([memory.keys[layer], keys], 2)
            memory.values[layer] = torch.cat([memory.values[layer], values], 2)
        return self(x, memory.keys[layer], memory.values[layer], mask)  # type: ignore[no-any-return]
