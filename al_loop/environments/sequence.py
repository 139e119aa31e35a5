"""Words over any alphabet, written from left to right or grown at both ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from al_loop.environments.base import Environment, ObjectType


def _is_uniquely_decodable(letters: Sequence[str]) -> bool:
    """Whether no two different words over the letters have the same text (Sardinas and Patterson 1953)."""
    found = {b[len(a) :] for a in letters for b in letters if a != b and b.startswith(a)}
    waiting = [*found]
    while waiting:
        rest = waiting.pop()
        if rest in letters:
            return False
        shorter = {rest[len(a) :] for a in letters if rest.startswith(a)}
        more = (shorter | {a[len(rest) :] for a in letters if a.startswith(rest)}) - found
        found |= more
        waiting += more
    return True


class Sequences(Environment):
    """Words over an alphabet (DNA, RNA, proteins, anything), of fixed or variable length, built letter by letter.

    Args:
        alphabet: the letters: a text with one character each, e.g. ``"ACGU"``, or a list where letters have more than
            one character, e.g. ``["Ala", "Arg"]``.
        length: letters in the longest word.
        min_length: letters in the shortest word; None: all have ``length`` letters.
        order: append: letters are added at the end, which gives each word one history; prepend_append: at either end,
            which gives it 2^(letters - 1).
    """

    kind = "sequence"
    object_type: ObjectType = "sequence"  # type: ignore[misc]

    def __init__(
        self,
        alphabet: str | list[str],
        length: int,
        min_length: int | None = None,
        order: Literal["append", "prepend_append"] = "append",
    ) -> None:
        self._index = {letter: i for i, letter in enumerate(alphabet)}
        if len(self._index) != len(alphabet) or not alphabet or "" in self._index:
            raise ValueError(f"alphabet: {alphabet!r} must hold each letter once")
        if not _is_uniquely_decodable([*self._index]):
            raise ValueError(
                f"alphabet: {alphabet!r} lets two words have one text; write the letters in brackets, such as '[A]'"
            )
        self.alphabet, self.length = alphabet, length
        self.min_length = length if min_length is None else min_length
        if not 1 <= self.min_length <= length:
            raise ValueError(f"min_length: {self.min_length} is not between 1 and length ({length})")
        if order not in ("append", "prepend_append"):
            raise ValueError(f"order: {order!r} is not one of append, prepend_append")
        self.order = order
        self._has_prepend = order == "prepend_append"
        self._n_letters = len(alphabet)
        # letters to append, letters to prepend, the stop
        self.n_actions = (1 + self._has_prepend) * self._n_letters + 1
        self.n_backward_actions = 1 + self._has_prepend  # take the last letter (or the stop) off, or the first
        self.state_size = length + 2  # letters (n_letters where there is none yet), how many, whether it was stopped
        self.max_steps = length + (self.min_length < length)
        self.n_features = length * (self._n_letters + 1)
        self._offsets = torch.arange(length) * (self._n_letters + 1)

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """N empty words."""
        states = torch.zeros(n, self.state_size, dtype=torch.int64, device=device)
        states[:, : self.length] = self._n_letters
        return states

    def _is_prepend(self, actions: Tensor) -> Tensor:
        return (actions >= self._n_letters) & (actions < self.n_actions - 1)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Adds a letter each, or stops the word."""
        is_stop = actions == self.n_actions - 1
        # what a letter differs by from none, in the first free place; 0 where nothing is appended
        change = actions.clamp(max=self._n_letters) - self._n_letters
        after = states.scatter_add(1, states[:, -2:-1], change[:, None])
        if self._has_prepend:
            longer = torch.cat([actions[:, None] - self._n_letters, after[:, : self.length]], dim=1)
            is_prepend = self._is_prepend(actions)[:, None]
            after[:, : self.length] = torch.where(is_prepend, longer[:, :-1], longer[:, 1:])
        after[:, -2] += ~is_stop
        after[:, -1] += is_stop
        return after

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Takes the stop back, or else a letter off."""
        before = states.clone()
        letters = before[:, : self.length]
        if self._has_prepend:
            is_first = (backward_actions == 1)[:, None]
            letters[:, :-1] = torch.where(is_first, states[:, 1 : self.length], states[:, : self.length - 1])
        count = states[:, -2:-1] + states[:, -1:] - 1
        letters.masked_fill_(torch.arange(self.length, device=states.device) >= count, self._n_letters)
        before[:, -2:-1] = count
        before[:, -1] = 0
        return before

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        """1 for a letter that was prepended, else 0."""
        return self._is_prepend(actions).long() if self._has_prepend else torch.zeros_like(actions)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """The letter that is taken off, or the stop."""
        action = states.gather(1, (states[:, -2:-1] - 1).clamp(min=0))[:, 0]
        if self._has_prepend:
            action = torch.where(backward_actions == 1, states[:, 0] + self._n_letters, action)
        return torch.where(states[:, -1] == 1, self.n_actions - 1, action)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Any letter while there is room, at the front from the second on; a stop from the shortest length on."""
        count = states[:, -2:-1]
        may_grow = (count < self.length) & (states[:, -1:] == 0)
        parts = [may_grow.expand(-1, self._n_letters)]
        if self._has_prepend:
            parts.append((may_grow & (count > 0)).expand(-1, self._n_letters))
        return torch.cat([*parts, may_grow & (count >= self.min_length)], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Any word but the empty one can be shortened; one letter alone was appended, and so was the stop."""
        count = states[:, -2:-1]
        if not self._has_prepend:
            return count > 0
        return torch.cat([count > 0, (count > 1) & (states[:, -1:] == 0)], dim=1)

    def is_terminal(self, states: Tensor) -> Tensor:
        """Whether each word is full or was stopped."""
        return (states[:, -2] == self.length) | (states[:, -1] == 1)

    def features(self, states: Tensor) -> Tensor:
        """One-hot letters."""
        empty = torch.zeros(len(states), self.length, self._n_letters + 1, device=states.device)
        return empty.scatter_(2, states[:, : self.length, None], 1.0).flatten(1)

    def feature_index(self, states: Tensor) -> Tensor:
        """One place for each letter."""
        return states[:, : self.length] + self._offsets.to(states.device)

    def log_paths(self, states: Tensor) -> Tensor:
        """0 for words that are written from left to right; else log 2 for each letter after the first."""
        if not self._has_prepend:
            return torch.zeros(states.shape[0], dtype=torch.float64, device=states.device)
        return (states[:, -2] - 1).clamp(min=0).double() * math.log(2)

    def decode(self, states: Tensor) -> list[str]:
        """The words."""
        letters = self.alphabet
        return ["".join(letters[i] for i in row[: row[-2]]) for row in states.tolist()]

    def _split(self, word: str) -> list[int]:
        """The letters of a word, by their numbers."""
        sizes = {len(letter) for letter in self._index}
        last = {0: -1}  # end of what can be split -> its last letter
        for end in range(1, len(word) + 1):
            for size in sizes:
                if end - size in last and word[end - size : end] in self._index:
                    last[end] = size
        if len(word) not in last:
            rest = word[max(last) :]
            raise ValueError(f"{word!r} has letters that are not in {self.alphabet!r}, from {rest!r} on")
        letters, end = [], len(word)
        while end:
            letters.append(self._index[word[end - last[end] : end]])
            end -= last[end]
        return letters[::-1]

    def encode(self, objects: Sequence[str]) -> Tensor:
        """The finished states of words."""
        return self._finished([self._split(word) for word in objects], objects)

    def _finished(self, words: Sequence[Sequence[int]], names: Sequence[str]) -> Tensor:
        """The finished states of words, given by the numbers of their letters."""
        rows = []
        for word, name in zip(words, names, strict=True):
            if not self.min_length <= len(word) <= self.length:
                raise ValueError(f"{name!r} has {len(word)} letters, not {self.min_length} to {self.length}")
            blanks = [self._n_letters] * (self.length - len(word))
            rows.append([*word, *blanks, len(word), int(len(word) < self.length)])
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, self.state_size)
