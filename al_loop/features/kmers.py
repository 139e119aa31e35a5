"""Short words in sequences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from al_loop.features._similarity import min_max_similarity
from al_loop.features.base import Features
from al_loop.system import stopping
from al_loop.system.alphabets import letters_of


class Kmers(Features):
    """Counts of the words of up to k letters in a sequence, at any position (Leslie et al. 2002).

    With its kernel that is a spectrum string kernel: sequences of different lengths are comparable, and a motif counts
    wherever it lies. Where the position matters (a site at a fixed place) use ``one_hot``, or both (``joined``).

    Args:
        alphabet: the letters, each once, such as ``ACGU``; or ``dna``, ``rna`` or ``protein``.
        k: letters of the longest words.
    """

    kind = "kmers"
    object_type = "sequence"
    kernel: ClassVar[str] = "tanimoto"

    def __init__(self, alphabet: Annotated[str, Field(min_length=1)], k: Annotated[int, Field(ge=1, le=8)] = 3) -> None:
        super().__init__()
        alphabet = str(letters_of(alphabet))
        if len(alphabet) ** k > 100_000:
            raise ValueError(f"k: there are {len(alphabet) ** k:,} words of {k} of {len(alphabet)} letters; lower it")
        self.alphabet = alphabet
        self.k = k

    @cached_property
    def _columns(self) -> dict[str, int]:
        words = ["".join(letters) for n in range(1, self.k + 1) for letters in product(self.alphabet, repeat=n)]
        return {word: i for i, word in enumerate(words)}

    @property
    def d(self) -> int:
        """Return the number of words."""
        return len(self._columns)

    def compute(self, objects: Sequence[str]) -> Tensor:
        """Return the counts of words in n sequences: n x d, int16.

        Raises:
            ValueError: a sequence has a letter outside the alphabet.
        """
        rows = np.zeros((len(objects), self.d), dtype=np.int16)
        for i, sequence in enumerate(objects):
            stopping.look()
            if unknown := set(sequence) - set(self.alphabet):
                raise ValueError(f"the sequence {sequence!r} has {min(unknown)!r} outside {self.alphabet!r}")
            for n in range(1, self.k + 1):
                for start in range(len(sequence) - n + 1):
                    rows[i, self._columns[sequence[start : start + n]]] += 1
        return torch.from_numpy(rows)

    def similarity(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the Tanimoto similarity of counts: n1 x n2."""
        return min_max_similarity(X1, X2)
