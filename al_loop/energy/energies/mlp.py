"""A multi-layer perceptron energy on one-hot letters or on features such as fingerprints."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import silu

from al_loop.energy.energies.base import Energy
from al_loop.environments.base import Environment
from al_loop.features.base import Features


class MLPEnergy(Energy):
    """A perceptron on one-hot letters, or on log(1 + features) such as the counts of a fingerprint.

    Args:
        environment: the space of objects.
        features: describes the objects; None: the one-hot input of the environment's states.
        hidden: width of each layer.
        layers: number of hidden layers.
    """

    kind = "mlp"

    def __init__(
        self,
        environment: Environment,
        features: Features | None = None,
        hidden: Annotated[int, Field(ge=1)] = 256,
        layers: Annotated[int, Field(ge=1)] = 3,
    ) -> None:
        super().__init__(environment, features)
        sizes = [self.n_inputs, *[hidden] * layers, 1]
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(sizes)])

    def begin_at_zero(self) -> None:
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def scores(self, inputs: Tensor) -> Tensor:
        x = inputs if self.features is None else torch.log1p(inputs.clamp(min=0))
        for layer in self.layers[:-1]:
            x = silu(layer(x))
        score: Tensor = self.layers[-1](x)[:, 0]
        return score
