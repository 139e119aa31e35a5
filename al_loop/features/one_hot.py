"""One-hot letters of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_loop.features.base import Features
from al_loop.features.row_layout import SequenceLayout
from al_loop.system import stopping
from al_loop.system.alphabets import codes_of, letters_of


class OneHot(Features):
    """One-hot letters of a sequence, position by position; shorter sequences end in blanks.

    Args:
        alphabet: the letters, each once, such as ``ACGU``; or ``dna``, ``rna`` or ``protein``.
        length: positions in the longest sequence.
    """

    kind = "one_hot"
    object_type = "sequence"
    kernel: ClassVar[str] = "hamming"

    def __init__(self, alphabet: Annotated[str, Field(min_length=1)], length: Annotated[int, Field(ge=1)]) -> None:
        super().__init__()
        alphabet = str(letters_of(alphabet))
        if length < 1:
            raise ValueError(f"length: {length} must be at least 1")
        self.alphabet = alphabet
        self.length = length

    @property
    def d(self) -> int:
        """Return the length of a feature vector: positions x (letters + blank)."""
        return self.length * (len(self.alphabet) + 1)

    @property
    def layout(self) -> SequenceLayout:
        return SequenceLayout(self.alphabet, self.length)

    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the one-hot rows of n sequences: n x d, uint8, with ``length`` ones in each row.

        Raises:
            ValueError: a sequence is too long or has a letter outside the alphabet.
        """
        blank = len(self.alphabet)
        codes = codes_of(objects, self.alphabet, self.length)
        if codes is None:
            self._require_describable(objects)
        rows = np.eye(blank + 1, dtype=np.uint8)[codes]
        return torch.from_numpy(rows.reshape(len(objects), self.d))

    def _require_describable(self, objects: Sequence[str]) -> None:
        for sequence in objects:
            stopping.look()
            if len(sequence) > self.length:
                raise ValueError(f"the sequence {sequence!r} is longer than {self.length}; raise features.length")
            if unknown := [letter for letter in sequence if letter not in self.alphabet]:
                raise ValueError(f"the sequence {sequence!r} has {unknown[0]!r} outside {self.alphabet!r}")

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the fraction of positions that agree, 1 - Hamming distance / length: n1 x n2."""
        return (X1.float() @ X2.float().T).double().div_(self.length)  # these sums of ones are exact
