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

#: what each letter of a nucleotide motif stands for (IUPAC), T and U being the same
_IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "TU", "U": "TU", "R": "AG", "Y": "CTU", "S": "CG", "W": "ATU",
    "K": "GTU", "M": "AC", "B": "CGTU", "D": "AGTU", "H": "ACTU", "V": "ACG", "N": "ACGTU",
}  # fmt: skip
_COMPLEMENT = str.maketrans("ACGTURYSWKMBDHVN", "TGCAAYRSWMKVHDBN")


class Motif(Property):
    """How often motifs occur in a sequence: sites to keep (min: 1), restriction sites to avoid (max: 0).

    Args:
        motifs: e.g. ``["GGATCC", "GGNCC"]``; overlaps count, and all are added up. For nucleotides the letters are
            IUPAC's (N any, R a purine, ...); for ``protein`` they are the amino acids, and X is any.
        molecule: what the letters mean.
        both_strands: also in the reverse complement (nucleotides); a motif that is its own counts once.
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
            known = set(_IUPAC) if molecule == "nucleotide" else set("ACDEFGHIKLMNPQRSTVWYX")
            if not motif or not set(motif) <= known:
                raise ValueError(f"property.motifs: {motif!r} is not a motif of letters among {''.join(sorted(known))}")
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
        """How often the motifs occur in each sequence: n."""
        counts = [sum(sum(1 for _ in pattern.finditer(o)) for pattern in self._patterns) for o in objects]
        return np.array(counts, dtype=np.float64)
