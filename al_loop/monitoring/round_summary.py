"""The summary of one round: a row of the table of rounds, and the metrics that sinks receive."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_METRICS = (
    "calls",
    "failures",
    "best",
    "top10_mean",
    "diversity",
    "new_scaffolds",
    "rank_correlation",
    "coverage",
    "hypervolume",
    "front",
    "within_bounds",
)


@dataclass(frozen=True)
class RoundSummary:
    """One row of the table of rounds, with values in the oracle's unit; NaN if there is no value.

    Args:
        number: the number of the round; 0 is the random first batch.
        calls: measurements so far, failures included.
        failures: failed measurements of this round.
        best: best value so far; with several objectives, of the first one.
        top10_mean: mean of the ten best values so far, NaN if there are fewer; with several objectives, of the first
            one.
        diversity: mean pairwise distance between the round's objects, from 0 to 1.
        new_scaffolds: scaffolds that the round added; None if the objects are not molecules.
        rank_correlation: Spearman's correlation between the predicted and the measured values of the batch.
        seconds: duration of each phase (fit, train, select, evaluate).
        coverage: share of the measured values within the central 80 % of their predictions.
        hypervolume: with several objectives, the hypervolume in the product of their units.
        front: with several objectives, the number of objects on the Pareto front.
        within_bounds: if outcomes are bounded, the number of measured objects that keep all bounds; only they can be
            the best or on the front.
    """

    number: int
    calls: int
    failures: int
    best: float
    top10_mean: float
    diversity: float
    new_scaffolds: int | None
    rank_correlation: float
    seconds: Mapping[str, float]
    coverage: float = math.nan
    hypervolume: float | None = None
    front: int | None = None
    within_bounds: int | None = None

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the round by the names that sinks use, without those that are missing or NaN.

        ``best`` and the other values are in the oracle's unit, ``seconds_<phase>`` in seconds.
        """
        values = {name: getattr(self, name) for name in _METRICS}
        values |= {f"seconds_{phase.replace(' ', '_')}": value for phase, value in self.seconds.items()}
        return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
