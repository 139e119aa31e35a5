"""Binding and folding of RNA words by ViennaRNA, about a millisecond per word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from al_loop.errors import ConfigError, not_one_of
from al_loop.oracles.base import Objective, Oracle, OracleError, Outcome

Score = Literal["fitness", "energy", "folding_energy"]
Combine = Literal["mean", "separate"]


@dataclass(frozen=True)
class ConservedRegion:
    """Letters that a word must contain at a position.

    Args:
        start: index of the first of these letters in the word, from 0.
        pattern: the letters.
    """

    start: int
    pattern: str


#: targets RNA1 to RNA4, word lengths and conserved region of FLEXS's landscapes (github.com/samsinai/FLEXS,
#: flexs/landscapes/rna.py at f261a77, Apache-2.0; Sinai et al. 2020, arXiv:2010.02141)
FLEXS_TARGETS = (
    "GAACGAGGCACAUUCCGGCUCGCCCGGCCCAUGUGAGCAUGGGCCGGACCCCGUCCGCGCGGGGCCCCCGCGCGGACGGGGGCGAGCCGGAAUGUGCCUC",
    "GAGGCACAUUCCGGCUCGCCCCCGUCCGCGCGGGGGCCCCGCGCGGACGGGGUCCGGCCCGCGCGGGGCCCCCGCGCGGGAGCCGGAAUGUGCCUCGUUC",
    "CCGGUGAUACUGUUAGUGGUCACGGUGCAUUUAUAGCGCUAAAGUACAGUCUUCCCCUGUUGAACGGCGCCAUUGCAUACAGGGCCAGCCGCGUAACGCC",
    "UAAGAGAGCGUAAAAAUAGAGAUAUGUUCUUGGGUCAGGGCUAUGCGUACCCCAUGAGAGUAAAUCAUACCCCCAAUGGGCUUCGGCGGAAAUUCACUUA",
)
FLEXS_LENGTHS = (14, 50, 100)
FLEXS_REGION = ConservedRegion(start=21, pattern="GCCCGGCCCAUGUGAGCAUG")
L14_RNA1_TARGET = FLEXS_TARGETS[0]
#: kcal/mol. The energy that duplexfold returns if no bases can pair is above this
NO_DUPLEX = 99_999.0

_COMPLEMENT = str.maketrans("ACGU", "UGCA")
_LANDSCAPE = re.compile(r"(C20_)?L(\d+)_RNA([1-4])(?:\+([1-4]))?")


@dataclass(frozen=True)
class Landscape:
    """One of FLEXS's landscapes.

    Args:
        targets: sequences of one or two target RNAs.
        length: length of the words.
        conserved_region: letters that a word must contain.
    """

    targets: tuple[str, ...]
    length: int
    conserved_region: ConservedRegion | None = None


def flexs_landscape(name: str) -> Landscape:
    """Return the landscape of a name in FLEXS: ``L14_RNA1``, ``L50_RNA1+2``, ``C20_L100_RNA1+3``.

    ``L`` is followed by the length of the words (14, 50 or 100), ``RNA`` by one or two of the four targets. ``C20``
    means two targets and 100 letters, 20 of them conserved.

    Raises:
        ConfigError: FLEXS has no such landscape.
    """
    match = _LANDSCAPE.fullmatch(name)
    if match is not None:
        conserved, length, first, second = match[1], int(match[2]), int(match[3]), int(match[4] or 0)
        is_pair = second > first
        if length in FLEXS_LENGTHS and (is_pair or not second) and (not conserved or (is_pair and length == 100)):
            targets = tuple(FLEXS_TARGETS[number - 1] for number in (first, second) if number)
            return Landscape(targets, length, FLEXS_REGION if conserved else None)
    raise ConfigError(
        f"landscape: {name!r:.80} is not one of L14_RNA1 (lengths 14, 50, 100; targets 1 to 4), L14_RNA1+2 (two "
        "different targets, the lower number first), C20_L100_RNA1+2"
    )


def _rna() -> Any:
    try:
        import RNA
    except ImportError as error:
        raise ConfigError(f'oracle.kind rna needs ViennaRNA: pip install "al-loop[rna]" ({error})') from error
    return RNA


class RNABinding(Oracle):
    """Binding of an RNA word (ACGU) to one or several RNA targets, or its folding energy, by ViennaRNA.

    ``fitness`` follows FLEXS (Sinai et al. 2020): the duplex energy from duplexfold, divided by that of the target's
    reverse complement, scaled to the word's length. About 1 is the best value, 0 means no binding, and values may be
    slightly negative. The default target and words of 14 letters give the landscape L14_RNA1, also called RNA-A. If no
    bases can pair, the two molecules stay apart and the energy is 0.

    Several targets give the mean over them, as in FLEXS, or one objective each (for a word that binds one target and
    spares another, set the goals accordingly). A word without the conserved region has the value 0 in every objective,
    as in FLEXS, and does not count as a failure.

    Energies are free energies in kcal/mol at 37 °C (Turner 2004). ViennaRNA: Lorenz et al., Algorithms Mol. Biol. 2011,
    6, 26.

    Args:
        target_rna: RNA sequence in the letters ACGU, 5' to 3'; or several, as a list (named 1, 2, ...) or by name.
        score: ``fitness`` (no unit, higher is better), ``energy`` of the duplex (kcal/mol, lower is better), or
            ``folding_energy``, the word's own minimum free energy without a target (kcal/mol, 0 if it does not fold).
        combine: whether several targets give their ``mean`` or ``separate`` objectives (``fitness_1``, ...).
        conserved_region: letters that a word must contain, e.g. ``{start: 21, pattern: GCCCGG}``; positions count from
            0.
        landscape: name of one of FLEXS's landscapes, which replaces target and region, e.g. ``L14_RNA1``,
            ``L50_RNA1+2``, ``C20_L100_RNA1+2``; words of another length are then ``invalid``.
    """

    kind = "rna"
    libraries = ("ViennaRNA",)
    object_type = "sequence"
    call_size = 64

    def __init__(
        self,
        target_rna: str | list[str] | dict[str, str] | None = None,
        score: Score = "fitness",
        combine: Combine = "mean",
        conserved_region: ConservedRegion | None = None,
        landscape: str | None = None,
    ) -> None:
        for key, value, options in (("score", score, get_args(Score)), ("combine", combine, get_args(Combine))):
            if value not in options:
                raise ConfigError(f"{key}: {not_one_of(value, options)}")
        is_fold = score == "folding_energy"
        for key, argument in (("target_rna", target_rna), ("landscape", landscape)):
            if argument is not None and is_fold:
                raise ConfigError(f"{key}: {argument!r:.80} does not apply to score: folding_energy; remove it")
        self._length: int | None = None
        if landscape is not None:
            if target_rna is not None or conserved_region is not None:
                raise ConfigError(
                    "landscape: it already defines target_rna and conserved_region; remove these, or landscape"
                )
            preset = flexs_landscape(landscape)
            target_rna, conserved_region, self._length = list(preset.targets), preset.conserved_region, preset.length
        self.targets: Mapping[str, str] = {} if is_fold else _targets(target_rna)
        self.score = score
        self.combine = combine
        self.conserved_region = _checked(conserved_region)
        self.objectives = self._objectives()
        self._energy_per_letter: dict[str, float] = {}

    def _objectives(self) -> tuple[Objective, ...]:
        if self.score == "folding_energy":
            return (Objective("folding_energy", "kcal/mol", "minimise"),)
        is_fitness = self.score == "fitness"
        name, unit = ("fitness", "") if is_fitness else ("duplex_energy", "kcal/mol")
        is_split = self.combine == "separate" and len(self.targets) > 1
        names = [f"{name}_{target}" for target in self.targets] if is_split else [name]
        return tuple(Objective(each, unit, "maximise" if is_fitness else "minimise") for each in names)

    def check(self) -> None:
        """Verify that ViennaRNA is installed and that something can bind to each target.

        Raises:
            ConfigError: one of these is not the case.
        """
        _rna()
        if self.score == "fitness":
            for target in self.targets.values():
                self._best_per_letter(target)

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the score of each word.

        ``info`` contains ``energy`` (kcal/mol), or ``energies`` by target if there are several; the ``structure`` of a
        folded word in dot-bracket notation; and ``is_conserved`` if there is a conserved region.
        """
        for word in objects:
            try:
                yield self._outcome(word)
            except OracleError as error:
                yield Outcome(failure=error.failure)

    def _outcome(self, word: str) -> Outcome:
        other_letters = sorted(set(word) - set("ACGU"))
        if not word or other_letters:
            reason = f"the letters {''.join(other_letters)!r} are not RNA (ACGU)" if word else "the word is empty"
            raise OracleError("invalid", reason)
        if self._length is not None and len(word) != self._length:
            raise OracleError(
                "invalid", f"the word has {len(word)} letters, expected {self._length} for this landscape"
            )
        info: dict[str, object] = {}
        if self.conserved_region is not None:
            start, pattern = self.conserved_region.start, self.conserved_region.pattern
            info["is_conserved"] = word[start : start + len(pattern)] == pattern
            if not info["is_conserved"]:
                return Outcome(values=(0.0,) * len(self.objectives), info=info)
        if self.score == "folding_energy":
            structure, energy = _rna().fold(word)
            return Outcome(values=(float(energy),), info={"structure": structure, **info})
        energies = {name: _duplex_energy(target, word) for name, target in self.targets.items()}
        values = list(energies.values())
        if self.score == "fitness":
            values = [
                energies[name] / (self._best_per_letter(target) * len(word)) for name, target in self.targets.items()
            ]
        info |= {"energies": energies} if len(energies) > 1 else {"energy": next(iter(energies.values()))}
        is_split = len(self.objectives) > 1
        return Outcome(values=tuple(values) if is_split else (sum(values) / len(values),), info=info)

    def _best_per_letter(self, target: str) -> float:
        """Return the duplex energy of the target with its reverse complement, in kcal/mol per letter (negative)."""
        if target not in self._energy_per_letter:
            energy = _duplex_energy(target, target.translate(_COMPLEMENT)[::-1])
            if energy >= 0:
                raise ConfigError(
                    f"target_rna: {target!r:.80} does not even bind its own complement, so fitness is undefined; "
                    "use score: energy"
                )
            self._energy_per_letter[target] = energy / len(target)
        return self._energy_per_letter[target]


