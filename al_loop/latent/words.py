"""Sequences of letters as rows of indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from al_loop.errors import counted
from al_loop.system.checks import whole_number

#: the index that follows the end of a sequence
PAD = -1


class Words:
    """The letters of sequences, and the rows that sequences become.

    Args:
        alphabet: the letters: a text if each is one character, otherwise a list.
        length: number of letters of the longest sequence.

    Raises:
        ValueError: there are no letters, or one is repeated or empty, or the length is below 1.
    """

    def __init__(self, alphabet: Sequence[str], length: int) -> None:
        self.letters = list(alphabet)
        self._index = {letter: i for i, letter in enumerate(self.letters)}
        if not self.letters or len(self._index) != len(self.letters) or "" in self._index:
            raise ValueError(f"alphabet: expected at least one letter, none empty and none twice, got {alphabet!r}")
        whole_number("length", length, 1)
        self.length = length

    def read(self, data: Any, shortest: int = 1) -> Tensor:
        """Return sequences as rows of indices, shape n x length, -1 after the end.

        Args:
            data: sequences: texts, whose letters are separated by blanks if one of the letters is longer than a
                character, or lists of letters; or such rows, which are checked.
            shortest: number of letters of the shortest sequence that is accepted.

        Raises:
            ValueError: there is none, or one has an unknown letter or is too long or too short.
        """
        if isinstance(data, Tensor):
            return self._checked(data, shortest)
        if isinstance(data, np.ndarray):
            data = data.tolist()
        if isinstance(data, str) or not isinstance(data, Sequence):
            raise ValueError(f"expected a list of sequences, got {type(data).__name__}")
        if not len(data):
            raise ValueError("expected at least one sequence, got an empty list")
        has_words = any(len(letter) > 1 for letter in self.letters)
        rows = []
        for number, sequence in enumerate(data, 1):
            if not isinstance(sequence, str | list | tuple):
                raise ValueError(f"sequence {number}: expected a text or a list of letters, got {sequence!r:.60}")
            letters = sequence.split() if isinstance(sequence, str) and has_words else list(sequence)
            unknown = [letter for letter in letters if not isinstance(letter, str) or letter not in self._index]
            if unknown:
                raise ValueError(
                    f"sequence {number}, {sequence!r:.60}: {unknown[0]!r:.60} is not one of the letters "
                    f"{self.letters!r:.200}{self._hint(unknown[0])}"
                )
            if not shortest <= len(letters) <= self.length:
                raise ValueError(
                    f"sequence {number}, {sequence!r:.60}, has {counted(len(letters), 'letter')}, expected "
                    f"{shortest} to {self.length}"
                )
            rows.append([self._index[letter] for letter in letters] + [PAD] * (self.length - len(letters)))
        return torch.tensor(rows, dtype=torch.int64)

    def _checked(self, x: Tensor, shortest: int) -> Tensor:
        """Return rows of indices after checking that each is a sequence.

        Raises:
            ValueError: one is not.
        """
        if x.is_floating_point() or x.is_complex() or x.ndim != 2 or x.shape[1] != self.length or not len(x):
            raise ValueError(
                f"expected rows of {self.length} letters as whole numbers, got the shape {tuple(x.shape)} of {x.dtype}"
            )
        n = lengths_of(x)[:, None]
        is_end = torch.arange(self.length, device=x.device) >= n
        is_bad = ((x == PAD) != is_end) | (x < PAD) | (x >= len(self.letters)) | (n < shortest)
        if bool(is_bad.any()):
            row = int(is_bad.any(1).nonzero()[0])
            raise ValueError(
                f"sequence {row + 1}: expected at least {shortest} of the letters 0 to {len(self.letters) - 1}, then "
                f"{PAD} after the end, got {x[row].tolist()!s:.80}"
            )
        return x

    def _hint(self, unknown: Any) -> str:
        """Return what may be meant by an unknown letter, for a message."""
        if not isinstance(unknown, str):
            return ""
        other_case = [letter for letter in (unknown.upper(), unknown.lower()) if letter in self._index]
        if other_case:
            return f"; did you mean {other_case[0]!r}? Letters are case-sensitive"
        nucleotide = {"T": "U", "U": "T"}.get(unknown)
        if nucleotide in self._index and len(self.letters) == 4:
            names = {"T": "DNA", "U": "RNA"}
            return f"; the sequence seems to be {names[unknown]}, and the model is one of {names[nucleotide]}"
        return ""

    def texts(self, x: Tensor) -> list[str]:
        """Return rows as texts, which ``read`` reads."""
        separator = " " if any(len(letter) > 1 for letter in self.letters) else ""
        return [separator.join(self.letters[i] for i in row if i != PAD) for row in x.tolist()]

    def one_hot(self, x: Tensor) -> Tensor:
        """Return rows as one-hot vectors, zero after the end, shape n x (length * letters)."""
        hot = one_hot(x.clamp(min=0), len(self.letters)) * (x != PAD)[..., None]
        return hot.float().flatten(1)


class OfWords:
    """The part of a model of sequences that reads and writes them."""

    reads_text: ClassVar[bool] = True
    #: number of letters of the shortest sequence that is accepted
    shortest: ClassVar[int] = 1
    #: the letters; set by the model's constructor
    words: Words

    def read(self, data: Any) -> Tensor:
        """Return sequences as observations; see ``Words.read``."""
        return self.words.read(data, shortest=self.shortest)

    def checked(self, x: Tensor) -> Tensor:
        """Return rows after checking that each is a sequence."""
        return self.words.read(x, shortest=self.shortest)

    def inputs(self, x: Tensor) -> Tensor:
        """Return what the sampler's network sees of observations: one-hot letters."""
        return self.words.one_hot(x)

    def write(self, x: Tensor) -> list[str]:
        """Return observations as texts."""
        return self.words.texts(x)


def lengths_of(x: Tensor) -> Tensor:
    """Return the number of letters of rows, shape n."""
    return (x != PAD).sum(1)
