"""Motifs in sequences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_loop.properties.base import Property

#: the letters that each IUPAC code stands for; T and U are the same
_IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "TU", "U": "TU", "R": "AG", "Y": "CTU", "S": "CG", "W": "ATU",
    "K": "GTU", "M": "AC", "B": "CGTU", "D": "AGTU", "H": "ACTU", "V": "ACG", "N": "ACGTU",
}  # fmt: skip
_COMPLEMENT = str.maketrans("ACGTURYSWKMBDHVN", "TGCAAYRSWMKVHDBN")


class Motif(Property):
    """Number of occurrences of motifs, such as sites to keep (min: 1) or restriction sites to avoid (max: 0).

    Args:
        motifs: e.g. ``["GGATCC", "GGNCC"]``; overlaps count, and all are added up. Letters of nucleotides are IUPAC
            codes (N any, R a purine, ...); letters of proteins are amino acids, and X is any.
        molecule: ``nucleotide`` or ``protein``.
        both_strands: whether to count in the reverse complement, too (nucleotides); a palindrome counts once.
    """

    kind = "motif"
    object_type = "sequence"
    scale: ClassVar[float] = 1.0

    def __init__(
        self,
        motifs: Annotated[Sequence[str], Field(min_length=1)],
        molecule: str = "nucleotide",
        both_strands: bool = False,
    ) -> None:
        if molecule not in ("nucleotide", "protein"):
            raise ValueError(f"property.molecule: {molecule!r} is not one of nucleotide, protein")
        if both_strands and molecule == "protein":
            raise ValueError("property.both_strands: a protein has one strand; leave it out")
        self.motifs = tuple(motif.upper() for motif in motifs)
        self.molecule = molecule
        self.both_strands = both_strands
        for motif in self.motifs or ("",):
            letters = set(_IUPAC) if molecule == "nucleotide" else set("ACDEFGHIKLMNPQRSTVWYX")
            if not motif or not set(motif) <= letters:
                raise ValueError(
                    f"property.motifs: {motif!r} is not a motif of letters among {''.join(sorted(letters))}"
                )
        _ = self._patterns

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        motifs = list(self.motifs)
        if self.both_strands:
            motifs += [motif.translate(_COMPLEMENT)[::-1] for motif in self.motifs]
        texts = dict.fromkeys("".join(map(self._letter, motif)) for motif in motifs)
        return [re.compile(f"(?=({text}))", re.IGNORECASE) for text in texts]  # looking ahead, so that overlaps count

    def _letter(self, letter: str) -> str:
        if self.molecule == "protein":
            return "." if letter == "X" else letter
        return f"[{_IUPAC[letter]}]"

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        counts = [sum(sum(1 for _ in pattern.finditer(o)) for pattern in self._patterns) for o in objects]
        return np.array(counts, dtype=np.float64)
