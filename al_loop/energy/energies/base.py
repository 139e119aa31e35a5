"""The interface of all energies, and the inputs that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.features.base import Features

_CACHE_SIZE = 200_000  # rows of features


class Energy(nn.Module, ABC):
    """A score of objects: log p up to one constant (the negative of a physicist's energy), learned from data.

    Called with terminal states, it returns their scores, so that it is a live reward of a sampler.

    Args:
        environment: the space of objects.
        features: describes the objects; None: the one-hot input of the environment's states.
    """

    #: name in a config
    kind: ClassVar[str] = ""
    #: kind of the features that it requires of molecules if the config names none
    default_features: ClassVar[str] = "morgan"

    def __init__(self, environment: Environment, features: Features | None = None) -> None:
        super().__init__()
        self.environment, self.features = environment, features
        #: added to the network's scores: the log-likelihood of a frozen policy; None: nothing is
        self.base: nn.Module | None = None
        self._rows: dict[bytes, Tensor] = {}

    @property
    def n_inputs(self) -> int:
        """Length of an input row."""
        return self.environment.n_features if self.features is None else self.features.d

    @abstractmethod
    def scores(self, inputs: Tensor) -> Tensor:
        """Return the scores of input rows, shape n.

        Args:
            inputs: rows of ``inputs``, shape n x n_inputs.
        """

    def begin_at_zero(self) -> None:
        """Make all scores of the network 0, so that a base is all that there is at first."""
        return

    def penalty(self) -> Tensor | None:
        """Return a penalty of the weights that is added to the loss, such as one that makes them sparse; None: 0."""
        return None

    def inputs(self, states: Tensor) -> Tensor:
        """Return the input rows of terminal states, shape n x n_inputs, float32."""
        if self.features is None:
            return self.environment.features(states)
        graphs = self.environment.graphs(states)
        described = None if graphs is None else self.features.of_graphs(graphs)
        if described is not None:  # without decoding
            return described.float()
        keys = [row.tobytes() for row in states.cpu().numpy()]
        new = {key: row for row, key in enumerate(keys) if key not in self._rows}
        rows = {}
        if new:
            objects = self.environment.decode(states[list(new.values())])
            rows = dict(zip(new, self._described(objects), strict=True))
        result = torch.stack([rows[key] if key in rows else self._rows[key] for key in keys])
        if len(self._rows) + len(rows) > _CACHE_SIZE:
            self._rows.clear()
        self._rows.update(rows)
        return result.to(states.device, torch.float32)

    def _described(self, objects: Sequence[str]) -> Tensor:
        """Return the feature rows of objects in their own number type; 0 for one that has no features."""
        assert self.features is not None
        known = set(self.features.describable(objects))
        if len(known) == len(set(objects)):
            return self._compact(self.features(objects))
        rows = torch.zeros(len(objects), self.features.d, dtype=torch.float64)
        index = [i for i, name in enumerate(objects) if name in known]
        if index:
            rows[index] = self.features([objects[i] for i in index])
        return self._compact(rows)

    @staticmethod
    def _compact(rows: Tensor) -> Tensor:
        return rows.float()

    def forward(self, states: Tensor) -> Tensor:
        """Return the scores of terminal states, shape n."""
        score = self.scores(self.inputs(states))
        return score if self.base is None else score + self.base(states)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_rows": {}}  # the cache does not travel to other processes
