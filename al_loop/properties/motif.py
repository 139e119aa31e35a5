"""Motifs in sequences."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_loop.properties.base import Property
from al_loop.system.alphabets import ALPHABETS, are_nucleotides

#: the letters that each IUPAC code stands for; T and U are the same
_IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "TU", "U": "TU", "R": "AG", "Y": "CTU", "S": "CG", "W": "ATU",
    "K": "GTU", "M": "AC", "B": "CGTU", "D": "AGTU", "H": "ACTU", "V": "ACG", "N": "ACGTU",
}  # fmt: skip
#: the letters that each code of an amino acid stands for
_AMINO_ACIDS = {c: c for c in ALPHABETS["protein"]} | {"X": ALPHABETS["protein"]}
_COMPLEMENT = str.maketrans("ACGTURYSWKMBDHVN", "TGCAAYRSWMKVHDBN")


class Motif(Property):
    """Number of occurrences of motifs, such as sites to keep (min: 1) or restriction sites to avoid (max: 0).

    Args:
        motifs: e.g. ``["GGATCC", "GGNCC"]``, in letters of the campaign's sequences; overlaps count, and all are added
            up.
        molecule: ``nucleotide`` or ``protein``, in which X is any amino acid.
        both_strands: whether to count in the reverse complement, too (nucleotides); a palindrome counts once.
        codes: whether letters of nucleotides are IUPAC codes (N any, R a purine, ...); by default if the sequences
            consist of A, C, G, T and U, or if their alphabet is unknown. Otherwise each letter stands for itself.
        alphabet: letters of the campaign's sequences, which the campaign sets.
    """

    kind = "motif"
    object_type = "sequence"
    scale: ClassVar[float] = 1.0
    span: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def __init__(
        self,
        motifs: Annotated[Sequence[str], Field(min_length=1)],
        molecule: str = "nucleotide",
        both_strands: bool = False,
        codes: bool | None = None,
        alphabet: str | list[str] | None = None,
    ) -> None:
        if molecule not in ("nucleotide", "protein"):
            raise ValueError(f"property.molecule: {molecule!r} is not one of nucleotide, protein")
        has_codes = alphabet is None or are_nucleotides(alphabet) if codes is None else codes
        #: how letters are read
        self.molecule = molecule if has_codes or molecule == "protein" else "letters"
        if both_strands and self.molecule != "nucleotide":
            raise ValueError("property.both_strands: only nucleotides have two; a protein has one strand; leave it out")
        self.both_strands = both_strands
        self.motifs = tuple(self._checked(motif, alphabet) for motif in motifs or ("",))
        _ = self._patterns

    def _checked(self, motif: str, alphabet: str | list[str] | None) -> str:
        """Return a motif as it is compared.

        Raises:
            ValueError: it is empty, or contains a letter that no sequence of the campaign can contain.
        """
        letters = None if alphabet is None else sorted({c for letter in alphabet for c in letter})
        if self.molecule == "letters":
            if letters is not None and not set(motif) <= set(letters) and set(motif.upper()) <= set(letters):
                motif = motif.upper()
            wrong = [c for c in motif if letters is not None and c not in letters]
            expected = f"letters of the sequences ({''.join(letters or ())})"
        else:
            motif = motif.upper()
            codes = _IUPAC if self.molecule == "nucleotide" else _AMINO_ACIDS
            present = None if letters is None else {c.upper() for c in letters}
            wrong = [c for c in motif if c not in codes or (present is not None and not present & set(codes[c]))]
            expected = f"letters among {''.join(sorted(codes))}"
            if letters is not None:
                expected += f" that stand for some of {''.join(letters)}"
        if wrong or not motif:
            fault = f" (it has {wrong[0]!r})" if wrong else ""
            raise ValueError(f"property.motifs: {motif!r} is not a motif of {expected}{fault}")
        return motif

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        motifs = list(self.motifs)
        if self.both_strands:
            motifs += [motif.translate(_COMPLEMENT)[::-1] for motif in self.motifs]
        texts = dict.fromkeys("".join(map(self._letter, motif)) for motif in motifs)
        flags = re.NOFLAG if self.molecule == "letters" else re.IGNORECASE
        return [re.compile(f"(?=({text}))", flags) for text in texts]  # looking ahead, so that overlaps count

    def _letter(self, letter: str) -> str:
        if self.molecule == "nucleotide":
            return f"[{_IUPAC[letter]}]"
        return "." if letter == "X" and self.molecule == "protein" else re.escape(letter)

    def compute(self, objects: Sequence[str]) -> NDArray[np.float64]:
        counts = [sum(sum(1 for _ in pattern.finditer(o)) for pattern in self._patterns) for o in objects]
        return np.array(counts, dtype=np.float64)
