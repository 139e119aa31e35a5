"""Past predictions, matched with the measurements that followed. Importing it does not load torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_loop.ledger import Ledger
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
    rounds = {row.number: row.info for row in ledger.rounds()}
    candidates = {(c.object, c.fidelity): c for c in ledger.candidates()}
    rows = []
    for o in ledger.observations(until=until):
        candidate = candidates[o.object, o.fidelity]
        info = rounds[candidate.round]
        predicted = info.get("predicted")
        # objects that people added to a batch have no prediction
        if o.values is None or predicted is None or candidate.position >= len(predicted["mean"]):
            continue
        i = candidate.position
        columns = predicted["mean"][i], predicted["std"][i], objectives.optimised(o.values), info["factors"]
        rows.append((columns, info["nearest"][i], o.arrived))
    nearest = np.array([similarity for _, similarity, _ in rows], dtype=np.float64)
    arrived = np.array([number for *_, number in rows], dtype=np.int64)
    predictions = []
    for j in range(len(objectives)):
        mean, std, measured, factor = (np.array([c[k][j] for c, _, _ in rows], dtype=np.float64) for k in range(4))
        predictions.append(PastPredictions(mean, std, measured, nearest, factor, arrived))
    return predictions


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
    for row in rounds:
        if (predicted := row.info.get("predicted")) is None:
            continue
        mean, std = (np.array(predicted[key], dtype=np.float64).reshape(-1, n) for key in ("mean", "std"))
        rows = np.flatnonzero((of_round == row.number) & (of_batch < len(mean)))
        table[rows] = np.stack([mean, std], axis=2).reshape(len(mean), -1)[of_batch[rows]]
    return table
