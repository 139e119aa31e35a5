"""Nested pairs of positions, such as the secondary structure of an RNA, decided from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from al_loop.environments.base import Environment
from al_loop.system.checks import whole_number


class Pairings(Environment):
    """Structures in which each position is alone or paired with another, and no two pairs cross.

    A state has the number of positions in the first column, then the partner of each: its own index if it is alone,
    ``length`` if it is undecided. The action is the partner of the first undecided position, so that each structure has
    one history. ``start`` gives the initial states for other numbers of positions than ``length``. Objects are written
    in dot-bracket notation: ``((...))``.

    Args:
        length: largest number of positions.
        loop: least number of positions between two that are paired.

    Raises:
        ValueError: the length is below 1, or the loop negative.
    """

    kind = "pairing"
    has_stop = False
    n_backward_actions = 1
    length: int

    def __init__(self, length: Annotated[int, Field(ge=1)], loop: Annotated[int, Field(ge=0)] = 3) -> None:
        whole_number("length", length, 1)
        whole_number("loop", loop, 0)
        self.length, self.loop = length, loop
        self.n_actions = self.max_steps = length
        self.state_size = length + 1
        self.n_features = length * (length + 1)

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        return self.start(torch.full((n,), self.length, dtype=torch.int64, device=device))

    def start(self, n_positions: Tensor) -> Tensor:
        """Return the initial states of sequences, shape n x state_size.

        Args:
            n_positions: number of positions of each, from 1 to ``length``, shape n.
        """
        position = torch.arange(self.length, device=n_positions.device)
        partner = torch.where(position < n_positions[:, None], self.length, position)
        return torch.cat([n_positions[:, None], partner], 1)

    def current(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first undecided position (``length``: there is none), and the end of its region, shape n each.

        Partners of positions in a region, which ends before the next decided position, are in the region.
        """
        position = torch.arange(self.length, device=states.device)
        is_open = states[:, 1:] == self.length
        first = torch.where(is_open, position, self.length).amin(1)
        is_end = ~is_open & (position > first[:, None])
        return first, torch.where(is_end, position, self.length).amin(1)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        first = self.current(states)[0].clamp(max=self.length - 1)
        after = states.scatter(1, 1 + first[:, None], actions[:, None])
        return after.scatter(1, 1 + actions[:, None], first[:, None])

    def _last(self, states: Tensor) -> Tensor:
        """Return the position that was decided last, shape n."""
        position = torch.arange(self.length, device=states.device)
        partner = states[:, 1:]
        is_choice = (partner >= position) & (partner < self.length) & (position < states[:, :1])
        return torch.where(is_choice, position, 0).amax(1)

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        last = self._last(states)[:, None]
        partner = states.gather(1, 1 + last).clamp(max=self.length - 1)
        return states.scatter(1, 1 + last, self.length).scatter(1, 1 + partner, self.length)

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        return torch.zeros_like(actions)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return states.gather(1, 1 + self._last(states)[:, None])[:, 0]

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return the position itself, and those of its region that are far enough."""
        position = torch.arange(self.length, device=states.device)
        first, end = (part[:, None] for part in self.current(states))
        is_partner = (position > first + self.loop) & (position < end)
        return (is_partner | (position == first)) & (first < self.length)

    def backward_mask(self, states: Tensor) -> Tensor:
        position = torch.arange(self.length, device=states.device)
        is_decided = (states[:, 1:] < self.length) & (position < states[:, :1])
        return is_decided.any(1, keepdim=True)

    def is_terminal(self, states: Tensor) -> Tensor:
        return (states[:, 1:] < self.length).all(1)

    def features(self, states: Tensor) -> Tensor:
        """Return the one-hot partner of each position, with "undecided"."""
        if states.device.type == "meta":
            return states.new_empty(len(states), self.n_features, dtype=torch.float32)
        return one_hot(states[:, 1:], self.length + 1).flatten(1).float()

    def log_paths(self, states: Tensor) -> Tensor:
        """Return 0: each structure has one history."""
        return torch.zeros(len(states), dtype=torch.float64, device=states.device)

    def decode(self, states: Tensor) -> list[str]:
        texts = []
        for n, *partners in states.tolist():
            texts.append("".join("." if j == i else "(" if j > i else ")" for i, j in enumerate(partners[:n])))
        return texts

    def encode(self, objects: Sequence[str]) -> Tensor:
        return torch.tensor([self._state_of(text) for text in objects], dtype=torch.int64).reshape(-1, self.state_size)

    def _state_of(self, text: str) -> list[int]:
        """Return the state of a structure in dot-bracket notation."""
        if not 1 <= len(text) <= self.length or set(text) - set("(.)"):
            raise ValueError(f"{text!r}: expected 1 to {self.length} of the characters ( . )")
        partner, opened = list(range(self.length)), list[int]()
        for i, character in enumerate(text):
            if character == "(":
                opened.append(i)
            elif character == ")":
                if not opened:
                    raise ValueError(f"{text!r}: the parenthesis at position {i + 1} closes none")
                j = opened.pop()
                if i - j <= self.loop:
                    raise ValueError(f"{text!r}: fewer than {self.loop} positions between {j + 1} and {i + 1}")
                partner[i], partner[j] = j, i
        if opened:
            raise ValueError(f"{text!r}: the parenthesis at position {opened[0] + 1} is not closed")
        return [len(text), *partner]

    def vocabulary(self) -> list[Any]:
        return [self.length, self.loop]
