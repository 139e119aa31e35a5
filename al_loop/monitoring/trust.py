"""How far a campaign's predictions can be trusted: scores, recalibration, alarms, forecasts. Needs no torch.

All of it works on predictions that were recorded before the answers came, so that nothing is scored on what it was
fitted to. Standard deviations are those of an answer, the oracle's noise included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from al_loop.monitoring.metrics import rank_correlation
from al_loop.oracles.base import Goal

Array = NDArray[np.float64]

#: the central intervals whose coverage is reported
LEVELS = (50, 80, 95)
#: similarity to the nearest measured object from which an object counts as near, or else as in the middle
NEAR, MIDDLE = 0.6, 0.35

#: answers that agree perfectly with their predictions, by which a recalibration is held at 1
_PRIOR_ANSWERS = 20.0
#: what an answer counts for with each round of later answers (or joined rounds, see below)
_AGEING = 0.7
#: small rounds are joined up to so many answers: of few, or one, a spread can hardly be told from a shift
_FEWEST_TOGETHER = 8
#: a single odd answer (a typing error, a failed docking) counts at most as one so many deviations off
_LARGEST_RESIDUAL = 4.0
_FACTORS = (0.5, 3.0)

#: fewer answers than this raise no alarm about predictions
_FEWEST = 10
#: p-value of the coverage; errors of one round are alike, so that right predictions raise each alarm in up to 1 % of
#: the rounds (1,040 rounds of campaigns on truths that were drawn from the model)
_SIGNIFICANT = 0.002
#: deviations that the picked objects must fall short of their predictions by, beside being significantly short
_EXPLOITED = 0.5
#: of the first batches' diversity, what is left when it counts as collapsed
_COLLAPSED = 0.5
#: rounds without a better value that are worth telling
_STALLED = 3

AlarmName = Literal["miscalibration", "exploitation", "diversity", "no_progress"]


@dataclass(frozen=True)
class Scores:
    """How good predictions of n answers were; None where there is nothing to say.

    Args:
        n: answers.
        rank_correlation: Spearman's, between predicted and measured.
        rmse: root of the mean squared error, in the oracle's unit.
        nlpd: mean negative log density of the answers under the predicted normal distributions (nats).
        bias: mean of (measured - predicted) / std.
        squared: mean of its square, 1 where the deviations are right and there is no bias.
        coverage: share of the answers within the central 50, 80 and 95 % of what was predicted.
    """

    n: int
    rank_correlation: float | None
    rmse: float | None
    nlpd: float | None
    bias: float | None
    squared: float | None
    coverage: Mapping[str, float]

    def as_dict(self) -> dict[str, object]:
        """For the ledger."""
        return asdict(self)


def score(mean: Array, std: Array, measured: Array) -> Scores:
    """The scores of predictions: n, n, n, in the oracle's unit; pairs that are not finite are left out."""
    is_known = np.isfinite(mean) & np.isfinite(std) & np.isfinite(measured) & (std > 0)
    mean, std, measured = mean[is_known], std[is_known], measured[is_known]
    if not len(mean):
        return Scores(0, None, None, None, None, None, {})
    error = measured - mean
    z = error / std
    correlation = rank_correlation(mean, measured)
    return Scores(
        n=len(z),
        rank_correlation=None if math.isnan(correlation) else correlation,
        rmse=float(np.sqrt((error**2).mean())),
        nlpd=float((0.5 * z**2 + np.log(std) + 0.5 * math.log(2 * math.pi)).mean()),
        bias=float(z.mean()),
        squared=float((z**2).mean()),
        coverage={str(level): float((np.abs(z) <= _half_width(level)).mean()) for level in LEVELS},
    )


def by_distance(mean: Array, std: Array, measured: Array, nearest: Array) -> dict[str, Scores]:
    """The scores of objects near to what had been measured (similarity from 0.6 up), in the middle (from 0.35), far."""
    groups = {"near": nearest >= NEAR, "middle": (nearest < NEAR) & (nearest >= MIDDLE), "far": nearest < MIDDLE}
    return {name: score(mean[rows], std[rows], measured[rows]) for name, rows in groups.items() if rows.any()}


def _half_width(level: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(0.5 + level / 200))


