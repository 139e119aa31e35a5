"""The answers that count as results, and the best and the front among them; the one definition for all tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_loop.ledger.columns import Columns
from al_loop.modelling.objectives import CampaignObjectives
from al_loop.modelling.replicates import Means, means
from al_loop.monitoring.metrics import non_dominated
from al_loop.oracles.base import Goal
from al_loop.system.plain_values import LARGEST

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Results:
    """The latest answers of a run, of which some count, see ``CampaignObjectives.are_results``.

    Args:
        candidate_ids: the candidate of each answer, n, in order.
        means: what was measured, NaN where there is no value; several measurements of one object at the target
            fidelity count once, as their mean.
        is_at_target: whether it was measured at the target fidelity, n.
        objectives: what the campaign optimises and bounds.
    """

    candidate_ids: Rows
    means: Means
    is_at_target: NDArray[np.bool_]
    objectives: CampaignObjectives

    @classmethod
    def of(
        cls,
        columns: Columns,
        n_values: int,
        objectives: CampaignObjectives,
        target: str | None,
        measured_again: Mapping[int, str],
    ) -> Results:
        """Return the results of a ledger.

        Args:
            columns: ``candidate_id``, ``values`` and ``fidelity`` of the latest answers, see ``ledger.columns``.
            n_values: number of values that the oracle measures.
            objectives: what the campaign optimises and bounds.
            target: the target fidelity; None if the campaign does not choose fidelities.
            measured_again: the object of each candidate of which there are several measurements.
        """
        is_at_target = np.ones(len(columns["candidate_id"]), dtype=bool)
        if target is not None:
            is_at_target = np.array([fidelity == target for fidelity in columns["fidelity"]], dtype=bool)
        ids = np.array(columns["candidate_id"], dtype=np.int64)
        rows = zip(columns["candidate_id"], is_at_target, strict=True)
        keys = [measured_again.get(id_, id_) if counts else id_ for id_, counts in rows]
        values = matrix(columns["values"], n_values)
        # ledgers of earlier releases have values that no model can learn from; for the campaign they are failures
        values = np.where(np.abs(values) <= LARGEST, values, np.nan)
        return cls(ids, means(keys, values, columns["censored"]), is_at_target, objectives)

    @property
    def values(self) -> Floats:
        """The values of the answers, n x m."""
        return self.means.values

    @property
    def rows(self) -> Rows:
        """The rows of the answers that count."""
        counts = self.is_at_target & self.means.is_first
        return np.flatnonzero(self.objectives.are_results(self.values, counts, self.means.censored))

    @property
    def n_measured(self) -> int:
        """The number of objects with an optimised value at the target fidelity, within the bounds or not."""
        has_value = np.isfinite(self.values[:, list(self.objectives.indices)]).any(axis=1)
        return int((has_value & self.is_at_target & self.means.is_first).sum())

    def best(self, index: int, goal: Goal) -> Rows:
        """Return the rows of the results with a value, best first; equal ones in the order of the candidates.

        Args:
            index: position of the value.
            goal: its better direction.
        """
        rows = self.rows
        values = self.values[rows, index]
        worse = "<" if goal == "maximise" else ">"  # the side of a value that may be worse than its number
        is_certain = [not ((sides := self.means.censored[row]) and sides[index] == worse) for row in rows]
        rows, values = rows[is_certain], values[is_certain]
        rows, values = rows[np.isfinite(values)], values[np.isfinite(values)]
        ordered: Rows = rows[np.argsort(-values if goal == "maximise" else values, kind="stable")]
        return ordered

    def front(self) -> Rows:
        """Return the rows on the Pareto front of the optimised values, ordered by the first of them."""
        objectives, rows = self.objectives, self.rows
        values = objectives.certain(self.values, self.means.censored)[rows]
        rows, values = rows[np.isfinite(values).all(axis=1)], values[np.isfinite(values).all(axis=1)]
        is_on_front = non_dominated(values, objectives.goals)
        rows, first = rows[is_on_front], values[is_on_front, 0]
        ordered: Rows = rows[np.argsort(-first if objectives.goals[0] == "maximise" else first, kind="stable")]
        return ordered


def matrix(rows: list[list[float | None] | None], n: int) -> Floats:
    """Return lists of n numbers as a matrix, NaN where a list or number is missing."""
    missing: list[float | None] = [None] * n
    return np.array([missing if row is None else row for row in rows], dtype=np.float64).reshape(-1, n)
