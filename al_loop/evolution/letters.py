"""Crossover, mutation and shifts of sequences."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from al_loop.evolution.base import Evolution
from al_loop.system.path_texts import PathText

#: share of the children in which a part is shifted, and of those of DNA that are the other strand
_SHIFTED, _OTHER_STRAND = 0.2, 0.1
_COMPLEMENTS = str.maketrans("ACGT", "TGCA")


class Letters(Evolution):
    """A genetic algorithm on sequences of letters; a child is as long as its first parent.

    A part of the other parent, at the same place, replaces that of the first one. Then each letter mutates with a
    probability of ``mutations`` / length, and in one of five children a letter is deleted at one place and a random one
    inserted at another, which shifts the part between them. As DNA has two strands, one child of ten is the reverse
    complement of its first parent where the alphabet is that of DNA.

    Args:
        alphabet: the letters, one character each, which the campaign takes from its environment.
        mutations: expected number of mutated letters of a child.
        children: children in each generation, at least 1.
        generations: number of generations in each round, at least 1.
        population: the best objects, from which the parents are drawn, at least 2.
        library: a file with sequences that are like those wanted; no measurement of them is used.
        immigrants: random sequences of the library in each round, which are candidates and may become parents.

    Raises:
        ValueError: an argument is out of range, or a letter has several characters.
    """

    kind = "letters"
    object_type: ClassVar[str | None] = "sequence"

    def __init__(
        self,
        alphabet: str | Sequence[str] | None = None,
        mutations: Annotated[float, Field(ge=0)] = 1.5,
        children: int = 300,
        generations: int = 4,
        population: int = 100,
        library: PathText | None = None,
        immigrants: int = 100,
    ) -> None:
        super().__init__(children, generations, population, library, immigrants)
        if alphabet is not None and any(len(letter) != 1 for letter in alphabet):
            raise ValueError("evolution.kind: letters requires an alphabet of single characters; remove the evolution")
        if mutations < 0:
            raise ValueError(f"mutations must be at least 0, got {mutations}")
        self.alphabet = None if alphabet is None else tuple(alphabet)
        self.mutations = mutations
        self._is_dna = self.alphabet is not None and sorted(self.alphabet) == list("ACGT")

    def child(self, first: str, second: str, generator: random.Random) -> str | None:
        letters = self.alphabet or tuple(sorted(set(first + second)))
        length = len(first)
        if not length:
            return None
        if self._is_dna and generator.random() < _OTHER_STRAND:
            return first.translate(_COMPLEMENTS)[::-1]
        shared = min(length, len(second))
        start, end = sorted(generator.randrange(shared + 1) for _ in range(2)) if shared else (0, 0)
        word = [*first[:start], *second[start:end], *first[end:]]
        if generator.random() < _SHIFTED:
            del word[generator.randrange(length)]
            word.insert(generator.randrange(length), generator.choice(letters))
        rate = self.mutations / length
        return "".join(generator.choice(letters) if generator.random() < rate else letter for letter in word)