def recalibration(residuals: Array, rounds: NDArray[np.int64]) -> float:
    """What the surrogate's standard deviation is to be multiplied with, from how far earlier predictions were off.

    With the spread of the residuals known to be near 1 as if from 20 answers (a scaled inverse chi-squared prior), the
    factor is the root of their mean square, recent rounds weighing more. Rounds of fewer than 8 answers are taken
    together with the ones before. Residuals are taken about the median of their round: the objects were picked because
    they were predicted to be good, and what that does to the mean is not a matter of the deviations; see the alarm
    ``exploitation``.

    Args:
        residuals: (measured - predicted) / std, the std being the surrogate's own, before any factor: n.
        rounds: when the answer came, n.
    """
    is_known = np.isfinite(residuals)
    total, weight = _PRIOR_ANSWERS, _PRIOR_ANSWERS
    for age, r in enumerate(_latest_first(residuals[is_known], rounds[is_known])):
        if len(r) < 2:
            continue
        counts = _AGEING**age
        off = np.clip(r - np.median(r), -_LARGEST_RESIDUAL, _LARGEST_RESIDUAL)
        total += counts * float((off**2).sum()) * len(r) / (len(r) - 1)
        weight += counts * len(r)
    return float(np.clip(math.sqrt(total / weight), *_FACTORS))


def _latest_first(residuals: Array, rounds: NDArray[np.int64]) -> list[Array]:
    """The residuals by round, the latest first, small rounds joined with the ones before."""
    groups: list[Array] = []
    group = residuals[:0]
    for number in np.unique(rounds)[::-1]:
        group = np.concatenate([group, residuals[rounds == number]])
        if len(group) >= _FEWEST_TOGETHER:
            groups.append(group)
            group = residuals[:0]
    return [*groups, group] if len(group) else groups


@dataclass(frozen=True)
class Alarm:
    """Something that the user should know of a round."""

    name: AlarmName
    message: str


def prediction_alarms(mean: Array, std: Array, measured: Array, goal: Goal, label: str) -> list[Alarm]:
    """Alarms about the predictions of one objective, over the answers of the last rounds: n, n, n.

    label: what the objective is called.
    """
    from scipy.stats import binom, binomtest

    is_known = np.isfinite(mean) & np.isfinite(std) & np.isfinite(measured) & (std > 0)
    z = (measured - mean)[is_known] / std[is_known]
    n = len(z)
    if n < _FEWEST:
        return []
    found = []
    sign = 1.0 if goal == "maximise" else -1.0
    shortfall = -sign * float(z.mean())
    if shortfall > _EXPLOITED and shortfall * math.sqrt(n) > 3.0:
        off = -sign * float((measured - mean)[is_known].mean())
        found.append(
            Alarm(
                "exploitation",
                f"{label}: the last {n} answers are on average {off:.3g} worse than was predicted ({shortfall:.1f} "
                "predicted deviations): the surrogate's errors are being picked; lower reward.beta, add exploration "
                "(selector: {kind: mixed}), or look at the oracle",
            )
        )
    inside = int((np.abs(z) <= _half_width(80)).sum())
    if binomtest(inside, n, 0.8).pvalue < _SIGNIFICANT:
        low, high = (int(v) for v in binom.interval(0.95, n, 0.8))
        is_over = inside < 0.8 * n
        found.append(
            Alarm(
                "miscalibration",
                f"{label}: {inside} of the last {n} answers were within the predicted 80 % ({low} to {high} would be "
                f"usual): the surrogate is {'too sure' if is_over else 'not sure enough'} of itself; "
                + (
                    "trust predictions less, or try another surrogate or transform"
                    if is_over
                    else "its uncertainty is larger than its errors"
                ),
            )
        )
    return found


def diversity_alarm(diversities: Sequence[float], filled: float) -> Alarm | None:
    """Collapse of the batches, from the mean pairwise distance of each that a sampler drew, in order.

    filled: share of the last batch that had to be filled up with random objects.
    """
    known = [d for d in diversities if math.isfinite(d)]
    if filled > 0.5:
        return Alarm(
            "diversity",
            f"{filled:.0%} of the batch had to be filled up with random objects: the sampler draws hardly anything "
            "new; lower reward.beta, raise sampler.epsilon, or widen the environment",
        )
    is_told = bool(diversities) and math.isfinite(diversities[-1])
    if is_told and len(known) >= 3 and known[-1] < _COLLAPSED * (before := float(np.mean(known[:2]))):
        return Alarm(
            "diversity",
            f"the batch's mean distance is {known[-1]:.2f}, that of the first ones was {before:.2f}: the sampler has "
            "narrowed down; lower reward.beta or raise selector.trade if that is too early",
        )
    return None


