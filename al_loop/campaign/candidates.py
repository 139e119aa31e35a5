"""The candidates of a round: new acceptable objects, with their features and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from al_loop.campaign.executor import SamplerTraining
from al_loop.campaign.preparation import CampaignParts
from al_loop.features.base import describable
from al_loop.gflownet.random_objects import random_objects
from al_loop.modelling.fitted import FittedModels
from al_loop.seeding import derive_seed
from al_loop.system import stopping

_CHUNK = 8192  # objects scored at once
_MOST_PROMISING = 2048  # objects of a list that the selector sees, at least
_N_EXPLAINED = 8  # draws of random objects by which constraints that nothing meets are explained
_RANDOM_DRAW = 128  # random objects drawn at once
_FIRST_DRAWS = 16  # draws of an energy's sampler for a first batch
_MOST_DRAWS = 400  # times the number of requested objects, after which the space counts as exhausted


@dataclass(frozen=True)
class CandidatePool:
    """Objects among which a batch is selected; row i of each field belongs to the same object.

    Args:
        objects: the objects, n.
        origins: where each comes from, n: ``sampler``, ``pool`` (a list of all objects), ``random``, or
            ``remeasured`` (an earlier batch).
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


class CandidateSource:
    """Draws new acceptable objects: from the trained sampler, at random, or from the list of all objects.

    Args:
        parts: the parts of the campaign.
        training: the trained sampler; None where the environment lists all objects.
    """

    def __init__(self, parts: CampaignParts, training: SamplerTraining | None) -> None:
        self._parts, self._training, self._seed = parts, training, parts.config.seed

    def pool(
        self, number: int, models: FittedModels, n: int, closed: Set[str], proposed: Set[str]
    ) -> CandidatePool | None:
        """Return candidates of a round, or None if there is no new acceptable object.

        Args:
            number: the round.
            models: the fitted models, for the scores.
            n: size of the batch that is to be selected.
            closed: objects that need not be measured again.
            proposed: all objects that were proposed so far.
        """
        if self._training is not None:
            names = self._sampled(self._training, number, n, closed)
            origins = ["sampler"] * len(names)
            if len(names) < n:  # a sampler that has collapsed must not end the campaign
                names += self.random(n - len(names), proposed | set(names))
                origins += ["random"] * (len(names) - len(origins))
        else:
            names = self._most_promising(models, max(_MOST_PROMISING, 16 * n), closed)
            origins = ["pool"] * len(names)
        described = set(describable(self._parts.features, names))
        origins = [origin for name, origin in zip(names, origins, strict=True) if name in described]
        names = [name for name in names if name in described]
        if not names:
            return None
        X = self._parts.features(names)
        target = len(self._parts.fidelities) - 1
        return CandidatePool(tuple(names), tuple(origins), X, models.scores(X), (target,) * len(names))

    def again(self, models: FittedModels, names: Sequence[str]) -> CandidatePool:
        """Return earlier objects, to be measured again at the target fidelity.

        Args:
            models: the fitted models, for the scores.
            names: the objects.
        """
        X, target = self._parts.features(names), len(self._parts.fidelities) - 1
        return CandidatePool(tuple(names), ("remeasured",) * len(names), X, models.scores(X), (target,) * len(names))

    def can_be_proposed(self, name: str) -> bool:
        """Return whether an object satisfies the constraints and has features."""
        return bool(describable(self._parts.features, self._acceptable([name], frozenset())))

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

        They are random, or drawn by an energy's sampler as far as that finds enough of them.

        Args:
            n: number of objects.
            closed: objects that are left out.
            on_accepted: called for each object.
        """
        source = self._parts.first_source
        drawn: list[str] = []
        if source is not None:
            draws = (source(_RANDOM_DRAW, derive_seed(self._seed, "first", i)) for i in range(_FIRST_DRAWS))
            drawn = self._new(draws, n, closed, on_accepted)
        rest = self.random(n - len(drawn), closed | set(drawn), on_accepted) if len(drawn) < n else []
        return [*((name, "energy") for name in drawn), *((name, "random") for name in rest)]

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
        features = self._parts.features
        objects = dict.fromkeys(describable(features, self._acceptable(training.best_seen(), closed)))
        for attempt in range(max(_MOST_DRAWS * n // size, 1)):
            stopping.look()
            draw = training.draw(size, seed=derive_seed(self._seed, number, "pool", attempt))
            objects.update(dict.fromkeys(describable(features, self._acceptable(draw, closed))))
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

    def _acceptable(self, objects: Sequence[str], closed: Set[str]) -> list[str]:
        """Return the distinct objects that are not closed and satisfy the constraints."""
        new = [o for o in dict.fromkeys(objects) if o not in closed]
        accepted: list[str] = []
        for i in range(0, len(new), _CHUNK):
            stopping.look()
            accepted += self._parts.constraints.acceptable(new[i : i + _CHUNK])
        return accepted
