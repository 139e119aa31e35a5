"""A message-passing energy on the atoms and bonds of molecules."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from al_loop.energy.energies.base import Energy
from al_loop.environments.base import Environment
from al_loop.features.base import Features
from al_loop.features.graph import Graph
from al_loop.surrogates.encoders.graph import MessagePassing


class GraphEnergy(Energy):
    """Messages between bonded atoms, summed over the molecule, then a linear score.

    Args:
        environment: a space of molecules.
        features: ``graph`` features; None: those with their defaults.
        hidden: width of the molecule's embedding; an atom has half as many.
        layers: rounds of messages.

    Raises:
        ValueError: the objects are not molecules, or the features are not ``graph``.
    """

    kind = "graph"
    default_features: ClassVar[str] = "graph"

    def __init__(
        self,
        environment: Environment,
        features: Features | None = None,
        hidden: Annotated[int, Field(ge=2)] = 128,
        layers: Annotated[int, Field(ge=1)] = 3,
    ) -> None:
        if environment.object_type != "molecule":
            raise ValueError(f"energy.kind: graph requires molecules, and {environment.name} has others; use mlp")
        features = features or Graph()
        if not isinstance(features, Graph):
            raise ValueError("energy.kind: graph requires features.kind: graph; leave features out, or use energy mlp")
        super().__init__(environment, features)
        # a seed from torch's global generator, as for any other network
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self.trunk = MessagePassing(features.layout, 1, hidden, layers, generator)
        self.score = nn.Linear(hidden, 1)

    def begin_at_zero(self) -> None:
        for parameter in self.score.parameters():
            nn.init.zeros_(parameter)

    def scores(self, inputs: Tensor) -> Tensor:
        score: Tensor = self.score(self.trunk(inputs)[0])[:, 0]  # powers of 2: exact in single precision
        return score
