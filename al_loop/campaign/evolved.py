"""Candidates that a genetic algorithm finds under the acquisition, at no oracle call."""

from __future__ import annotations

import random
from collections.abc import Sequence, Set
from functools import partial

from al_loop.campaign.preparation import CampaignParts
from al_loop.features.base import describable
from al_loop.modelling.distinct import Distinct
from al_loop.modelling.fitted import FittedModels
from al_loop.seeding import derive_seed
from al_loop.system import stopping

_PENALTY = 10.0  # of an object equal to a good one, in units of the acquisition's spread
_THINNED = 1000  # best objects among which those are selected that are parents together


def evolved(
    parts: CampaignParts,
    models: FittedModels,
    ranked: Sequence[str],
    drawn: Sequence[str],
    closed: Set[str],
    number: int,
    distinct: Distinct | None = None,
) -> dict[str, str]:
    """Return new acceptable objects of ``sampler.evolution`` with their origins, ``evolved`` or ``library``.

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
            scores = scores - _PENALTY * models.scale.spread * distinct.excess(X)
        if bonus:
            scores = scores + bonus * models.mean_and_variance(X)[1].clamp_min(0).sqrt().to(scores)
        return [float(s) for s in scores]

    def acceptable(objects: Sequence[str]) -> list[str]:
        accepted = parts.constraints.acceptable(list(objects))
        admitted = parts.environment.admits(accepted)
        return describable(
            features, [name for name, is_admitted in zip(accepted, admitted, strict=True) if is_admitted]
        )

    def thin(objects: Sequence[str]) -> list[str]:
        assert distinct is not None
        best = list(objects[:_THINNED])
        return [best[row] for row in distinct.thinned(features(best), evolution.population)]

    immigrants = [name for name in acceptable(evolution.immigrants(seed)) if name not in closed]
    fresh = list(dict.fromkeys([*drawn, *immigrants]))
    scores = score(fresh) if fresh else []
    best_fresh = [name for _, name in sorted(zip(scores, fresh, strict=True), key=lambda pair: -pair[0])]
    n_measured = max(evolution.population - len(fresh), evolution.population // 2)
    if distinct is not None:  # one of each series, at random
        ranked = thin(describable(features, ranked[:_THINNED]))
        random.Random(seed).shuffle(ranked)
    measured = describable(features, ranked[:n_measured])
    starts = list(dict.fromkeys([*measured, *best_fresh[: evolution.population - len(measured)]]))
    if not starts:
        return {}
    children: list[str] = []
    for share, bonus in enumerate(parts.selector.bonuses):  # each share of a batch has a score of its own
        own_seed = derive_seed(seed, share) if share else seed
        spread_out = None if distinct is None else thin
        children += evolution.evolve(starts, partial(score, bonus=bonus), acceptable, own_seed, spread_out)
    candidates = set(drawn)
    origins = {**dict.fromkeys(children, "evolved"), **dict.fromkeys(immigrants, "library")}
    return {name: origin for name, origin in origins.items() if name not in closed and name not in candidates}
