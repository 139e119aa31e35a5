"""The candidates of a round: new acceptable objects, with their features and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from al_loop.campaign.evolved import evolved
from al_loop.campaign.executor import SamplerTraining
from al_loop.campaign.preparation import CampaignParts
from al_loop.campaign.reaching import Reached, Reaching
from al_loop.campaign.round_state import RoundState
from al_loop.environments.base import Environment
from al_loop.errors import counted
from al_loop.features.base import describable, refusals
from al_loop.gflownet.neighbours import Neighbourhood
from al_loop.gflownet.random_objects import random_objects
from al_loop.modelling.distinct import Distinct
from al_loop.modelling.fitted import FittedModels
from al_loop.seeding import derive_seed
from al_loop.system import stopping

_CHUNK = 8192  # objects scored at once
_MOST_PROMISING = 2048  # objects of a list that the selector sees, at least
_N_EXPLAINED = 8  # draws of random objects by which constraints that nothing meets are explained
_RANDOM_DRAW = 128  # random objects drawn at once
_FIRST_DRAWS = 16  # draws of an energy's sampler for a first batch
_NEAR_DRAWS, _NEAR_SIZE = 16, 128  # draws near seeds and good objects, and moves of each
_N_GOOD = 64  # of the sampler's best objects, near which to look
_N_TESTED = 1024  # random objects by which it is known whether these can meet the constraints at all
_RARE = 1e-3  # share of random objects that meet the constraints, below which the sampler is trained towards them
_N_KEPT = 4096  # drawn objects by which a shortage is explained
_MOST_DRAWS = 400  # times the number of requested objects, after which the space counts as exhausted


@dataclass(frozen=True)
class CandidatePool:
    """Objects among which a batch is selected; row i of each field belongs to the same object.

    Args:
        objects: the objects, n.
        origins: where each comes from, n: ``sampler``, ``pool`` (a list of all objects), ``random``,
            ``seed``, ``nearby`` (built from a seed or a good object), ``evolved`` and ``library`` (by
            ``sampler.evolution``), ``reached`` (drawn by the sampler after a training towards the constraints),
            ``energy``, or ``remeasured`` (an earlier batch).
        X: their features, n x d.
        scores: how much measuring each is worth, n; larger is better.
        levels: index of the fidelity at which each is to be measured, n.
    """

    objects: tuple[str, ...]
    origins: tuple[str, ...]
    X: Tensor
    scores: Tensor
    levels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.objects)

    def take(self, rows: Sequence[int]) -> CandidatePool:
        """Return the pool of some rows, in that order; a row may be taken several times."""
        return CandidatePool(
            tuple(self.objects[i] for i in rows),
            tuple(self.origins[i] for i in rows),
            self.X[list(rows)],
            self.scores[list(rows)],
            tuple(self.levels[i] for i in rows),
        )

    def followed_by(self, other: CandidatePool) -> CandidatePool:
        """Return a pool of these objects and then the others."""
        return CandidatePool(
            self.objects + other.objects,
            self.origins + other.origins,
            torch.cat([self.X, other.X]),
            torch.cat([self.scores, other.scores]),
            self.levels + other.levels,
        )

    def at(self, levels: Sequence[int]) -> CandidatePool:
        """Return the same objects, to be measured at other fidelities."""
        return replace(self, levels=tuple(levels))


def _different(pool: CandidatePool, distinct: Distinct, n: int) -> CandidatePool:
    """Return the candidates that are far from good objects and from each other, and others only as far as n lack.

    Args:
        pool: the candidates.
        distinct: the good objects.
        n: size of the batch that is to be selected.
    """
    order = pool.scores.argsort(descending=True, stable=True).tolist()
    far, near = list[int](), list[int]()
    for row, is_near in zip(order, distinct.is_near(pool.X[order]).tolist(), strict=True):
        (near if is_near else far).append(row)
    chosen = dict.fromkeys(far[i] for i in distinct.thinned(pool.X[far], n))
    rest = [row for row in [*far, *near] if row not in chosen]
    return pool.take([*chosen, *rest[: n - len(chosen)]])


class CandidateSource:
    """Draws new acceptable objects: from the trained sampler, at random, or from the list of all objects.

    Args:
        parts: the parts of the campaign.
        training: the trained sampler; None where the environment lists all objects.
    """

    def __init__(self, parts: CampaignParts, training: SamplerTraining | None) -> None:
        self._parts, self._training, self._seed = parts, training, parts.config.seed
        #: the outcome of a training towards the constraints, once there was one
        self.reached: Reached | None = None
        self._drawn: dict[str, None] = {}  # objects of the last draws, acceptable or not

    def pool(
        self,
        number: int,
        models: FittedModels,
        n: int,
        closed: Set[str],
        proposed: Set[str],
        state: RoundState | None = None,
    ) -> CandidatePool | None:
        """Return candidates of a round, or None if there is no new acceptable object.

        Args:
            number: the round.
            models: the fitted models, for the scores.
            n: size of the batch that is to be selected.
            closed: objects that need not be measured again.
            proposed: all objects that were proposed so far.
            state: of the campaign, for evolution and the diversity filter; None: neither is used.
        """
        self._drawn.clear()
        distinct = None if state is None else self._distinct(state)
        if self._training is not None:
            found = dict.fromkeys(self._sampled(self._training, number, n, closed), "sampler")
            if self._parts.seeds.objects:
                near = self._nearby(self._parts.config.sampler.pool // 2, number, closed | set(found))
                found |= dict.fromkeys(near, "nearby")
            if self._parts.evolution is not None and state is not None:
                found |= evolved(self._parts, models, state.ranked(), list(found), closed, number, distinct)
            if len(found) < n:  # a sampler that has collapsed must not end the campaign
                found |= dict.fromkeys(self.random(n - len(found), proposed | set(found)), "random")
            if len(found) < n and len(self._parts.constraints):
                found |= dict.fromkeys(self._nearby(n - len(found), number, proposed | set(found)), "nearby")
        else:
            found = dict.fromkeys(self._most_promising(models, max(_MOST_PROMISING, 16 * n), closed), "pool")
        names = describable(self._parts.features, list(found))
        if not names:
            return None
        X, target = self._parts.features(names), len(self._parts.fidelities) - 1
        origins = tuple(found[name] for name in names)
        pool = CandidatePool(tuple(names), origins, X, models.scores(X), (target,) * len(names))
        return pool if distinct is None else _different(pool, distinct, n)

    def _distinct(self, state: RoundState) -> Distinct | None:
        """Return the good objects that were measured, if the campaign looks for others than these."""
        settings, features = self._parts.config.diversity_filter, self._parts.features
        if settings is None:
            return None
        good = describable(features, state.good(settings.good))
        return Distinct(features(good), features.similarity, settings.distance)

    def again(self, models: FittedModels, names: Sequence[str]) -> CandidatePool:
        """Return earlier objects, to be measured again at the target fidelity.

        Args:
            models: the fitted models, for the scores.
            names: the objects.
        """
        X, target = self._parts.features(names), len(self._parts.fidelities) - 1
        return CandidatePool(tuple(names), ("remeasured",) * len(names), X, models.scores(X), (target,) * len(names))

    def can_be_proposed(self, name: str) -> bool:
        """Return whether an object from any source is admitted, satisfies the constraints and has features."""
        return self._parts.environment.admits([name])[0] and bool(self._proposable([name], frozenset()))

    def random(self, n: int, closed: Set[str], on_accepted: Callable[[], object] = lambda: None) -> list[str]:
        """Return up to n new acceptable objects, drawn at random.

        Args:
            n: number of objects.
            closed: objects that are left out.
            on_accepted: called for each object.
        """
        generator = torch.Generator().manual_seed(derive_seed(self._seed, len(closed), "random"))
        return self._new(self._random_draws(max(_MOST_DRAWS * n // _RANDOM_DRAW, 4), generator), n, closed, on_accepted)

    def first(self, n: int, closed: Set[str], on_accepted: Callable[[], object]) -> list[tuple[str, str]]:
        """Return up to n new acceptable objects for the first batch, each with its origin.

        They are the seeds and objects near them. Without seeds they are random, or drawn by an energy's sampler as far
        as that finds enough of them. Where random objects hardly ever meet the constraints, the sampler is trained
        towards these first.

        Args:
            n: number of objects.
            closed: objects that are left out.
            on_accepted: called for each object.
        """
        self._drawn.clear()
        source, seeds = self._parts.first_source, self._parts.seeds.objects
        found: dict[str, str] = {}

        def add(draw: Callable[[int, Set[str]], Iterable[str]], origin: str) -> None:
            if len(found) < n:
                found.update(dict.fromkeys(draw(n - len(found), closed | set(found)), origin))

        if seeds:
            add(lambda k, known: self._new([seeds], k, known, on_accepted), "seed")
        if source is not None:
            draws = (source(_RANDOM_DRAW, derive_seed(self._seed, "first", i)) for i in range(_FIRST_DRAWS))
            add(lambda k, known: self._new(draws, k, known, on_accepted), "energy")
        if seeds and self._training is not None:
            add(lambda k, known: self._nearby(k, 0, known, on_accepted), "nearby")
        add(lambda k, known: self.random(k, known, on_accepted), "random")
        return list(found.items())

    def must_reach(self, n: int) -> bool:
        """Return whether random objects hardly ever meet the constraints, so that the sampler has to be trained first.

        Args:
            n: number of objects that the first batch lacks, since random ones were not enough; 0: that is not known.
        """
        if self._training is None or not len(self._parts.constraints):
            return False
        draws_none = bool(self._parts.seeds.objects) or not self._parts.config.rounds.initial
        return n > 0 or (draws_none and self._are_rare)

    def reach(self, n: int, closed: Set[str], on_step: Callable[[str], object]) -> list[tuple[str, str]]:
        """Train the sampler towards the constraints, and return new acceptable objects.

        Args:
            n: number of objects.
            closed: objects that are left out.
            on_step: called after each training step, with a detail to show.

        Returns:
            Up to n new acceptable objects, each with its origin.
        """
        assert self._training is not None
        self.reached = Reaching(self._parts, self._training).run(n, closed, on_step)
        self._see(self.reached.drawn)
        return [(name, "reached") for name in self.reached.objects[:n]]

    @cached_property
    def _are_rare(self) -> bool:
        """Return whether random objects hardly ever meet the constraints."""
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "rare"))
        names = [name for objects in self._random_draws(_N_TESTED // _RANDOM_DRAW, generator) for name in objects]
        return len(self._parts.constraints.acceptable(names)) <= _RARE * len(names)

    def _nearby(
        self, n: int, number: int, closed: Set[str], on_accepted: Callable[[], object] = lambda: None
    ) -> list[str]:
        """Return up to n new acceptable objects, built by moves from the seeds and the sampler's best objects."""
        environment, constraints = self._parts.environment, self._parts.constraints
        good = [] if number == 0 or self._training is None else self._training.best_seen()[:_N_GOOD]
        starts = _states_of(environment, dict.fromkeys([*self._parts.seeds.objects, *good]))
        if starts is None or environment.random_policy or n < 1:
            return []
        seed = derive_seed(self._seed, number, "nearby")
        walk = Neighbourhood(environment, starts, constraints.violation, seed)
        return self._new(walk.draws(_NEAR_DRAWS, _NEAR_SIZE), n, closed, on_accepted)

    def shortage(self) -> str | None:
        """Return how many of the last draws' objects meet each constraint; None if some of them meet all.

        It explains why no new object was found: where some objects meet all constraints, these are known already.
        """
        constraints, names = self._parts.constraints, list(self._parts.environment.objects or self._drawn)
        if not len(constraints) or not names or constraints.acceptable(names):
            return None
        trained = ", also by a sampler that was trained towards them," if self.reached is not None else ""
        which = f"{counted(len(names), 'different object')} that were drawn{trained}"
        return f"none of {which} meets all of them: {constraints.pass_rates(names)}"

    def why_none(self) -> str:
        """Return, for a message, why no object was found for a first batch: its constraints, or its features."""
        names, features = self.drawn(), self._parts.features
        acceptable = list(dict.fromkeys(self._parts.constraints.acceptable(names)))
        if acceptable and not describable(features, acceptable):
            reasons = "; ".join(dict.fromkeys(refusals(features)[name] for name in acceptable))
            return f"features: none of {counted(len(acceptable), 'acceptable object')} has features: {reasons:.300}"
        return f"constraints: {self._parts.constraints.explain(names)}"

    def pass_rates(self) -> str:
        """Return how many of the last draws' objects meet each constraint; empty if there is none."""
        if not len(self._parts.constraints) or not self._drawn:
            return ""
        return self._parts.constraints.pass_rates(list(self._drawn))

    def _see(self, names: Iterable[str]) -> None:
        """Remember drawn objects, by which a shortage is explained."""
        for name in names:
            if len(self._drawn) < _N_KEPT:
                self._drawn[name] = None

    def _new(
        self, draws: Iterable[Sequence[str]], n: int, closed: Set[str], on_accepted: Callable[[], object]
    ) -> list[str]:
        """Return the first n new acceptable objects of some draws."""
        closed = set(closed)
        accepted: list[str] = []
        for objects in draws:
            names = self._acceptable(objects, closed)
            while names and len(accepted) < n:  # features are computed for no more objects than are needed
                needed, names = names[: n - len(accepted)], names[n - len(accepted) :]
                for name in describable(self._parts.features, needed):
                    accepted.append(name)
                    on_accepted()
            stopping.look()
            closed.update(accepted)
            if len(accepted) == n:
                break
        return accepted

    def drawn(self) -> list[str]:
        """Return some random objects, acceptable or not."""
        generator = torch.Generator().manual_seed(derive_seed(self._seed, 0, "random"))
        return [name for objects in self._random_draws(_N_EXPLAINED, generator) for name in objects]

    def _random_draws(self, n: int, generator: torch.Generator) -> Iterator[list[str]]:
        """Yield 128 objects at a time: n times from random actions, or each object of a list once."""
        environment = self._parts.environment
        if environment.objects is None:
            for _ in range(n):
                yield random_objects(environment, _RANDOM_DRAW, generator)
        else:
            for part in torch.randperm(len(environment.objects), generator=generator).split(_RANDOM_DRAW):
                yield [environment.objects[i] for i in part.tolist()]

    def _sampled(self, training: SamplerTraining, number: int, n: int, closed: Set[str]) -> list[str]:
        """Return new acceptable objects from the sampler, at least n if it can draw as many."""
        size = self._parts.config.sampler.pool
        # the best objects of the training were drawn by the sampler, too
        objects = dict.fromkeys(self._proposable(training.best_seen(), closed))
        for attempt in range(max(_MOST_DRAWS * n // size, 1)):
            stopping.look()
            draw = training.draw(size, seed=derive_seed(self._seed, number, "pool", attempt))
            objects |= dict.fromkeys(self._proposable(draw, closed))
            if len(objects) >= n:
                break
        return list(objects)

    def _most_promising(self, models: FittedModels, n: int, closed: Set[str]) -> list[str]:
        """Return the n new acceptable objects of the list with the highest scores, in the order of the list."""
        names = self._acceptable(self._parts.environment.objects or (), closed)
        if len(names) <= n:
            return names
        features, described, scores = self._parts.features, list[str](), []
        for i in range(0, len(names), _CHUNK):
            stopping.look()
            part = describable(features, names[i : i + _CHUNK])
            described += part
            scores.append(models.scores(features(part)))
        best = torch.cat(scores).topk(min(n, len(described))).indices
        return [described[i] for i in sorted(best.tolist())]

    def _proposable(self, objects: Sequence[str], closed: Set[str]) -> list[str]:
        """Return the distinct objects that are not closed, satisfy the constraints and have features."""
        return describable(self._parts.features, self._acceptable(objects, closed))

    def _acceptable(self, objects: Sequence[str], closed: Set[str]) -> list[str]:
        """Return the distinct objects that are not closed and satisfy the constraints."""
        self._see(objects)
        new = [o for o in dict.fromkeys(objects) if o not in closed]
        accepted: list[str] = []
        for i in range(0, len(new), _CHUNK):
            stopping.look()
            accepted += self._parts.constraints.acceptable(new[i : i + _CHUNK])
        return accepted


def _states_of(environment: Environment, names: Iterable[str]) -> Tensor | None:
    """Return the terminal states of the objects that are in the space; None if none is."""
    states = []
    for name in names:
        try:
            states.append(environment.encode([name]))
        except ValueError:
            continue
    return torch.cat(states) if states else None
