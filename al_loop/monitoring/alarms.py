"""Alarms about predictions, the diversity of batches, and progress."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from al_loop.errors import counted
from al_loop.monitoring.metrics import rounds_without_progress
from al_loop.monitoring.scores import interval_half_width, valid_predictions
from al_loop.oracles.base import Goal
from al_loop.system.numbers import significant

Array = NDArray[np.float64]
AlarmName = Literal["miscalibration", "exploitation", "diversity", "no_progress"]

#: smallest number of measurements for an alarm about predictions
_FEWEST_ANSWERS = 10
#: p-value of the coverage; errors of one round are correlated, so that correct predictions raise each alarm in up to
#: 1 % of the rounds (1,040 rounds of campaigns on ground truths drawn from the model)
_SIGNIFICANCE = 0.002
#: mean shortfall of the picked objects, in predicted deviations, that counts as exploitation if it is significant
_EXPLOITATION_SHORTFALL = 0.5
#: share of the first batches' diversity below which the batches count as collapsed
_COLLAPSE = 0.5
#: rounds without a better value between two alarms
_STALLED_ROUNDS = 3


@dataclass(frozen=True)
class Alarm:
    """A warning about a round.

    Args:
        name: the kind of alarm.
        message: the observation and possible remedies, for the user.
    """

    name: AlarmName
    message: str


def prediction_alarms(mean: Array, std: Array, measured: Array, goal: Goal, label: str) -> list[Alarm]:
    """Return the alarms about the predictions of one objective, over the measurements of the last rounds.

    Args:
        mean: predicted values, shape n, in the oracle's unit.
        std: predicted standard deviations, shape n.
        measured: measured values, shape n.
        goal: the direction of the objective.
        label: name of the objective in the messages.
    """
    from scipy.stats import binom, binomtest

    is_valid = valid_predictions(mean, std, measured)
    z = (measured - mean)[is_valid] / std[is_valid]
    n = len(z)
    if n < _FEWEST_ANSWERS:
        return []
    alarms = []
    sign = 1.0 if goal == "maximise" else -1.0
    shortfall = -sign * float(z.mean())
    if shortfall > _EXPLOITATION_SHORTFALL and shortfall * math.sqrt(n) > 3.0:
        error = -sign * float((measured - mean)[is_valid].mean())
        alarms.append(
            Alarm(
                "exploitation",
                f"{label}: the last {n} answers are on average {significant(error, 3)} worse than predicted "
                f"({shortfall:.1f} predicted deviations): the model is too optimistic about what it picks; lower "
                "reward.beta, add exploration (selector: {kind: mixed}), or check the oracle",
            )
        )
    n_inside = int((np.abs(z) <= interval_half_width(80)).sum())
    if binomtest(n_inside, n, 0.8).pvalue < _SIGNIFICANCE:
        low, high = (int(v) for v in binom.interval(0.95, n, 0.8))
        is_overconfident = n_inside < 0.8 * n
        alarms.append(
            Alarm(
                "miscalibration",
                f"{label}: {n_inside} of the last {n} answers were within the predicted 80 % interval ({low} to {high} "
                f"would be usual): the surrogate is {'overconfident' if is_overconfident else 'underconfident'}; "
                + (
                    "trust its predictions less, or try another surrogate or transform"
                    if is_overconfident
                    else "its uncertainty is larger than its errors"
                ),
            )
        )
    return alarms


def diversity_alarm(diversities: Sequence[float], random_share: float) -> Alarm | None:
    """Return an alarm if the batches have lost their diversity, else None.

    Args:
        diversities: mean pairwise distance of each batch drawn by a sampler, in order; NaN where undefined.
        random_share: share of the last batch that was filled with random objects.
    """
    finite = [d for d in diversities if math.isfinite(d)]
    if random_share > 0.5:
        return Alarm(
            "diversity",
            f"{random_share:.0%} of the batch had to be filled with random objects: the sampler draws hardly any new "
            "objects; lower reward.beta, raise sampler.epsilon, or widen the environment",
        )
    # an undefined last diversity would repeat the alarm of the batch before
    has_last = bool(diversities) and math.isfinite(diversities[-1])
    if has_last and len(finite) >= 3 and finite[-1] < _COLLAPSE * (first := float(np.mean(finite[:2]))):
        return Alarm(
            "diversity",
            f"the mean distance within the batch is {finite[-1]:.2f}, against {first:.2f} in the first batches: the "
            "sampler has narrowed down; if that is too early, lower reward.beta or raise selector.trade",
        )
    return None


def progress_alarm(bests: Sequence[float], goal: Goal) -> Alarm | None:
    """Return an alarm after every third consecutive round without a better value, else None.

    Args:
        bests: the best value so far after each round; NaN if there is none yet.
        goal: the direction of the objective.
    """
    n_stalled = rounds_without_progress(bests, goal)
    if not n_stalled or n_stalled % _STALLED_ROUNDS:
        return None
    return Alarm(
        "no_progress",
        f"no better value for {counted(n_stalled, 'round')}; more exploration may help (selector: {{kind: mixed}}, "
        "acquisition.kappa), or the optimum has been reached (see stop.no_progress)",
    )
