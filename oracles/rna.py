"""Binding of short RNA words to an RNA target by ViennaRNA: under a millisecond a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from al_loop.errors import ConfigError
from oracles.base import Objective, Oracle, Outcome

#: target of the FLEXS landscape L14_RNA1 ("RNA-A"; Sinai et al. 2020, arXiv:2010.02141)
L14_RNA1_TARGET = "GAACGAGGCACAUUCCGGCUCGCCCGGCCCAUGUGAGCAUGGGCCGGACCCCGUCCGCGCGGGGCCCCCGCGCGGACGGGGGCGAGCCGGAAUGUGCCUC"
#: what duplexfold gives, in kcal/mol, where no base pairs with any other
NO_DUPLEX = 99_999.0

_COMPLEMENT = str.maketrans("ACGU", "UGCA")


def _rna() -> Any:
    try:
        import RNA
    except ImportError as error:
        raise ConfigError(f'oracle.kind rna needs ViennaRNA: pip install "al-loop[rna]" ({error})') from error
    return RNA


class RNABinding(Oracle):
    """Binding of an RNA word (ACGU) to an RNA target by ViennaRNA's duplexfold.

    ``fitness`` follows FLEXS (Sinai et al. 2020): the duplex energy divided by the one that the target's reverse
    complement reaches, scaled to the word's length; about 1 is the best, 0 does not bind, and a word may lie a little
    below 0. The default target and words of 14 letters give the landscape L14_RNA1, also called RNA-A. Where no base
    can pair at all the energy is 0: the two stay apart.

    duplexfold: Lorenz et al., Algorithms Mol. Biol. 2011, 6, 26.

    Args:
        target_rna: RNA sequence in the letters ACGU, 5' to 3'.
        score: ``fitness`` (no unit, higher is better) or ``energy`` (kcal/mol, lower is better).
    """

    kind = "rna"
    object_type = "sequence"
    call_size = 64

    def __init__(self, target_rna: str = L14_RNA1_TARGET, score: Literal["fitness", "energy"] = "fitness") -> None:
        if score not in ("fitness", "energy"):
            raise ConfigError(f"score: {score!r} is not one of fitness, energy")
        if not target_rna or set(target_rna) - set("ACGU"):
            raise ConfigError(f"target_rna: {target_rna!r:.80} is not a sequence of the letters A, C, G, U")
        self.target_rna = target_rna
        self.score = score
        is_fitness = score == "fitness"
        self.objectives = (Objective("fitness") if is_fitness else Objective("duplex_energy", "kcal/mol", "minimise"),)
        self._energy_per_letter: float | None = None

    def check(self) -> None:
        """Raises ConfigError where ViennaRNA is missing, or nothing can bind to the target."""
        _rna()
        if self.score == "fitness":
            self._best_per_letter()

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yields the score of each word, with ``energy`` (kcal/mol) in ``info``."""
        for word in objects:
            strange = sorted(set(word) - set("ACGU"))
            if not word or strange:
                reason = f"the letters {''.join(strange)!r} are not RNA (ACGU)" if word else "the word is empty"
                yield Outcome.failed("invalid", reason)
                continue
            energy = self._energy(word)
            is_energy = self.score == "energy"
            value = energy if is_energy else energy / (self._best_per_letter() * len(word))
            yield Outcome(values=(value,), info={"energy": energy})

    def _energy(self, word: str) -> float:
        energy = float(_rna().duplexfold(self.target_rna, word).energy)
        return 0.0 if energy > NO_DUPLEX else energy

    def _best_per_letter(self) -> float:
        """kcal/mol per letter (negative) of the target's reverse complement bound to it."""
        if self._energy_per_letter is None:
            energy = self._energy(self.target_rna.translate(_COMPLEMENT)[::-1])
            if energy >= 0:
                raise ConfigError(
                    f"target_rna: {self.target_rna!r:.80} binds not even its own complement: use score: energy"
                )
            self._energy_per_letter = energy / len(self.target_rna)
        return self._energy_per_letter
