"""Assignments of one letter to each of a fixed number of places, filled in any order or from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from al_loop.environments._per_device import PerDevice
from al_loop.environments.base import Environment, ObjectType
from al_loop.system.checks import whole_number


class Assignments(Environment):
    """Words of a fixed length whose places are filled one by one, such as bits, spins, codes or site occupations.

    A state contains the letters by index (``len(alphabet)`` for an empty place). In any order, the action
    ``place * len(alphabet) + letter`` fills a place, the backward action ``place`` empties it, and each word has
    ``length!`` histories, as in EB-GFN (Zhang et al. 2022). There is no stop: a word is finished when it is full.

    Args:
        alphabet: the letters, as a text if each is one character, e.g. ``"01"``, otherwise as a list of texts of one
            size, e.g. ``["Cu", "Au"]``.
        length: number of places.
        order: ``any``, or ``left_to_right``, in which each word has one history.

    Raises:
        ValueError: the letters are not distinct texts of one size, or the length is below 1.
    """

    kind = "assignment"
    has_stop = False
    object_type: ObjectType = "sequence"  # type: ignore[misc]
    alphabet: str | list[str]
    length: int

    def __init__(self, alphabet: str | list[str], length: int, order: Literal["any", "left_to_right"] = "any") -> None:
        self._index = {letter: i for i, letter in enumerate(alphabet)}
        if len(self._index) != len(alphabet) or not alphabet or "" in self._index:
            raise ValueError(f"alphabet: {alphabet!r} must contain at least one letter, none empty and none twice")
        sizes = {len(letter) for letter in alphabet}
        if len(sizes) > 1:
            raise ValueError(f"alphabet: the letters of {alphabet!r} must have the same size, not {sorted(sizes)}")
        whole_number("length", length, 1)
        if order not in ("any", "left_to_right"):
            raise ValueError(f"order: {order!r} is not one of any, left_to_right")
        self.alphabet, self.length, self.order = alphabet, length, order
        self._letter_size = sizes.pop()
        self._n_letters, self._is_any = len(alphabet), order == "any"
        self.n_actions = self._n_letters * (length if self._is_any else 1)
        self.n_backward_actions = length if self._is_any else 1
        self.state_size = self.max_steps = length
        self.n_features = length * (self._n_letters + 1)
        self._offsets = PerDevice(torch.arange(length) * (self._n_letters + 1))

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        return torch.full((n, self.length), self._n_letters, dtype=torch.int64, device=device)

    def _n_filled(self, states: Tensor) -> Tensor:
        return (states < self._n_letters).sum(1)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        place = actions // self._n_letters if self._is_any else self._n_filled(states).clamp(max=self.length - 1)
        return states.scatter(1, place[:, None], (actions % self._n_letters)[:, None])

    def _place(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Return the places that backward actions empty, shape n."""
        return backward_actions if self._is_any else (self._n_filled(states) - 1).clamp(min=0)

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return states.scatter(1, self._place(states, backward_actions)[:, None], self._n_letters)

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        return actions // self._n_letters if self._is_any else torch.zeros_like(actions)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        place = self._place(states, backward_actions)
        letter = states.gather(1, place[:, None])[:, 0]
        return place * self._n_letters + letter if self._is_any else letter

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return all letters of the empty places; from left to right, all letters unless the word is full."""
        is_empty = states == self._n_letters
        if not self._is_any:
            return is_empty.any(1, keepdim=True).expand(-1, self._n_letters)
        return is_empty.unsqueeze(2).expand(-1, -1, self._n_letters).flatten(1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Return the filled places; from left to right, whether there is one."""
        is_filled = states < self._n_letters
        return is_filled if self._is_any else is_filled.any(1, keepdim=True)

    def is_terminal(self, states: Tensor) -> Tensor:
        return (states < self._n_letters).all(1)

    def features(self, states: Tensor) -> Tensor:
        """Return the one-hot letters, including "none", shape n x (length * (letters + 1))."""
        letters = torch.arange(self._n_letters + 1, device=states.device)
        return (states[:, :, None] == letters).flatten(1).float()

    def feature_offsets(self, device: torch.device) -> Tensor:
        """Return an offset for each place, shape ``length``."""
        return self._offsets.on(device)

    def histories(self, states: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the prefixes of words that are written from left to right, and their letters; None in any order."""
        if self._is_any:
            return None
        place = torch.arange(self.length, device=states.device)
        n_filled = torch.arange(self.length + 1, device=states.device)[:, None, None]
        return torch.where(place < n_filled, states, self._n_letters), states.t()

    def log_paths(self, states: Tensor) -> Tensor:
        """Return log k! for k filled places in any order, and 0 from left to right."""
        n_filled = self._n_filled(states).double()
        return torch.lgamma(n_filled + 1) if self._is_any else torch.zeros_like(n_filled)

    def decode(self, states: Tensor) -> list[str]:
        return ["".join(self.alphabet[i] for i in row) for row in states.tolist()]

    def encode(self, objects: Sequence[str]) -> Tensor:
        size = self._letter_size
        rows = []
        for word in objects:
            if len(word) != size * self.length:
                raise ValueError(f"{word!r} has {len(word) / size:g} letters, not {self.length}")
            letters = [word[i : i + size] for i in range(0, len(word), size)]
            unknown = sorted({letter for letter in letters if letter not in self._index})
            if unknown:
                raise ValueError(f"{word!r} has letters outside the alphabet {self.alphabet!r}: {', '.join(unknown)}")
            rows.append([self._index[letter] for letter in letters])
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, self.length)

    def vocabulary(self) -> list[Any]:
        return [*self.alphabet, self.order, self.length]
