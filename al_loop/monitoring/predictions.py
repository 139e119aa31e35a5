"""Predictions that were made before the answers came, beside these answers. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_loop.ledger import Ledger
from al_loop.modelling.objectives import CampaignObjectives

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Of one objective, for n objects that were measured, in the oracle's unit.

    Args:
        mean: predicted, n.
        std: standard deviation that was predicted of the answer, its noise included, n.
        measured: what came, n.
        nearest: similarity to the nearest object that was measured when it was predicted, n.
        factor: what the surrogate's own standard deviation had been multiplied with, n.
        arrived: the round that was open when the answer came, n.
    """

    mean: Array
    std: Array
    measured: Array
    nearest: Array
    factor: Array
    arrived: NDArray[np.int64]

    def of_round(self, number: int) -> Predictions:
        """Those whose answers came in a round."""
        return self.pick(self.arrived == number)

    def pick(self, rows: NDArray[np.bool_]) -> Predictions:
        """Some of them."""
        return Predictions(
            self.mean[rows],
            self.std[rows],
            self.measured[rows],
            self.nearest[rows],
            self.factor[rows],
            self.arrived[rows],
        )


def kept_predictions(ledger: Ledger, wanted: CampaignObjectives, until: int | None = None) -> Sequence[Predictions]:
    """The predictions of each objective, of the answers up to a number of these."""
    rounds = {row.number: row.info for row in ledger.rounds()}
    candidates = {(c.object, c.fidelity): c for c in ledger.candidates()}
    rows = []
    for o in ledger.observations(until=until):
        candidate = candidates[o.object, o.fidelity]
        info = rounds[candidate.round]
        predicted = info.get("predicted")
        # what people added to a batch was not predicted
        if o.values is None or predicted is None or candidate.position >= len(predicted["mean"]):
            continue
        i = candidate.position
        columns = predicted["mean"][i], predicted["std"][i], wanted.optimised(o.values), info["factors"]
        rows.append((columns, info["nearest"][i], o.arrived))
    found = []
    for j in range(len(wanted)):
        mean, std, measured, factor = (np.array([c[k][j] for c, _, _ in rows], dtype=np.float64) for k in range(4))
        nearest = np.array([near for _, near, _ in rows], dtype=np.float64)
        found.append(Predictions(mean, std, measured, nearest, factor, np.array([a for *_, a in rows], dtype=np.int64)))
    return found
