"""One campaign, simulated with its own models, acquisition and selector on an imagined oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_loop.campaign.candidates import CandidatePool
from al_loop.campaign.picking import first_calls, pick
from al_loop.campaign.preparation import CampaignParts
from al_loop.campaign.round_state import RoundState
from al_loop.features.base import describable
from al_loop.gflownet.searches.base import Parents, SearchContext
from al_loop.gflownet.searches.genetic import Genetic
from al_loop.ledger import Candidate, Import, Observation
from al_loop.ledger.records import RoundRow
from al_loop.modelling.fidelity_selection import BatchLimits
from al_loop.modelling.fitted import FittedModels
from al_loop.oracles.base import Outcome
from al_loop.planning.truths import Truth, imagined_outcome
from al_loop.seeding import derive_seed
from al_loop.system import stopping

Array = NDArray[np.float64]

_MOST_PROMISING = 512  # candidates that the selector sees, at least
_MOST_WEIGHED = 64  # the same, where the selector chooses fidelities, too
_N_PARENTS, _N_VARIANTS = 24, 64  # best objects that are varied in each round, and their variants
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Variant:
    """A way to lead the campaign.

    Args:
        batch_size: objects measured in a round.
        initial: random objects measured first.
        earlier: what was measured before.
    """

    batch_size: int
    initial: int
    earlier: tuple[Import, ...] = ()


class Space:
    """The candidates of simulated campaigns: a pool drawn once, and variants of good objects.

    Args:
        parts: the parts of the campaign.
        pool: objects of the space.
        is_closed: whether these are all objects there are.
    """

    def __init__(self, parts: CampaignParts, pool: Sequence[str], *, is_closed: bool = False) -> None:
        self._parts, self.pool = parts, tuple(pool)
        self._rows = {name: i for i, name in enumerate(pool)}
        self._X = parts.features(list(pool))
        self._search = Genetic(mutation=0.2)
        self._is_closed = is_closed or not parts.has_sampler

    def features(self, objects: Sequence[str]) -> Tensor:
        """Return the features of objects: n x d."""
        rows = [self._rows.get(name, -1) for name in objects]
        return self._X[rows] if rows and min(rows) >= 0 else self._parts.features(list(objects))

    def variants(self, best: Sequence[str], closed: frozenset[str], seed: int) -> list[str]:
        """Return new acceptable variants of good objects: crossed with one another, and mutated."""
        environment = self._parts.environment
        encodable = [name for name in best if name in self._rows or environment.is_valid(name)][:_N_PARENTS]
        if self._is_closed or not encodable or environment.random_policy:
            return []
        generator = torch.Generator().manual_seed(seed)
        states = environment.encode(encodable)
        parents = states[torch.randint(len(states), (_N_VARIANTS,), generator=generator)]
        children = self._search.propose(SearchContext(environment, None), Parents(parents), generator)
        names = [n for n in dict.fromkeys(environment.decode(children.terminal)) if n not in closed]
        names = self._parts.constraints.acceptable([n for n in names if n not in self._rows])
        return describable(self._parts.features, names)


class Simulation:
    """A campaign on an imagined oracle; ``run`` leads it to its end.

    Args:
        parts: the parts of the campaign.
        space: its candidates.
        truth: the imagined oracle.
        variant: how it is led.
        seed: of its random choices.
    """

    def __init__(self, parts: CampaignParts, space: Space, truth: Truth, variant: Variant, seed: int) -> None:
        self._parts, self._space, self._truth, self._variant, self._seed = parts, space, truth, variant, seed
        self._rounds: list[RoundRow] = []
        self._candidates: list[Candidate] = []
        self._observations: list[Observation] = []
        self._spent = 0.0
        self._best = math.nan

    def run(self, n_calls: int) -> Array:
        """Return the best value after the cost of 1, 2, ..., n_calls calls at the target; NaN where there is none.

        With several objectives, this is the hypervolume.
        """
        target_cost = self._parts.fidelities.costs[-1] or 1.0
        budget, curve = n_calls * target_cost, np.full(n_calls, np.nan)
        number = 0
        while self._spent < budget - 1e-9:
            stopping.look()
            calls = self._first() if number == 0 else self._next(number, budget)
            if not calls and not (number == 0 and self._observations):
                break
            progress = self._measure(number, calls)
            if self._parts.objectives.are_several:
                progress = [(self._spent, self._hypervolume())]
            for spent, best in progress:
                curve[max(math.ceil(spent / target_cost - 1e-9) - 1, 0) :] = best
            number += 1
        return curve

    def state(self) -> RoundState:
        """Return what a ledger would say."""
        parts = self._parts
        return RoundState(parts.objectives, parts.fidelities, self._rounds, self._candidates, self._observations)

    # -- a round -------------------------------------------------------------------------------------------------------

    def _first(self) -> list[tuple[str, str, str]]:
        """Record what was measured before, and return the calls of the random first batch."""
        for position, i in enumerate(self._variant.earlier):
            self._record(0, position, (i.object, "imported", i.fidelity), i.answer.outcome)
        known = {i.object for i in self._variant.earlier}
        names = [name for name in self._space.pool if name not in known]
        order = np.random.default_rng(derive_seed(self._seed, "first")).permutation(len(names))
        found = [(names[i], "random") for i in order[: self._variant.initial].tolist()]
        return first_calls(found, self._variant.initial, self._parts.fidelities.names)

    def _next(self, number: int, budget: float) -> list[tuple[str, str, str]]:
        """Return the calls of a later batch, as the campaign would choose them; none if the space is exhausted."""
        parts, state = self._parts, self.state()
        if not any(o.values is not None for o in self._observations):
            return self._random(state)
        factors = state.recalibration() if parts.config.recalibrate else [1.0] * len(parts.objectives)
        models = parts.fitter.fit(self._observations, [], factors)
        pool = self._pool(number, models, state)
        if pool is None:
            return []
        left = budget - self._spent
        n = min(self._variant.batch_size, math.ceil(left / min(parts.fidelities.costs or (1.0,)) - 1e-9))
        limits = BatchLimits(n, min(parts.config.rounds.batch_cost or math.inf, left))
        picks = pick(parts, models, pool, limits, state, derive_seed(self._seed, number, "select"))
        batch = pool.take([row for row, _ in picks]).at([level for _, level in picks])
        means, stds = models.predict(batch.X, batch.levels)
        nearest = parts.features.similarity(batch.X, models.X).max(dim=1).values
        info: dict[str, Any] = {
            "predicted": {"mean": means.tolist(), "std": stds.tolist()},
            "nearest": nearest.tolist(),
            "factors": factors,
        }
        self._rounds.append(RoundRow(number, _EPOCH, 0, {}, info))
        names = parts.fidelities.names
        return [
            (o, origin, names[level])
            for o, origin, level in zip(batch.objects, batch.origins, batch.levels, strict=True)
        ]

    def _random(self, state: RoundState) -> list[tuple[str, str, str]]:
        names = [name for name in self._space.pool if name not in state.proposed]
        found = [(name, "random") for name in names[: self._variant.batch_size]]
        return first_calls(found, self._variant.batch_size, self._parts.fidelities.names)

    def _pool(self, number: int, models: FittedModels, state: RoundState) -> CandidatePool | None:
        """Return the most promising candidates of the space."""
        closed = state.proposed_at_target
        seed = derive_seed(self._seed, number, "variants")
        names = [name for name in self._space.pool if name not in closed]
        rows = [self._space.features(names)] if names else []
        children = self._space.variants(state.ranked(), closed, seed)
        if children:
            rows.append(self._parts.features(children))
        if not rows:
            return None
        objects, X = [*names, *children], torch.cat(rows)
        scores = models.scores(X)
        n = max(_MOST_PROMISING, 8 * self._variant.batch_size)
        if self._parts.fidelities.are_several:  # each pick weighs every candidate at every fidelity
            n = _MOST_WEIGHED
        best = sorted(scores.nan_to_num(nan=-math.inf).topk(min(n, len(scores))).indices.tolist())
        target = len(self._parts.fidelities) - 1
        return CandidatePool(
            tuple(objects[i] for i in best), ("pool",) * len(best), X[best], scores[best], (target,) * len(best)
        )

    # -- answers -------------------------------------------------------------------------------------------------------

    def _measure(self, number: int, calls: Sequence[tuple[str, str, str]]) -> list[tuple[float, float]]:
        """Record the answers to calls; return the cost spent and the best value after each."""
        fidelities = self._parts.fidelities
        answers: dict[tuple[str, int], tuple[float, ...] | None] = {}
        levels = [fidelities.level(fidelity) for _, _, fidelity in calls]
        for level in set(levels):
            names = list(dict.fromkeys(name for (name, _, _), own in zip(calls, levels, strict=True) if own == level))
            measured = self._truth.measure(names, level)
            answers.update({(name, level): values for name, values in zip(names, measured, strict=True)})
        if number == 0:
            self._rounds.append(RoundRow(0, _EPOCH, 0, {}, {}))
        progress = []
        for position, (call, level) in enumerate(zip(calls, levels, strict=True)):
            self._record(number, position, call, imagined_outcome(answers[call[0], level]))
            self._spent += fidelities.costs[level] or 1.0
            progress.append((self._spent, self._best))
        return progress

    def _record(self, number: int, position: int, call: tuple[str, str, str], outcome: Outcome) -> None:
        """Record a candidate of a round and its answer, as a ledger would."""
        name, origin, fidelity = call
        candidate = Candidate(len(self._candidates) + 1, number, position, name, origin, fidelity=fidelity)
        self._candidates.append(candidate)
        self._observations.append(
            Observation(
                name,
                outcome.values,
                None if outcome.failure is None else outcome.failure.kind,
                number,
                number,
                noise=outcome.noise,
                fidelity=fidelity,
                censored=outcome.censored,
                origin=origin,
                candidate_id=candidate.id,
            )
        )
        if self._parts.fidelities.is_target(fidelity):
            self._count(outcome.values)

    def _count(self, values: tuple[float, ...] | None) -> None:
        """Compare a measurement at the target with the best so far."""
        objectives = self._parts.objectives
        if values is None or objectives.are_several or not bool(objectives.are_results([values], [True])[0]):
            return
        value = objectives.optimised(values)[0]
        is_better = math.isnan(self._best) or objectives.signs[0] * (value - self._best) > 0
        self._best = value if is_better else self._best

    def _hypervolume(self) -> float:
        """Return the hypervolume so far."""
        state = self.state()
        values = state.valid_values()
        return state.hypervolume(values) if values else math.nan
