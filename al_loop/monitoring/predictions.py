"""Past predictions, matched with the measurements that followed. Importing it does not load torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_loop.ledger import Candidate, Ledger, Observation
from al_loop.ledger.records import RoundRow
from al_loop.modelling.objectives import CampaignObjectives

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PastPredictions:
    """Past predictions of one objective for n objects measured since, in the oracle's unit.

    Args:
        mean: predicted values, shape n.
        std: predicted standard deviations of the measurements, noise included, shape n.
        measured: measured values, shape n.
        nearest: similarity to the nearest object measured before the prediction, shape n.
        factor: recalibration factor by which std differs from the surrogate's own deviation, shape n.
        arrived: number of the round that was open when the measurement arrived, shape n.
    """

    mean: Array
    std: Array
    measured: Array
    nearest: Array
    factor: Array
    arrived: NDArray[np.int64]

    def of_round(self, number: int) -> PastPredictions:
        """Return the subset whose measurements arrived in a round."""
        return self.pick(self.arrived == number)

    def pick(self, rows: NDArray[np.bool_]) -> PastPredictions:
        """Return the subset selected by a boolean mask, shape n."""
        return PastPredictions(
            self.mean[rows],
            self.std[rows],
            self.measured[rows],
            self.nearest[rows],
            self.factor[rows],
            self.arrived[rows],
        )


def past_predictions(
    ledger: Ledger, objectives: CampaignObjectives, until: int | None = None
) -> Sequence[PastPredictions]:
    """Return the past predictions of each optimised objective.

    Args:
        ledger: the campaign's ledger.
        objectives: the objectives that the campaign optimises.
        until: the number of measurements to use, in order of arrival; None: all.
    """
    return match_predictions(ledger.rounds(), ledger.candidates(), ledger.observations(until=until), objectives)


def match_predictions(
    rounds: Sequence[RoundRow],
    candidates: Sequence[Candidate],
    observations: Sequence[Observation],
    objectives: CampaignObjectives,
) -> Sequence[PastPredictions]:
    """Return the past predictions of each optimised objective, from what was read of the ledger.

    Args:
        rounds: all rounds.
        candidates: all candidates.
        observations: what was measured since.
        objectives: the objectives that the campaign optimises.
    """
    n = len(objectives)
    measured = [o for o in observations if o.values is not None]
    of_id = {c.id: c for c in candidates}
    asked = [of_id[o.candidate_id] for o in measured]
    numbers, positions = [c.round for c in asked], [c.position for c in asked]
    predicted = recorded_predictions(rounds, numbers, positions, n)
    details = _recorded_details(rounds, numbers, positions, n)
    rows = np.isfinite(details[:, 0])  # random objects and those that people added to a batch have no prediction
    values = np.array([objectives.optimised(o.values) for o in measured], dtype=np.float64).reshape(-1, n)
    arrived = np.array([o.arrived for o in measured], dtype=np.int64)
    predictions = []
    for j, index in enumerate(objectives.indices):
        # a value that is missing, or of which only a bound is known, says little of a prediction's error
        is_exact = np.array([not (o.censored and o.censored[index]) for o in measured], dtype=bool)
        own = rows & is_exact & np.isfinite(values[:, j])
        predictions.append(
            PastPredictions(
                predicted[own, 2 * j],
                predicted[own, 2 * j + 1],
                values[own, j],
                details[own, 0],
                details[own, 1 + j],
                arrived[own],
            )
        )
    return predictions


def _recorded_details(rounds: Sequence[RoundRow], numbers: Sequence[int], positions: Sequence[int], n: int) -> Array:
    """Return the similarity to the nearest measured object and the factors of each candidate; NaN without prediction.

    The arguments are those of ``recorded_predictions``; the shape is candidates x (1 + n).
    """
    table = np.full((len(numbers), 1 + n), np.nan)
    of_round, of_batch = np.asarray(numbers, dtype=np.int64), np.asarray(positions, dtype=np.int64)
    order = np.argsort(of_round, kind="stable")
    for row in rounds:
        if "predicted" not in row.info:
            continue
        nearest = np.array(row.info["nearest"], dtype=np.float64)
        rows = _rows_of(row.number, of_round, order)
        rows = rows[of_batch[rows] < len(nearest)]
        table[rows, 0] = nearest[of_batch[rows]]
        table[rows, 1:] = row.info["factors"]
    return table


def _rows_of(number: int, of_round: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of a round, given the order of the rows by round."""
    first, last = np.searchsorted(of_round, [number, number + 1], sorter=order)
    rows: NDArray[np.int64] = order[first:last]
    return rows


def recorded_predictions(rounds: Sequence[RoundRow], numbers: Sequence[int], positions: Sequence[int], n: int) -> Array:
    """Return what was predicted for n objectives of some candidates when they were proposed.

    Args:
        rounds: all rounds, in order, which hold the predictions of their batches.
        numbers: the round of each candidate.
        positions: the position of each candidate within the batch of its round.
        n: number of objectives.

    Returns:
        The mean and the standard deviation of each objective in turn, shape candidates x 2n; NaN where there is none,
        as for random objects and those that people added.
    """
    table = np.full((len(numbers), 2 * n), np.nan)
    of_round, of_batch = np.asarray(numbers, dtype=np.int64), np.asarray(positions, dtype=np.int64)
    order = np.argsort(of_round, kind="stable")
    for row in rounds:
        if (predicted := row.info.get("predicted")) is None:
            continue
        mean, std = (np.array(predicted[key], dtype=np.float64).reshape(-1, n) for key in ("mean", "std"))
        rows = _rows_of(row.number, of_round, order)
        rows = rows[of_batch[rows] < len(mean)]
        table[rows] = np.stack([mean, std], axis=2).reshape(len(mean), -1)[of_batch[rows]]
    return table
