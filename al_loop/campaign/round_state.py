"""The state of a campaign, read from the ledger at one moment, and the progress that follows from it."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from al_loop.campaign.preparation import CampaignParts
from al_loop.ledger import Candidate, Ledger, Observation, columns, queries, schema
from al_loop.ledger.records import RoundRow
from al_loop.modelling.fidelities import Fidelities
from al_loop.modelling.objectives import CampaignObjectives
from al_loop.modelling.replicates import means
from al_loop.monitoring import metrics
from al_loop.monitoring.predictions import PastPredictions, match_predictions
from al_loop.monitoring.recalibration import recalibration_factor

_MANY = 10_000  # candidates


@dataclass(frozen=True, eq=False)
class RoundState:
    """The rounds, candidates and observations of a campaign, read once for a phase.

    Args:
        objectives: which of the oracle's values are optimised.
        fidelities: the fidelities at which objects are measured.
        rounds: all rounds, in order.
        candidates: all candidates, in the order in which they were proposed.
        observations: the latest answer to each candidate, in the order of the candidates.
    """

    objectives: CampaignObjectives
    fidelities: Fidelities
    rounds: Sequence[RoundRow]
    candidates: Sequence[Candidate]
    observations: Sequence[Observation]

    @classmethod
    def read(cls, ledger: Ledger, parts: CampaignParts, until: int | None = None) -> RoundState:
        """Return the state of a ledger.

        Args:
            ledger: the campaign's ledger.
            parts: the parts of the campaign.
            until: the largest number of an answer to include; None: all.
        """
        observations = ledger.observations(until=until)
        return cls(parts.objectives, parts.fidelities, ledger.rounds(), ledger.candidates(), observations)

    @cached_property
    def predictions(self) -> Sequence[PastPredictions]:
        """The past predictions of each optimised objective."""
        return match_predictions(self.rounds, self.candidates, self.observations, self.objectives)

    def recalibration(self) -> list[float]:
        """Return the factors of the objectives' standard deviations, from earlier predictions."""
        return [recalibration_factor(p.factor * (p.measured - p.mean) / p.std, p.arrived) for p in self.predictions]

    # -- objects -------------------------------------------------------------------------------------------------------

    @cached_property
    def proposed(self) -> frozenset[str]:
        """All objects that were proposed."""
        return frozenset(c.object for c in self.candidates)

    @cached_property
    def proposed_at_target(self) -> frozenset[str]:
        """The objects that were proposed at the target fidelity, and need not be measured again."""
        return frozenset(c.object for c in self.candidates if self.fidelities.is_target(c.fidelity))

    @cached_property
    def highest_levels(self) -> Mapping[str, int]:
        """The index of the highest fidelity at which each object was proposed."""
        levels: dict[str, int] = {}
        for c in self.candidates:
            levels[c.object] = max(self.fidelities.level(c.fidelity), levels.get(c.object, -1))
        return levels

    def measured(self) -> list[str]:
        """Return the objects that have values, in the order of the candidates."""
        return [o.object for o in self.observations if o.values is not None]

    # -- progress ------------------------------------------------------------------------------------------------------

    def valid_values(self, until_round: int | None = None) -> list[tuple[float, ...]]:
        """Return the optimised values of all objects that count as results, see ``CampaignObjectives.are_results``.

        Several measurements of one object count once, as their mean.

        Args:
            until_round: leaves out what arrived after this round.
        """
        return [values for _, values in self._results(until_round)]

    def _results(self, until_round: int | None = None) -> list[tuple[str, tuple[float, ...]]]:
        """Return the objects that count as results, with their optimised values."""
        arrived = [o for o in self.observations if until_round is None or o.arrived <= until_round]
        measured = [(o, o.values) for o in arrived if o.values is not None]
        if not measured:
            return []
        is_at_target = [self.fidelities.is_target(o.fidelity) for o, _ in measured]
        keys = [(o.object, self.fidelities.level(o.fidelity)) for o, _ in measured]
        mean = means(keys, [values for _, values in measured], [o.censored for o, _ in measured])
        are_results = self.objectives.are_results(mean.values, is_at_target, mean.censored) & mean.is_first
        certain = self.objectives.certain(mean.values, mean.censored)
        rows = np.flatnonzero(are_results & np.isfinite(certain).all(axis=1))
        return [(keys[row][0], tuple(certain[row].tolist())) for row in rows]

    def good(self, value: float) -> list[str]:
        """Return the objects that count as results and are at least as good as a value, in the order of the candidates.

        Args:
            value: of the objective, in its unit.
        """
        sign = self.objectives.signs[0]
        return [name for name, values in self._results() if sign * values[0] >= sign * value]

    def tied(self) -> list[str]:
        """Return the objects that share the best value, in the order of the candidates; none of several objectives."""
        results = [] if self.objectives.are_several else self._results()
        best = max((self.objectives.signs[0] * values[0] for _, values in results), default=None)
        return [name for name, values in results if self.objectives.signs[0] * values[0] == best]

    def ranked(self) -> list[str]:
        """Return the objects that count as results, the best first; of several objectives, the Pareto front first."""
        results = self._results()
        if not self.objectives.are_several:
            sign = self.objectives.signs[0]
            return [name for name, _ in sorted(results, key=lambda result: -sign * result[1][0])]
        is_on_front = metrics.non_dominated([values for _, values in results], self.objectives.goals)
        front = [name for (name, _), is_on in zip(results, is_on_front, strict=True) if is_on]
        return front + [name for (name, _), is_on in zip(results, is_on_front, strict=True) if not is_on]

    def to_remeasure(self, limit: int) -> list[tuple[str, int]]:
        """Return the results to be measured again at the target fidelity, the most important first.

        These are the best first, or of several objectives the Pareto front, first what was measured least; without
        those that have no answer yet.

        Args:
            limit: leaves out what was proposed for this many measurements.

        Returns:
            The objects, each with the number of its measurements so far.
        """
        at_target = [c for c in self.candidates if self.fidelities.is_target(c.fidelity)]
        counts, answered = Counter(c.object for c in at_target), {o.candidate_id for o in self.observations}
        is_open = {c.object for c in at_target if c.id not in answered}
        results = self._results()
        if self.objectives.are_several:
            is_on_front = metrics.non_dominated([values for _, values in results], self.objectives.goals)
            front = [name for (name, _), is_on in zip(results, is_on_front, strict=True) if is_on]
            ordered = sorted(front, key=lambda name: counts[name])
        else:
            sign = self.objectives.signs[0]
            ordered = [name for name, _ in sorted(results, key=lambda result: -sign * result[1][0])]
        return [(name, counts[name]) for name in ordered if counts[name] < limit and name not in is_open]

    @cached_property
    def reference_point(self) -> tuple[float, ...]:
        """The worst values of interest: the config's, or as the first batch suggests, so that hypervolumes compare."""
        if self.objectives.reference_point is not None:
            return self.objectives.reference_point
        first = [o.values for o in self.observations if o.values is not None and o.round == 0]
        optimised = np.array([self.objectives.optimised(values) for values in first], dtype=np.float64)
        if not np.isfinite(optimised).all(axis=1).any():  # no answer has all of them: the ranges of each
            measured = [self.objectives.optimised(o.values) for o in self.observations if o.values is not None]
            optimised = np.stack([np.nanmin(measured, axis=0), np.nanmax(measured, axis=0)])
        return metrics.reference_point(optimised, self.objectives.goals)

    def hypervolume(self, values: Sequence[tuple[float, ...]]) -> float:
        """Return the hypervolume that values dominate, in the product of their units; 0 without values."""
        return metrics.hypervolume(values, self.objectives.goals, self.reference_point) if values else 0.0

    def records(self) -> list[float]:
        """Return the record after each closed round, see ``records_of``."""
        return records_of(self.rounds, self.objectives)