def _duplex_energy(target: str, word: str) -> float:
    """Return the duplex energy in kcal/mol; 0 if no bases can pair."""
    energy = float(_rna().duplexfold(target, word).energy)
    return 0.0 if energy > NO_DUPLEX else energy


def _targets(target_rna: str | list[str] | dict[str, str] | None) -> dict[str, str]:
    """Return the targets by name, or raise ConfigError."""
    if target_rna is None:
        target_rna = L14_RNA1_TARGET
    sequences = [target_rna] if isinstance(target_rna, str) else target_rna
    named = sequences if isinstance(sequences, dict) else dict(enumerate(sequences, 1))
    targets = {str(name): target for name, target in named.items()}
    if not targets:
        raise ConfigError("target_rna: it is empty, expected one or several sequences")
    for name, target in targets.items():
        if not target or set(target) - set("ACGU"):
            key = "target_rna" if isinstance(target_rna, str) else f"target_rna.{name}"
            raise ConfigError(f"{key}: {target!r:.80} is not a sequence of the letters A, C, G, U")
    return targets


def _checked(region: ConservedRegion | None) -> ConservedRegion | None:
    if region is not None:
        if region.start < 0:
            raise ConfigError(f"conserved_region.start: {region.start}, expected at least 0 (the first letter)")
        if not region.pattern or set(region.pattern) - set("ACGU"):
            raise ConfigError(
                f"conserved_region.pattern: {region.pattern!r:.80} is not a sequence of the letters A, C, G, U"
            )
    return region
