"""The choice of a batch from candidates: by the selector, or together with the fidelity of each measurement."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from al_loop.acquisitions.base import MultiFidelityAcquisition
from al_loop.campaign.candidates import CandidatePool
from al_loop.campaign.preparation import CampaignParts
from al_loop.campaign.round_state import RoundState
from al_loop.features.base import describable
from al_loop.modelling.fidelity_selection import BatchLimits, select_with_fidelities
from al_loop.modelling.fitted import FittedModels
from al_loop.selectors.base import SelectionContext

_WHOLE_SHARE = 8  # of the first batch's calls for one object that is measured at every fidelity


def first_calls(objects: Sequence[tuple[str, str]], n: int, fidelities: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the calls of a first batch: some objects at each fidelity, and the others at the cheapest.

    Args:
        objects: new objects, each with its origin.
        n: number of calls.
        fidelities: names of the fidelities, cheapest first.

    Returns:
        Object, origin and fidelity of each call.
    """
    n_whole = max(min(2, n), n // _WHOLE_SHARE)
    calls = [(name, origin, fidelity) for name, origin in objects[:n_whole] for fidelity in fidelities]
    calls += [(name, origin, fidelities[0]) for name, origin in objects[n_whole:]]
    return calls[:n]


def pick(
    parts: CampaignParts,
    models: FittedModels,
    pool: CandidatePool,
    limits: BatchLimits,
    state: RoundState,
    seed: int,
) -> list[tuple[int, int]]:
    """Return the rows of a pool that become the batch, each with the index of its fidelity.

    Args:
        parts: the parts of the campaign.
        models: the fitted models.
        pool: the candidates.
        limits: when the batch is full.
        state: of the campaign.
        seed: of random choices.
    """
    fidelities = parts.fidelities
    if not fidelities.are_several:
        context = _selection(parts, models, pool, limits.n, state.tied(), seed)
        return [(row, 0) for row in parts.selector.select(context)]
    levels = torch.arange(len(fidelities))
    highest_levels = state.highest_levels
    is_open = torch.stack([levels > highest_levels.get(name, -1) for name in pool.objects])
    acquisition = parts.acquisition
    assert isinstance(acquisition, MultiFidelityAcquisition)
    return select_with_fidelities(models, acquisition, pool.X, is_open, fidelities.costs, limits)


def _selection(
    parts: CampaignParts, models: FittedModels, pool: CandidatePool, n: int, tied: Sequence[str], seed: int
) -> SelectionContext:
    return SelectionContext(
        n=n,
        scores=pool.scores,
        X=pool.X,
        similarity=parts.features.similarity,
        X_pending=models.X_pending,
        objects=pool.objects,
        pending_objects=models.pending,
        rescore=lambda picked, rows: models.rescore(pool.X[list(picked)], pool.X[list(rows)]),
        predict=models.mean_and_variance,
        draw=models.draw,
        seed=seed,
        X_best=parts.features(describable(parts.features, tied)),
    )
