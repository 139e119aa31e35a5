"""Multilayer perceptrons on any rows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import silu

from al_loop.surrogates._network_utils import dot
from al_loop.surrogates.encoders.base import Trunk


class Perceptron(Trunk):
    """Multilayer perceptrons on whole rows.

    Args:
        d: number of features.
        norm: root mean square of the rows' norms, which sets the scale of the weights.
        n_members: number of networks.
        hidden: units of a layer.
        n_layers: layers.
        generator: of the weights.
    """

    def __init__(
        self, d: int, norm: float, n_members: int, hidden: int, n_layers: int, generator: torch.Generator
    ) -> None:
        super().__init__(n_members, hidden, generator)
        # one matrix for all: the rows are the same for every member
        self.first = self.normal(d, n_members * hidden, std=2**0.5 / norm)
        self.bias = torch.nn.Parameter(torch.zeros(n_members, 1, hidden))
        self.layers = torch.nn.ModuleList(self.linear(hidden, hidden) for _ in range(n_layers - 1))

    def forward(self, inputs: Tensor) -> Tensor:
        h = dot(inputs, self.first).reshape(len(inputs), self.n_members, self.width).transpose(0, 1)
        h = silu(h + self.bias)
        for layer in self.layers:
            h = silu(layer(h))
        return h
