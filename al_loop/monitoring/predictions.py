"""Past predictions, matched with the measurements that followed. Importing it does not load torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_loop.ledger import Ledger
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