class RoundStates:
    """The states of an open campaign; one that nothing has changed since is not read again.

    Args:
        ledger: the campaign's ledger.
        parts: the parts of the campaign.
    """

    def __init__(self, ledger: Ledger, parts: CampaignParts) -> None:
        self._ledger, self._parts = ledger, parts
        self._state: tuple[tuple[int, ...], RoundState] | None = None

    def current(self) -> RoundState:
        """Return the state of the ledger now."""
        return self._read()[1]

    def until(self, n_answers: int) -> RoundState:
        """Return the current rounds and candidates, with the answers up to a number."""
        version, state = self._read()
        if version[0] == n_answers:
            return state
        if not self._ledger.read(lambda c: columns.are_additions(c, n_answers)):
            return RoundState.read(self._ledger, self._parts, n_answers)
        later = {o.candidate_id for o in self._ledger.read(lambda c: queries.observations(c, version[0], n_answers))}
        return replace(state, observations=[o for o in state.observations if o.candidate_id not in later])

    def _read(self) -> tuple[tuple[int, ...], RoundState]:
        version = self._ledger.read(columns.version)
        if self._state is None or self._state[0] != version:
            # further answers may arrive meanwhile, and belong to the next version
            before = self._state
            state = None if before is None else self._continued(before[0][0], before[1], version[0])
            self._state = (version, state or self._read_all(version[0]))
        return self._state

    def _read_all(self, until: int) -> RoundState:
        state = RoundState.read(self._ledger, self._parts, until)
        if len(state.candidates) > _MANY:
            gc.freeze()  # these records stay, and each full garbage collection would look at all of them
        return state

    def _continued(self, after: int, state: RoundState, until: int) -> RoundState | None:
        """Return a state with what was added since it was read, or None if answers were changed."""
        ledger = self._ledger
        if not ledger.read(lambda c: columns.are_additions(c, after)):
            return None
        closed = [row for row in state.rounds if row.closed is not None]
        last_id = state.candidates[-1].id if state.candidates else 0
        added = ledger.read(lambda c: queries.observations(c, until, after)) if until > after else []
        observations = sorted([*state.observations, *added], key=lambda o: o.candidate_id) if added else None
        return replace(
            state,
            rounds=[*closed, *ledger.read(lambda c: queries.rounds(c, len(closed)))],
            candidates=[
                *state.candidates,
                *ledger.read(lambda c: queries.candidates(c, schema.candidates.c.id > last_id)),
            ],
            observations=observations or state.observations,
        )


def records_of(rounds: Sequence[RoundRow], objectives: CampaignObjectives) -> list[float]:
    """Return the best value so far, or of several objectives the hypervolume, after each closed round.

    Args:
        rounds: all rounds, in order.
        objectives: which of the oracle's values are optimised.

    Returns:
        Records in the oracle's unit, NaN where there was no value yet.
    """
    name = "hypervolume" if objectives.are_several else "best"
    values = [r.metrics[name] for r in rounds if r.metrics is not None]
    return [math.nan if value is None else value for value in values]
