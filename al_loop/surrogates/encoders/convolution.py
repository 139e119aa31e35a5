"""Convolutional networks on sequences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad, silu

from al_loop.features.row_layout import SequenceLayout
from al_loop.surrogates.encoders.base import Linear, Trunk
from al_loop.surrogates.encoders.reverse_complement import reverse_complement

#: positions in the window of a convolution
_WINDOW = 5


class _Convolutions(Trunk):
    """Convolutions over the positions of a sequence.

    Args:
        layout: structure of the rows.
        n_members: number of networks.
        hidden: length of the outputs.
        channels: units of each position.
        n_layers: convolutions; from the second on each is added to its input.
        generator: of the weights.
    """

    def __init__(
        self,
        layout: SequenceLayout,
        n_members: int,
        hidden: int,
        channels: int,
        n_layers: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(n_members, hidden, generator)
        self.layout, self.channels = layout, channels
        letters = len(layout.alphabet) + 1
        self.first = self.normal(_WINDOW * letters, n_members * channels, std=(2 / _WINDOW) ** 0.5)
        self.bias = torch.nn.Parameter(torch.zeros(n_members, 1, channels))
        self.layers = torch.nn.ModuleList(self.linear(_WINDOW * channels, channels) for _ in range(n_layers - 1))

    def positions(self, inputs: Tensor, beyond: int = 0) -> Tensor:
        """Return what the convolutions see: n x d -> n x n_members x channels x positions.

        Args:
            inputs: the rows.
            beyond: positions before and after the sequence whose windows reach into it.
        """
        letters = inputs.reshape(len(inputs), self.layout.length, len(self.layout.alphabet) + 1).transpose(1, 2)
        h = silu(_convolved(letters, self.first.unsqueeze(0), self.bias.reshape(1, 1, -1), beyond))
        for layer in self.layers:
            assert isinstance(layer, Linear)
            h = h + silu(_convolved(h, layer.weight, layer.bias))
        seen: Tensor = h.unflatten(1, (self.n_members, self.channels))
        return seen


class Convolution(_Convolutions):
    """Convolutions, then a layer on all positions together.

    Args:
        layout: structure of the rows.
        n_members: number of networks.
        hidden: units of the last layer; a convolution has half as many channels.
        n_layers: convolutions.
        generator: of the weights.
    """

    def __init__(
        self, layout: SequenceLayout, n_members: int, hidden: int, n_layers: int, generator: torch.Generator
    ) -> None:
        super().__init__(layout, n_members, hidden, max(hidden // 2, 1), n_layers, generator)
        self.last = self.linear(layout.length * self.channels, hidden)

    def forward(self, inputs: Tensor) -> Tensor:
        encoded: Tensor = silu(self.last(self.positions(inputs).permute(1, 0, 3, 2).flatten(2)))
        return encoded


class StrandConvolution(_Convolutions):
    """Convolutions over both strands of DNA or RNA, then a layer on their maximum and their mean over the positions.

    What binds to DNA finds its motif at any place of either strand, also where a word holds a part of it. With this
    form, networks that know the lower half of TFBind8 rank its best words ten times higher than with ``Convolution``.

    Args:
        layout: structure of the rows.
        n_members: number of networks.
        hidden: units of the last layer, and channels of a convolution.
        n_layers: convolutions.
        generator: of the weights.
    """

    sees_strands = True

    def __init__(
        self, layout: SequenceLayout, n_members: int, hidden: int, n_layers: int, generator: torch.Generator
    ) -> None:
        super().__init__(layout, n_members, hidden, hidden, n_layers, generator)
        self.last = self.linear(2 * hidden, hidden)

    def forward(self, inputs: Tensor) -> Tensor:
        both = self.positions(torch.cat([inputs, reverse_complement(inputs, self.layout)]), beyond=_WINDOW // 2)
        own, other = torch.cat([both.amax(-1), both.mean(-1)], -1).transpose(0, 1).chunk(2, dim=1)
        encoded: Tensor = silu(self.last(torch.maximum(own, other)))
        return encoded


def _convolved(h: Tensor, weight: Tensor, bias: Tensor, beyond: int = 0) -> Tensor:
    """Return convolutions in groups of channels, with zeros beyond the ends.

    Args:
        h: the inputs, n x (groups c_in) x positions.
        weight: groups x (window c_in) x c_out.
        bias: groups x 1 x c_out.
        beyond: further positions at each end.

    Returns:
        The outputs, n x (groups c_out) x (positions + 2 beyond).
    """
    side = _WINDOW // 2 + beyond
    if h.device.type == "cpu":  # half the time; on a GPU it would be in TF32, and a fit not the same twice
        kernel: Tensor = weight.unflatten(1, (_WINDOW, -1)).permute(0, 3, 2, 1).flatten(0, 1)
        return conv1d(h, kernel, bias.flatten(), padding=side, groups=len(weight))
    return _matrix_products(pad(h, (side, side)), weight, bias)


def _matrix_products(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the same as ``_convolved``, of inputs that have the zeros beyond the ends already."""
    windows: Tensor = h.unfold(-1, _WINDOW, 1).unflatten(1, (len(weight), -1)).permute(1, 0, 3, 4, 2)
    products = torch.baddbmm(bias, windows.flatten(3).flatten(1, 2), weight)
    convolved: Tensor = products.unflatten(1, windows.shape[1:3]).permute(1, 0, 3, 2).flatten(1, 2)
    return convolved
