"""The hypergrid of Bengio et al. (2021), the standard test bed of GFlowNets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from al_loop.environments._per_device import PerDevice
from al_loop.environments.base import Environment
from al_loop.system.checks import whole_number


class Hypergrid(Environment):
    """Points of a grid, built by increasing one coordinate at a time.

    A state contains the coordinates, and whether the point is finished. An object is a text such as ``"0,7"``.

    Args:
        dimensions: number of coordinates.
        height: number of values of a coordinate, from 0 to height - 1.

    Raises:
        ValueError: an argument is out of range.
    """

    kind = "hypergrid"

    def __init__(self, dimensions: int = 2, height: int = 8) -> None:
        whole_number("dimensions", dimensions, 1)
        whole_number("height", height, 2)
        self.dimensions, self.height = dimensions, height
        self.n_actions = self.n_backward_actions = dimensions + 1  # the last one: stop, and undoing it
        self.state_size = dimensions + 1  # coordinates, then whether the point is finished
        self.max_steps = dimensions * (height - 1) + 1
        self.n_features = dimensions * height
        self._limit = PerDevice(torch.tensor([height - 1] * dimensions + [1]))
        self._offsets = PerDevice(torch.arange(dimensions) * height)
        self._one = PerDevice(torch.ones(1, 1, dtype=torch.int64))

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        return torch.zeros(n, self.state_size, dtype=torch.int64, device=device)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # part of a larger kernel; uncompiled, it takes longer than scatter_add
            return states + (actions[:, None] == torch.arange(self.state_size, device=states.device))
        return states.scatter_add(1, actions[:, None], self._one.on(states.device).expand(len(states), 1))

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return states.scatter_add(1, backward_actions[:, None], -self._one.on(states.device).expand(len(states), 1))

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        return actions

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return backward_actions

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return the coordinates below the border, which may increase, and stop, which is allowed at any point."""
        return (states < self._limit.on(states.device)) & (states[:, -1:] == 0)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Return the coordinates above 0, which may decrease, or only the undoing of stop for a finished point."""
        is_finished = states[:, -1:] == 1
        return torch.cat([(states[:, :-1] > 0) & ~is_finished, is_finished], dim=1)

    def is_terminal(self, states: Tensor) -> Tensor:
        return states[:, -1] == 1

    def features(self, states: Tensor) -> Tensor:
        """Return the one-hot coordinates, shape n x (dimensions * height)."""
        values = torch.arange(self.height, device=states.device)
        return (states[:, :-1, None] == values).flatten(1).float()

    def feature_offsets(self, device: torch.device) -> Tensor:
        """Return an offset for each coordinate, shape ``dimensions``."""
        return self._offsets.on(device)

    def log_paths(self, states: Tensor) -> Tensor:
        """Return the logarithm of a multinomial coefficient: the orders in which the coordinates can increase."""
        x = states[:, :-1].double()
        return torch.lgamma(x.sum(1) + 1) - torch.lgamma(x + 1).sum(1)

    def decode(self, states: Tensor) -> list[str]:
        """Return points such as ``'0,7'``."""
        return [",".join(map(str, row)) for row in states[:, :-1].tolist()]

    def encode(self, objects: Sequence[str]) -> Tensor:
        rows = []
        for point in objects:
            try:
                row = [*map(int, point.split(","))]
            except ValueError:
                row = []
            if len(row) != self.dimensions:
                raise ValueError(f"{point!r} is not a point with {self.dimensions} coordinates, such as '0,0'")
            rows.append([*row, 1])
        states = torch.tensor(rows, dtype=torch.int64).reshape(-1, self.state_size)
        outside = ((states < 0) | (states >= self.height))[:, :-1].any(1)
        if outside.any():
            raise ValueError(f"{objects[int(outside.nonzero()[0])]!r} has a coordinate outside 0 to {self.height - 1}")
        return states
