"""Candidates that a genetic algorithm finds under the acquisition, at no oracle call."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import partial

from al_loop.campaign.preparation import CampaignParts
from al_loop.features.base import describable
from al_loop.modelling.distinct import Distinct
from al_loop.modelling.fitted import FittedModels
from al_loop.seeding import derive_seed
from al_loop.system import stopping

_PENALTY = 1e3  # of an object near a good one, in units of the acquisition's spread


def evolved(
    parts: CampaignParts,
    models: FittedModels,
    ranked: Sequence[str],
    drawn: Sequence[str],
    closed: Set[str],
    number: int,
    distinct: Distinct | None = None,
) -> list[str]:
    """Return new acceptable objects that ``sampler.evolution`` made of measured objects and of draws.

    Half of the first population are the best measured objects, the others the draws and the objects of a library with
    the highest acquisition.

    Args:
        parts: the parts of the campaign.
        models: the fitted models, whose acquisition is the fitness.
        ranked: the measured objects, the best first.
        drawn: new acceptable objects that the sampler drew.
        closed: objects that need not be measured again; they may have children.
        number: of the round.
        distinct: the good objects, near which nothing is wanted.
    """
    evolution, features = parts.evolution, parts.features
    assert evolution is not None
    seed = derive_seed(parts.config.seed, number, "evolution")

    def score(objects: Sequence[str], bonus: float = 0.0) -> list[float]:
        stopping.look()
        X = features(objects)
        scores = models.scores(X)
        if distinct is not None:
            scores = scores - _PENALTY * models.scale.spread * distinct.is_near(X)
        if bonus:
            scores = scores + bonus * models.mean_and_variance(X)[1].clamp_min(0).sqrt().to(scores)
        return [float(s) for s in scores]

    def acceptable(objects: Sequence[str]) -> list[str]:
        return describable(features, parts.constraints.acceptable(list(objects)))

    immigrants = [name for name in acceptable(evolution.immigrants(seed)) if name not in closed]
    fresh = list(dict.fromkeys([*drawn, *immigrants]))
    scores = score(fresh) if fresh else []
    best_fresh = [name for _, name in sorted(zip(scores, fresh, strict=True), key=lambda pair: -pair[0])]
    n_measured = max(evolution.population - len(fresh), evolution.population // 2)
    measured = describable(features, ranked[:n_measured])
    starts = list(dict.fromkeys([*measured, *best_fresh[: evolution.population - len(measured)]]))
    if not starts:
        return []
    children: list[str] = []
    for share, bonus in enumerate(parts.selector.bonuses):  # each share of a batch has a score of its own
        own_seed = derive_seed(seed, share) if share else seed
        children += evolution.evolve(starts, partial(score, bonus=bonus), acceptable, own_seed)
    candidates = set(drawn)
    return [name for name in dict.fromkeys([*immigrants, *children]) if name not in closed and name not in candidates]
