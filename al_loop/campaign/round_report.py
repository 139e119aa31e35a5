"""The report of a round: its summary, its alarms, and how good its predictions were."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_loop.campaign.context import CampaignContext
from al_loop.campaign.preparation import CampaignParts
from al_loop.campaign.round_state import RoundState
from al_loop.campaign.round_times import RoundTimes
from al_loop.monitoring import metrics
from al_loop.monitoring.alarms import Alarm, diversity_alarm, prediction_alarms, progress_alarm
from al_loop.monitoring.predictions import PastPredictions
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.monitoring.scores import score, score_by_distance
from al_loop.system import stopping

_RECENT_ROUNDS = 3  # whose answers alarms look at, at least
_RECENT_ANSWERS = 16  # that alarms look at, at least


@dataclass(frozen=True)
class RoundReport:
    """The report of one round.

    Args:
        summary: the row of the table of rounds.
        alarms: what the user should look into.
        metrics: everything that the ledger keeps of it.
        numbers: what sinks receive.
    """

    summary: RoundSummary
    alarms: Sequence[Alarm]
    metrics: Mapping[str, Any]
    numbers: Mapping[str, float]


def report_round(
    number: int,
    state: RoundState,
    parts: CampaignParts,
    predictions: Sequence[PastPredictions],
    seconds: Mapping[str, float],
    utilisation: float | None,
) -> RoundReport:
    """Return the report of a round.

    Args:
        number: the round.
        state: of the ledger.
        parts: the parts of the campaign, for features and environment.
        predictions: past predictions of each objective.
        seconds: duration of the phases that this process ran.
        utilisation: share of the oracle workers' time that went into calls; None if unknown.
    """
    scaffolds = _new_scaffolds(number, state) if parts.environment.object_type == "molecule" else None
    summary = _summary(number, state, parts, predictions[0].of_round(number), seconds, scaffolds)
    alarms = _alarms(number, state, predictions, summary, has_sampler=parts.has_sampler)
    row = {
        "calls": summary.calls,
        "failures": summary.failures,
        "best": summary.best,
        "top10_mean": summary.top10_mean,
        "hypervolume": summary.hypervolume,
        "front": summary.front,
        **({} if summary.within_bounds is None else {"within_bounds": summary.within_bounds}),
        "diversity": summary.diversity,
        "new_scaffolds": summary.new_scaffolds,
        **({} if scaffolds is None else {"scaffolds": sorted(scaffolds)}),
        "rank_correlation": summary.rank_correlation,
        "oracle_utilisation": utilisation,
        "predictions": _prediction_scores(number, state, predictions),
        "alarms": {alarm.name: alarm.message for alarm in alarms},
    }
    numbers = summary.metrics() | ({} if utilisation is None else {"oracle_utilisation": utilisation})
    return RoundReport(summary, alarms, row, numbers)


def close_rounds(context: CampaignContext, last: int, times: RoundTimes) -> None:
    """Report every round up to the last that has no report, also those of a process that was killed before.

    Args:
        context: of the open campaign.
        last: the last round that may be closed.
        times: of the phases in this process.
    """
    parts, ledger = context.parts, context.ledger
    open_rounds = [row.number for row in context.states.current().rounds if row.closed is None and row.number <= last]
    for number in open_rounds:
        stopping.look()
        state = context.states.current()
        predictions = state.predictions
        seconds, utilisation = times.seconds.get(number, {}), times.utilisation.get(number)
        report = report_round(number, state, parts, predictions, seconds, utilisation)
        ledger.close_round(number, metrics=dict(report.metrics), seconds=dict(report.summary.seconds))
        ledger.checkpoint()
        context.reporter.round(report.summary)
        context.sinks.log(number, dict(report.numbers))
        for alarm in report.alarms:
            context.note(f"round {number}: {alarm.message}")


def _new_scaffolds(number: int, state: RoundState) -> set[str]:
    """Return the scaffolds that a round added; those of earlier rounds are in their reports."""
    reports = {row.number: row.metrics for row in state.rounds if row.metrics is not None}
    recorded = {round_: report["scaffolds"] for round_, report in reports.items() if "scaffolds" in report}
    earlier = {name for round_, names in recorded.items() if round_ < number for name in names}
    others = (o.object for o in state.observations if o.arrived < number and o.arrived not in recorded)
    batch = [o.object for o in state.observations if o.arrived == number]
    return metrics.scaffolds(batch) - earlier - metrics.scaffolds(others)


def _summary(
    number: int,
    state: RoundState,
    parts: CampaignParts,
    predictions: PastPredictions,
    seconds: Mapping[str, float],
    scaffolds: Set[str] | None,
) -> RoundSummary:
    # an answer counts for the round in which it arrived
    observations = [o for o in state.observations if o.arrived <= number]
    batch = [o for o in observations if o.arrived == number and o.origin != "imported"]
    objectives, goal = state.objectives, state.objectives.goals[0]
    values = state.valid_values(number)
    from al_loop.features.base import describable  # loads torch

    X = parts.features(describable(parts.features, [o.object for o in batch]))
    hypervolume = front = None
    if objectives.are_several:
        hypervolume = state.hypervolume(values)
        front = int(np.sum(metrics.non_dominated(values, objectives.goals))) if values else 0
    first = [v[0] for v in values]
    return RoundSummary(
        number=number,
        calls=sum(o.origin != "imported" for o in observations),
        failures=sum(o.values is None for o in batch),
        best=metrics.best(first, goal),
        # of fewer than ten, it would get worse as answers come
        top10_mean=metrics.top_k_mean(first, 10, goal) if len(first) >= 10 else math.nan,
        diversity=metrics.mean_pairwise_distance(parts.features.similarity(X, X).numpy()),
        new_scaffolds=None if scaffolds is None else len(scaffolds),
        rank_correlation=metrics.rank_correlation(predictions.mean, predictions.measured),
        # what was decided before a kill was timed by the process that was killed
        seconds={**state.rounds[number].seconds, **seconds},
        coverage=score(predictions.mean, predictions.std, predictions.measured).coverage.get("80", math.nan),
        hypervolume=hypervolume,
        front=front,
        within_bounds=len(values) if objectives.bounds else None,
    )


def _prediction_scores(number: int, state: RoundState, predictions: Sequence[PastPredictions]) -> dict[str, Any]:
    """Return how good the predictions of what arrived in a round were, by objective."""
    scores = {}
    for name, all_predictions in zip(state.objectives.names, predictions, strict=True):
        p = all_predictions.of_round(number)
        if len(p.mean):
            by_distance = score_by_distance(p.mean, p.std, p.measured, p.nearest)
            scores[name] = {
                **score(p.mean, p.std, p.measured).as_dict(),
                "by_distance": {key: value.as_dict() for key, value in by_distance.items()},
            }
    return scores


def _alarms(
    number: int, state: RoundState, predictions: Sequence[PastPredictions], summary: RoundSummary, *, has_sampler: bool
) -> list[Alarm]:
    alarms: list[Alarm] = []
    objectives = state.objectives
    for name, goal, all_predictions in zip(objectives.names, objectives.goals, predictions, strict=True):
        p = all_predictions.pick(all_predictions.arrived <= number)
        # small batches are judged together with earlier ones
        since = min(number - _RECENT_ROUNDS + 1, np.sort(p.arrived)[-_RECENT_ANSWERS:].min(initial=number))
        recent = p.pick(p.arrived >= since)
        if (p.arrived == number).any():
            alarms += prediction_alarms(recent.mean, recent.std, recent.measured, goal, name)
    batch = [c for c in state.candidates if c.round == number]
    if number and has_sampler and batch:
        diversities = [r.metrics["diversity"] for r in state.rounds[1:number] if r.metrics] + [summary.diversity]
        filled = sum(c.origin == "random" for c in batch) / len(batch)
        alarm = diversity_alarm([math.nan if d is None else d for d in diversities], filled)
        alarms += [alarm] if alarm else []
    record = summary.best if summary.hypervolume is None else summary.hypervolume
    alarm = progress_alarm([*state.records()[:number], record], objectives.record_goal)
    return [*alarms, alarm] if alarm else alarms
