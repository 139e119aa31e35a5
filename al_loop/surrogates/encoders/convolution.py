"""Convolutional networks on sequences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad, silu

from al_loop.features.row_layout import SequenceLayout
from al_loop.surrogates.encoders.base import Trunk

#: positions in the window of a convolution
_WINDOW = 5


class Convolution(Trunk):
    """Convolutions over the positions of a sequence, then a layer on all positions together.

    Args:
        layout: structure of the rows.
        n_members: number of networks.
        hidden: units of the last layer; a convolution has half as many channels.
        n_layers: convolutions; from the second on each is added to its input.
        generator: of the weights.
    """

    def __init__(
        self, layout: SequenceLayout, n_members: int, hidden: int, n_layers: int, generator: torch.Generator
    ) -> None:
        super().__init__(n_members, hidden, generator)
        self.layout = layout
        self.channels = max(hidden // 2, 1)
        letters = len(layout.alphabet) + 1
        self.first = self.normal(_WINDOW * letters, n_members * self.channels, std=(2 / _WINDOW) ** 0.5)
        self.bias = torch.nn.Parameter(torch.zeros(n_members, 1, self.channels))
        self.layers = torch.nn.ModuleList(
            self.linear(_WINDOW * self.channels, self.channels) for _ in range(n_layers - 1)
        )
        self.last = self.linear(layout.length * self.channels, hidden)

    def forward(self, inputs: Tensor) -> Tensor:
        n, length = len(inputs), self.layout.length
        windows = _windows(inputs.reshape(n, length, len(self.layout.alphabet) + 1)).flatten(0, 1)
        h = (windows @ self.first).reshape(n * length, self.n_members, self.channels).transpose(0, 1)
        h = silu(h + self.bias)
        for layer in self.layers:
            windows = _windows(h.reshape(self.n_members * n, length, self.channels))
            h = h + silu(layer(windows.reshape(self.n_members, n * length, _WINDOW * self.channels)))
        encoded: Tensor = silu(self.last(h.reshape(self.n_members, n, length * self.channels)))
        return encoded


def _windows(h: Tensor) -> Tensor:
    """Return the window around each position, 0 beyond the ends: n x length x c -> n x length x (window c)."""
    side = _WINDOW // 2
    padded = pad(h, (0, 0, side, side))
    return torch.cat([padded[:, i : i + h.shape[1]] for i in range(_WINDOW)], dim=-1)