def rounds_without_progress(bests: Sequence[float], goal: Goal) -> int:
    """How many rounds the best value so far (a number after each round, NaN: none yet) has stood still."""
    sign = 1.0 if goal == "maximise" else -1.0
    oriented = [sign * b for b in bests]
    count = 0
    for before, after in zip(oriented[-2::-1], oriented[:0:-1], strict=True):
        if math.isnan(before) or after > before:
            break
        count += 1
    return count


def progress_alarm(bests: Sequence[float], goal: Goal) -> Alarm | None:
    """No better value for three rounds (told again every third round)."""
    stalled = rounds_without_progress(bests, goal)
    if not stalled or stalled % _STALLED:
        return None
    return Alarm(
        "no_progress",
        f"no better value for {stalled} rounds; more exploration (selector: {{kind: mixed}}, acquisition.kappa) may "
        "help, or this is what there is (see stop.no_progress)",
    )


@dataclass(frozen=True)
class Forecast:
    """What a batch is likely to bring, in the oracle's unit (of several objectives: in hypervolume).

    Args:
        expected_improvement: on the best so far; 0 or more; None where nothing good has been measured yet.
        probability: of any improvement.
        expected_best: the best after it; None, as what follows, where nothing good is known and it brings nothing.
        low: that is exceeded in 9 of 10 cases, in the direction that is wanted.
        high: in 1 of 10.
    """

    expected_improvement: float | None
    probability: float
    expected_best: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        """For the ledger."""
        return asdict(self)


def forecast(bests: Array, so_far: float, goal: Goal) -> Forecast:
    """The forecast from samples of a batch's best value (or of the hypervolume with it), and the best so far.

    A sample in which nothing of the batch counts is infinitely bad. Where there is nothing good yet, the best after
    the batch is that of the samples in which there is.
    """
    sign = 1.0 if goal == "maximise" else -1.0
    if math.isfinite(so_far):
        after = np.maximum(sign * bests, sign * so_far)
        gain = after - sign * so_far
        probability, improvement = float((gain > 1e-12 * abs(so_far)).mean()), float(gain.mean())
    else:
        is_any = np.isfinite(bests)
        after, improvement, probability = sign * bests[is_any], None, float(is_any.mean())
    if not len(after):
        return Forecast(None, 0.0, None, None, None)
    low, high = np.quantile(after, [0.1, 0.9])
    return Forecast(
        expected_improvement=improvement,
        probability=probability,
        expected_best=sign * float(after.mean()),
        low=sign * float(low),
        high=sign * float(high),
    )


def why_stop(
    rules: Mapping[str, float | None], bests: Sequence[float], goal: Goal, coming: Forecast | None
) -> str | None:
    """The reason to end a campaign by its ``stop`` rules, or None.

    bests: the best value so far after each round. coming: the forecast of the batch that was decided on; None where
    none is yet, and rules that need it are left out.
    """
    best = bests[-1] if bests else math.nan
    reached, rounds = rules.get("reached"), rules.get("no_progress")
    if reached is not None and (best >= reached if goal == "maximise" else best <= reached):
        return f"stop.reached: the best value, {best:.6g}, is as good as {reached:g}"
    if rounds is not None and (stalled := rounds_without_progress(bests, goal)) >= rounds:
        return f"stop.no_progress: no better value for {stalled} rounds"
    if coming is None:
        return None
    expected, probability = rules.get("expected_improvement"), rules.get("probability")
    gain = coming.expected_improvement
    if expected is not None and gain is not None and gain < expected:
        return (
            f"stop.expected_improvement: the next batch is expected to improve on the best value by "
            f"{gain:.3g}, less than {expected:g}"
        )
    if probability is not None and coming.probability < probability:
        return (
            f"stop.probability: the next batch improves on the best value with probability "
            f"{coming.probability:.2g}, less than {probability:g}"
        )
    return None
