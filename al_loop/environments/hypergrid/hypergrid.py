"""The hypergrid of Bengio et al. (2021): the standard test bed of GFlowNets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from al_loop.environments.base import Environment


class Hypergrid(Environment):
    """Points of a grid, built by raising one coordinate at a time.

    Args:
        dimensions: number of coordinates.
        height: values per coordinate, 0 to height - 1.
    """

    kind = "hypergrid"

    def __init__(self, dimensions: int = 2, height: int = 8) -> None:
        if dimensions < 1 or height < 2:
            raise ValueError(f"a hypergrid needs dimensions >= 1 and height >= 2, not {dimensions} and {height}")
        self.dimensions, self.height = dimensions, height
        self.n_actions = self.n_backward_actions = dimensions + 1  # the last: stop, and its undoing
        self.state_size = dimensions + 1  # coordinates, then whether it is finished
        self.max_steps = dimensions * (height - 1) + 1
        self.n_features = dimensions * height
        self._limit = torch.tensor([height - 1] * dimensions + [1])
        self._offsets = torch.arange(dimensions) * height
        self._one = torch.ones(1, 1, dtype=torch.int64)

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """N times the origin."""
        return torch.zeros(n, self.state_size, dtype=torch.int64, device=device)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Raises one coordinate each, or finishes the point."""
        return states.scatter_add(1, actions[:, None], self._one.to(states.device).expand(len(states), 1))

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Lowers one coordinate each, or takes the finish back."""
        return states.scatter_add(1, backward_actions[:, None], -self._one.to(states.device).expand(len(states), 1))

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        """The same coordinate."""
        return actions

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """The same coordinate."""
        return backward_actions

    def forward_mask(self, states: Tensor) -> Tensor:
        """Coordinates below the border may rise, and any point may be finished."""
        return (states < self._limit.to(states.device)) & (states[:, -1:] == 0)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Coordinates above 0 may be lowered; a finished point is first reopened."""
        is_finished = states[:, -1:] == 1
        return torch.cat([(states[:, :-1] > 0) & ~is_finished, is_finished], dim=1)

    def is_terminal(self, states: Tensor) -> Tensor:
        """Whether each point is finished."""
        return states[:, -1] == 1

    def features(self, states: Tensor) -> Tensor:
        """One-hot coordinates."""
        empty = torch.zeros(len(states), self.dimensions, self.height, device=states.device)
        return empty.scatter_(2, states[:, :-1, None], 1.0).flatten(1)

    def feature_index(self, states: Tensor) -> Tensor:
        """One place for each coordinate."""
        return states[:, :-1] + self._offsets.to(states.device)

    def log_paths(self, states: Tensor) -> Tensor:
        """The orders in which the coordinates may rise: a multinomial coefficient. The finish adds none."""
        x = states[:, :-1].double()
        return torch.lgamma(x.sum(1) + 1) - torch.lgamma(x + 1).sum(1)

    def decode(self, states: Tensor) -> list[str]:
        """Points such as ``'0,7'``."""
        return [",".join(map(str, row)) for row in states[:, :-1].tolist()]

    def encode(self, objects: Sequence[str]) -> Tensor:
        """Finished points."""
        rows = []
        for point in objects:
            try:
                row = [*map(int, point.split(","))]
            except ValueError:
                row = []
            if len(row) != self.dimensions:
                raise ValueError(f"{point!r} is not a point of a grid of {self.dimensions} dimensions, such as '0,0'")
            rows.append([*row, 1])
        states = torch.tensor(rows, dtype=torch.int64).reshape(-1, self.state_size)
        outside = ((states < 0) | (states >= self.height))[:, :-1].any(1)
        if outside.any():
            raise ValueError(f"{objects[int(outside.nonzero()[0])]!r} is outside of the grid of height {self.height}")
        return states
