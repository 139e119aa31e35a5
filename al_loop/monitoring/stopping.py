"""Rules that end a campaign before its last round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from al_loop.errors import counted
from al_loop.monitoring.forecast import Forecast
from al_loop.monitoring.metrics import rounds_without_progress
from al_loop.oracles.base import Goal
from al_loop.system.numbers import significant


def stop_reason(
    rules: Mapping[str, float | None], bests: Sequence[float], goal: Goal, next_batch: Forecast | None
) -> str | None:
    """Return the reason to end a campaign, or None to continue.

    Args:
        rules: the config's section ``stop``: thresholds by the name of the rule; None: no such rule.
        bests: the best value so far after each round; NaN if there is none yet.
        goal: the direction of the objective.
        next_batch: forecast of the selected batch; None before the selection, which skips the rules on forecasts.
    """
    best = bests[-1] if bests else math.nan
    reached, rounds = rules.get("reached"), rules.get("no_progress")
    if reached is not None and (best >= reached if goal == "maximise" else best <= reached):
        return f"stop.reached: the best value, {significant(best, 6)}, is as good as {reached:g}"
    if rounds is not None and (n_stalled := rounds_without_progress(bests, goal)) >= rounds:
        return f"stop.no_progress: no better value for {counted(n_stalled, 'round')}"
    if next_batch is None:
        return None
    threshold, probability = rules.get("expected_improvement"), rules.get("probability")
    gain = next_batch.expected_improvement
    if threshold is not None and gain is not None and gain < threshold:
        return (
            f"stop.expected_improvement: the next batch is expected to improve on the best value by "
            f"{significant(gain, 3)}, less than {threshold:g}"
        )
    if probability is not None and next_batch.probability < probability:
        return (
            f"stop.probability: the next batch improves on the best value with probability "
            f"{significant(next_batch.probability, 2)}, less than {probability:g}"
        )
    return None
