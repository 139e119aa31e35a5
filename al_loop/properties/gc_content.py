"""GC content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from al_loop.properties.base import Property
from al_loop.system.alphabets import are_nucleotides


class GCContent(Property):
    """The fraction of a nucleotide sequence that is G or C, 0 to 1, in upper or lower case; NaN for an empty one.

    Args:
        alphabet: letters of the campaign's sequences, which the campaign sets.
    """

    kind = "gc_content"
    object_type = "sequence"
    scale: ClassVar[float] = 0.2
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, alphabet: str | list[str] | None = None) -> None:
        if alphabet is not None and not are_nucleotides(alphabet):
            raise ValueError(
                f"gc_content: the sequences consist of {', '.join(alphabet)}, expected nucleotides (A, C, G, T, U); "
                "remove this constraint, or count letters by the property motif"
            )

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        fractions = [sum(letter in "GCgc" for letter in o) / len(o) if o else np.nan for o in objects]
        return np.array(fractions, dtype=np.float64)
