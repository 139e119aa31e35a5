"""Base class of encoders, and their layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import layer_norm


class Trunk(torch.nn.Module, ABC):
    """Networks of one form side by side, the members, each with weights of its own, in float32.

    Args:
        n_members: number of networks.
        width: length of their outputs.
        generator: of the weights.
    """

    #: whether it encodes a DNA or RNA word and its reverse complement alike
    sees_strands: ClassVar[bool] = False

    def __init__(self, n_members: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.n_members, self.width = n_members, width
        self._generator = generator

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_generator"}

    def normal(self, *shape: int, std: float) -> torch.nn.Parameter:
        """Draw weights from a normal distribution."""
        return torch.nn.Parameter(std * torch.randn(*shape, generator=self._generator))

    def linear(self, n_in: int, n_out: int, gain: float = 2.0) -> Linear:
        """Return a linear map for each member.

        Args:
            n_in: length of the inputs.
            n_out: length of the outputs.
            gain: variance of the outputs for inputs of variance 1.
        """
        return Linear(self.normal(self.n_members, n_in, n_out, std=(gain / n_in) ** 0.5))

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Return the members' encodings: n x d -> n_members x n x width."""


class Linear(torch.nn.Module):
    """A linear map of each member: n_members x n x n_in -> n_members x n x n_out."""

    def __init__(self, weight: torch.nn.Parameter) -> None:
        super().__init__()
        self.weight = weight
        self.bias = torch.nn.Parameter(torch.zeros(weight.shape[0], 1, weight.shape[2]))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, inputs, self.weight)


def standardised(h: Tensor) -> Tensor:
    """Return vectors scaled to mean 0 and variance 1 each (layer normalisation without weights)."""
    return layer_norm(h, h.shape[-1:])
