"""Subsets of a list of items, such as ingredients, features or experiments to run together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.system.checks import whole_number


class Sets(Environment):
    """Subsets of a list of items, of fixed or variable size, built by adding one item at a time.

    A state records whether each item is in the set, and whether the set was stopped. An object is a text such as
    ``"0,3,4"``.

    Args:
        items: names of the items, or their number (their names are then "0", "1", ...).
        size: number of items in the largest set.
        min_size: number of items in the smallest set; None: all sets have ``size`` items.

    Raises:
        ValueError: the items are not distinct names without commas, or the sizes are out of range.
    """

    kind = "set"

    def __init__(self, items: int | list[str], size: int, min_size: int | None = None) -> None:
        self.items = [str(i) for i in range(items)] if isinstance(items, int) else list(items)
        self._index = {name: i for i, name in enumerate(self.items)}
        if not self.items or len(self._index) != len(self.items):
            raise ValueError(f"items: {items!r} must contain at least one item, and no item twice")
        invalid = [name for name in self.items if not name or "," in name]
        if invalid:
            raise ValueError(f"items: {invalid} are not valid names; a name must not be empty or contain a comma")
        whole_number("size", size, 1)
        if min_size is not None:
            whole_number("min_size", min_size, 1)
        self.size, self.min_size = size, size if min_size is None else min_size
        if not 1 <= size <= len(self.items):
            raise ValueError(f"size: must be between 1 and the number of items ({len(self.items)}), got {size}")
        if not 1 <= self.min_size <= size:
            raise ValueError(f"min_size: must be between 1 and size ({size}), got {self.min_size}")
        self.n_features = len(self.items)
        self.n_actions = self.n_backward_actions = len(self.items) + 1  # the last one: stop, and undoing it
        self.state_size = len(self.items) + 1  # whether each item is in the set, then whether it was stopped
        self.max_steps = size + (self.min_size < size)

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        return torch.zeros(n, self.state_size, dtype=torch.int64, device=device)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        return states.scatter(1, actions[:, None], 1)

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return states.scatter(1, backward_actions[:, None], 0)

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        return actions

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return backward_actions

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return the items outside the set below the full size, and stop from ``min_size`` on."""
        inside = states[:, :-1]
        count = inside.sum(1, keepdim=True)
        may_grow = (count < self.size) & (states[:, -1:] == 0)
        return torch.cat([(inside == 0) & may_grow, may_grow & (count >= self.min_size)], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Return the items in the set, or only the undoing of stop for a stopped set."""
        is_stopped = states[:, -1:] == 1
        return torch.cat([(states[:, :-1] == 1) & ~is_stopped, is_stopped], dim=1)

    def is_terminal(self, states: Tensor) -> Tensor:
        return (states[:, :-1].sum(1) == self.size) | (states[:, -1] == 1)

    def features(self, states: Tensor) -> Tensor:
        """Return 1 for each item in the set, 0 for the others, shape n x items."""
        return states[:, :-1].float()

    def log_paths(self, states: Tensor) -> Tensor:
        """Return log k! for k items, the orders in which they can be added."""
        return torch.lgamma(states[:, :-1].sum(1).double() + 1)

    def decode(self, states: Tensor) -> list[str]:
        """Return names such as ``"0,3,4"``, in the order of the items."""
        return [",".join(name for name, i in zip(self.items, row[:-1], strict=True) if i) for row in states.tolist()]

    def encode(self, objects: Sequence[str]) -> Tensor:
        """Return the finished states of sets, whose items may be named in any order."""
        states = self.initial(len(objects))
        for row, text in enumerate(objects):
            names = text.split(",")
            unknown = [name for name in names if name not in self._index]
            if unknown:
                raise ValueError(f"{text!r} has unknown items: {unknown}")
            if len(set(names)) != len(names):
                raise ValueError(f"{text!r} contains an item twice")
            if not self.min_size <= len(names) <= self.size:
                raise ValueError(f"{text!r} has {len(names)} items, not {self.min_size} to {self.size}")
            states[row, [self._index[name] for name in names]] = 1
            states[row, -1] = int(len(names) < self.size)
        return states

    def vocabulary(self) -> list[Any]:
        return [*self.items, self.order]

    def describe(self) -> str:
        return f"{self.name} ({len(self.items)} items)"
