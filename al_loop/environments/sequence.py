"""Words over any alphabet, written from left to right or grown at both ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from al_loop.environments._per_device import PerDevice
from al_loop.environments.base import Environment, ObjectType
from al_loop.system.alphabets import as_text, codes_of, letters_of
from al_loop.system.checks import whole_number


def _is_uniquely_decodable(letters: Sequence[str]) -> bool:
    """Return whether no two different words over the letters have the same text (Sardinas and Patterson 1953)."""
    suffixes = {b[len(a) :] for a in letters for b in letters if a != b and b.startswith(a)}
    pending = [*suffixes]
    while pending:
        suffix = pending.pop()
        if suffix in letters:
            return False
        shorter = {suffix[len(a) :] for a in letters if suffix.startswith(a)}
        new = (shorter | {a[len(suffix) :] for a in letters if a.startswith(suffix)}) - suffixes
        suffixes |= new
        pending += new
    return True


class Sequences(Environment):
    """Words over an alphabet (DNA, RNA, proteins, ...), of fixed or variable length, built letter by letter.

    A state contains the letters by index (``len(alphabet)`` for none), their number, and whether the word was stopped.

    Args:
        alphabet: ``dna``, ``rna`` or ``protein``; or the letters, as a text if each is one character, e.g. ``"ACGU"``,
            otherwise as a list, e.g. ``["Ala", "Arg"]``.
        length: number of letters in the longest word.
        min_length: number of letters in the shortest word; None: all words have ``length`` letters.
        order: ``append`` adds letters at the end, so that each word has one history; ``prepend_append`` adds them at
            either end, so that each word has 2^(letters - 1) histories.

    Raises:
        ValueError: the letters are not distinct, two words could have the same text, or a length is out of range.
    """

    kind = "sequence"
    object_type: ObjectType = "sequence"  # type: ignore[misc]
    alphabet: str | list[str]
    length: int

    def __init__(
        self,
        alphabet: str | list[str],
        length: int,
        min_length: int | None = None,
        order: Literal["append", "prepend_append"] = "append",
    ) -> None:
        alphabet = letters_of(alphabet)
        self._index = {letter: i for i, letter in enumerate(alphabet)}
        if not _is_uniquely_decodable([*self._index]):
            raise ValueError(
                f"alphabet: different words over {alphabet!r} have the same text; write the letters in brackets, such "
                "as '[A]'"
            )
        whole_number("length", length, 1)
        if min_length is not None:
            whole_number("min_length", min_length, 1)
        self.alphabet, self.length = alphabet, length
        self.min_length = length if min_length is None else min_length
        if not 1 <= self.min_length <= length:
            raise ValueError(f"min_length: must be between 1 and length ({length}), got {self.min_length}")
        if order not in ("append", "prepend_append"):
            raise ValueError(f"order: {order!r} is not one of append, prepend_append")
        self.order = order
        self._has_prepend = order == "prepend_append"
        self._n_letters = len(alphabet)
        # letters to append, letters to prepend, stop
        self.n_actions = (1 + self._has_prepend) * self._n_letters + 1
        self.n_backward_actions = 1 + self._has_prepend  # remove the last letter (or undo stop), or remove the first
        self.state_size = length + 2  # letters, their number, whether it was stopped
        self.max_steps = length + (self.min_length < length)
        self.n_features = length * (self._n_letters + 1)
        self._offsets = PerDevice(torch.arange(length) * (self._n_letters + 1))

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        states = torch.zeros(n, self.state_size, dtype=torch.int64, device=device)
        states[:, : self.length] = self._n_letters
        return states

    def _is_prepend(self, actions: Tensor) -> Tensor:
        return (actions >= self._n_letters) & (actions < self.n_actions - 1)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        is_stop = actions == self.n_actions - 1
        # the difference between a letter and none, at the first free position; 0 if nothing is appended
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
        """Return 1 for prepended letters, else 0, shape n."""
        return self._is_prepend(actions).long() if self._has_prepend else torch.zeros_like(actions)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Return the removed letter, or stop, shape n."""
        action = states.gather(1, (states[:, -2:-1] - 1).clamp(min=0))[:, 0]
        if self._has_prepend:
            action = torch.where(backward_actions == 1, states[:, 0] + self._n_letters, action)
        return torch.where(states[:, -1] == 1, self.n_actions - 1, action)

    def forward_mask(self, states: Tensor) -> Tensor:
        """Return all letters below the full length (the first is only appended), and stop from ``min_length`` on."""
        count = states[:, -2:-1]
        may_grow = (count < self.length) & (states[:, -1:] == 0)
        parts = [may_grow.expand(-1, self._n_letters)]
        if self._has_prepend:
            parts.append((may_grow & (count > 0)).expand(-1, self._n_letters))
        return torch.cat([*parts, may_grow & (count >= self.min_length)], dim=1)

    def backward_mask(self, states: Tensor) -> Tensor:
        """Return the removal of the last letter (or stop), and of the first letter of longer, unstopped words."""
        count = states[:, -2:-1]
        if not self._has_prepend:
            return count > 0
        return torch.cat([count > 0, (count > 1) & (states[:, -1:] == 0)], dim=1)

    def is_terminal(self, states: Tensor) -> Tensor:
        return (states[:, -2] == self.length) | (states[:, -1] == 1)

    def features(self, states: Tensor) -> Tensor:
        """Return the one-hot letters, including "none", shape n x (length * (letters + 1))."""
        letters = torch.arange(self._n_letters + 1, device=states.device)
        return (states[:, : self.length, None] == letters).flatten(1).float()

    def feature_offsets(self, device: torch.device) -> Tensor:
        """Return an offset for each position, shape ``length``."""
        return self._offsets.on(device)

    def log_paths(self, states: Tensor) -> Tensor:
        """Return 0 for words written from left to right, else log 2 for each letter after the first."""
        if not self._has_prepend:
            return torch.zeros(states.shape[0], dtype=torch.float64, device=states.device)
        return (states[:, -2] - 1).clamp(min=0).double() * math.log(2)

    def decode(self, states: Tensor) -> list[str]:
        letters = self.alphabet
        return ["".join(letters[i] for i in row[: row[-2]]) for row in states.tolist()]

    def _split(self, word: str) -> list[int]:
        """Return the indices of a word's letters."""
        sizes = {len(letter) for letter in self._index}
        last = {0: -1}  # end of a prefix that can be split -> size of its last letter
        for end in range(1, len(word) + 1):
            for size in sizes:
                if end - size in last and word[end - size : end] in self._index:
                    last[end] = size
        if len(word) not in last:
            rest = word[max(last) :]
            raise ValueError(f"{word!r} has letters outside the alphabet {self.alphabet!r}, starting at {rest!r}")
        letters, end = [], len(word)
        while end:
            letters.append(self._index[word[end - last[end] : end]])
            end -= last[end]
        return letters[::-1]

    def encode(self, objects: Sequence[str]) -> Tensor:
        alphabet = as_text(self.alphabet)
        codes = codes_of(objects, alphabet, self.length) if isinstance(alphabet, str) else None
        sizes = np.fromiter(map(len, objects), dtype=np.int64, count=len(objects))
        if codes is None or (sizes < self.min_length).any():
            return self._finished([self._split(word) for word in objects], objects)
        return torch.from_numpy(np.column_stack([codes, sizes, sizes < self.length]))

    def _finished(self, words: Sequence[Sequence[int]], names: Sequence[str]) -> Tensor:
        """Return the finished states of words.

        Args:
            words: indices of the letters of each word.
            names: names of the words in error messages.
        """
        rows = []
        for word, name in zip(words, names, strict=True):
            if not self.min_length <= len(word) <= self.length:
                raise ValueError(f"{name!r} has {len(word)} letters, not {self.min_length} to {self.length}")
            blanks = [self._n_letters] * (self.length - len(word))
            rows.append([*word, *blanks, len(word), int(len(word) < self.length)])
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, self.state_size)
