"""Words over any alphabet, written from left to right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from al_loop.environments.base import Environment, ObjectType


class Sequences(Environment):
    """Words over an alphabet (DNA, RNA, proteins, anything), of fixed or variable length, built by appending letters.

    Args:
        alphabet: the letters, one character each, e.g. ``"ACGU"``.
        length: letters in the longest word.
        min_length: letters in the shortest word; None: all have ``length`` letters.
    """

    kind = "sequence"
    object_type: ObjectType = "sequence"  # type: ignore[misc]

    def __init__(self, alphabet: str, length: int, min_length: int | None = None) -> None:
        if len(set(alphabet)) != len(alphabet) or not alphabet:
            raise ValueError(f"alphabet: {alphabet!r} must hold each letter once")
        self.alphabet, self.length = alphabet, length
        self.min_length = length if min_length is None else min_length
        if not 1 <= self.min_length <= length:
            raise ValueError(f"min_length: {self.min_length} is not between 1 and length ({length})")
        self._n_letters = len(alphabet)
        self.n_actions = self._n_letters + 1
        self.n_backward_actions = 1  # a word has one history
        self.state_size = length + 2  # letters (n_letters where there is none yet), how many, whether it was stopped
        self.max_steps = length + (self.min_length < length)
        self.n_features = length * (self._n_letters + 1)

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """N empty words."""
        states = torch.zeros(n, self.state_size, dtype=torch.int64, device=device)
        states[:, : self.length] = self._n_letters
        return states

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Appends a letter each, or stops the word."""
        states = states.clone()
        is_stop = actions == self._n_letters
        count = states[:, -2]
        place = torch.where(is_stop, self.length + 1, count)  # a stop writes the last column
        states.scatter_(1, place[:, None], torch.where(is_stop, 1, actions)[:, None])
        states[:, -2] = count + (~is_stop).long()
        return states

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Takes the last letter off, or the stop back."""
        states = states.clone()
        is_stop = states[:, -1] == 1
        count = states[:, -2] - (~is_stop).long()
        place = torch.where(is_stop, self.length + 1, count)
        states.scatter_(1, place[:, None], torch.where(is_stop, 0, self._n_letters)[:, None])
        states[:, -2] = count
        return states

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        """Always 0: a word has one history."""
        return torch.zeros_like(actions)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Any letter while there is room; a stop from the shortest length on."""
        may_grow = ((states[:, -2] < self.length) & (states[:, -1] == 0))[:, None]
        may_stop = may_grow & (states[:, -2:-1] >= self.min_length)
        return torch.cat([may_grow.expand(-1, self._n_letters), may_stop], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Any word but the empty one can be shortened."""
        return states[:, -2:-1] > 0

    def is_terminal(self, states: Tensor) -> Tensor:
        """Whether each word is full or was stopped."""
        return (states[:, -2] == self.length) | (states[:, -1] == 1)

    def features(self, states: Tensor) -> Tensor:
        """One-hot letters."""
        return torch.nn.functional.one_hot(states[:, : self.length], self._n_letters + 1).flatten(1).float()

    def decode(self, states: Tensor) -> list[str]:
        """The words."""
        letters = self.alphabet
        return ["".join(letters[i] for i in row[: row[-2]]) for row in states.tolist()]

    def encode(self, objects: Sequence[str]) -> Tensor:
        """The finished states of words."""
        states = self.initial(len(objects))
        index = {letter: i for i, letter in enumerate(self.alphabet)}
        for row, word in enumerate(objects):
            if not self.min_length <= len(word) <= self.length:
                raise ValueError(f"{word!r} has {len(word)} letters, not {self.min_length} to {self.length}")
            unknown = sorted(set(word) - set(index))
            if unknown:
                raise ValueError(f"{word!r} has letters that are not in {self.alphabet!r}: {unknown}")
            states[row, : len(word)] = torch.tensor([index[letter] for letter in word])
            states[row, -2] = len(word)
            states[row, -1] = int(len(word) < self.length)
        return states
