"""Transformers on sequences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention, silu

from al_loop.features.row_layout import SequenceLayout
from al_loop.surrogates.encoders.base import Trunk, standardised

#: units of an attention head
_HEAD = 16


class Transformer(Trunk):
    """Letters with learned positions that attend to each other, then the average over the positions.

    Args:
        layout: structure of the rows.
        n_members: number of networks.
        hidden: units of the last layer; a position has half as many (a multiple of 16).
        n_layers: layers of attention, each with a perceptron after it, both added to their inputs.
        generator: of the weights.
    """

    def __init__(
        self, layout: SequenceLayout, n_members: int, hidden: int, n_layers: int, generator: torch.Generator
    ) -> None:
        super().__init__(n_members, hidden, generator)
        self.layout = layout
        self.heads = max(hidden // (2 * _HEAD), 1)
        self.units = units = self.heads * _HEAD
        self.letters = self.normal(len(layout.alphabet) + 1, n_members * units, std=1.0)
        self.positions = self.normal(n_members, layout.length, units, std=1.0)
        self.queries = torch.nn.ModuleList(self.linear(units, 3 * units, gain=1.0) for _ in range(n_layers))
        self.outputs = torch.nn.ModuleList(self.linear(units, units, gain=0.5) for _ in range(n_layers))
        self.wide = torch.nn.ModuleList(self.linear(units, 2 * units) for _ in range(n_layers))
        self.narrow = torch.nn.ModuleList(self.linear(2 * units, units, gain=0.5) for _ in range(n_layers))
        self.last = self.linear(units, hidden)

    def forward(self, inputs: Tensor) -> Tensor:
        n, length, m = len(inputs), self.layout.length, self.n_members
        h = (
            (inputs.reshape(n * length, len(self.letters)) @ self.letters)
            .reshape(n, length, m, self.units)
            .permute(2, 0, 1, 3)
        )
        h = (h + self.positions.unsqueeze(1)).reshape(m, n * length, self.units)
        for queries, outputs, wide, narrow in zip(self.queries, self.outputs, self.wide, self.narrow, strict=True):
            heads = queries(standardised(h)).reshape(m * n, length, 3, self.heads, _HEAD)
            q, k, v = heads.permute(2, 0, 3, 1, 4)
            mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2)
            h = h + outputs(mixed.reshape(m, n * length, self.units))
            h = h + narrow(silu(wide(standardised(h))))
        encoded: Tensor = silu(self.last(standardised(h).reshape(m, n, length, self.units).mean(2)))
        return encoded
