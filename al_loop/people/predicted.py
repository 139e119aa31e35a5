"""Predictions made for candidates when they were proposed, for the tables that people see."""

from __future__ import annotations

import math
from collections.abc import Sequence

from al_loop.ledger import Candidate, Ledger
from al_loop.modelling.objectives import recorded_objectives
from al_loop.monitoring.predictions import recorded_predictions

#: the mean and the standard deviation predicted for an object, NaN if there was no prediction
Prediction = tuple[float, float]


def predictions_by_objective(ledger: Ledger, candidates: Sequence[Candidate]) -> list[tuple[str, Sequence[Prediction]]]:
    """Return the name of each optimised objective with what was predicted for each candidate.

    Args:
        ledger: the campaign's ledger.
        candidates: some of its candidates.
    """
    campaign = ledger.campaign()
    assert campaign is not None
    objectives = recorded_objectives(campaign.objectives, campaign.config)
    if not objectives.are_several:
        return [(objectives.names[0], [(_number(c.predicted_mean), _number(c.predicted_std)) for c in candidates])]
    numbers, positions = [c.round for c in candidates], [c.position for c in candidates]
    table = recorded_predictions(ledger.rounds(), numbers, positions, len(objectives)).tolist()
    return [(name, [(row[2 * i], row[2 * i + 1]) for row in table]) for i, name in enumerate(objectives.names)]


def _number(value: float | None) -> float:
    return math.nan if value is None else value
