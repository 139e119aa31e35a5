"""Selection of a batch together with the fidelity at which each of its objects is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.acquisitions.base import MultiFidelityAcquisition
from al_loop.modelling.fitted import FittedModels
from al_loop.system import stopping

_MOST_PROMISING = 512  # objects whose value at every fidelity is recomputed after each pick


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is full.

    Args:
        n: largest number of calls.
        cost: cost of its calls, in the oracle's currency, that is enough.
    """

    n: int
    cost: float = math.inf


def at_fidelities(X: Tensor, levels: Sequence[int]) -> Tensor:
    """Append the column of fidelities that a multi-fidelity surrogate expects.

    Args:
        X: features, n x d.
        levels: index of each row's fidelity, n.

    Returns:
        Features with fidelities, n x (d + 1).
    """
    return torch.cat([X, torch.tensor(levels, dtype=X.dtype, device=X.device)[:, None]], dim=1)


def select_with_fidelities(
    models: FittedModels,
    acquisition: MultiFidelityAcquisition,
    X: Tensor,
    is_open: Tensor,
    costs: Sequence[float],
    limits: BatchLimits,
) -> list[tuple[int, int]]:
    """Select objects and their fidelities one after the other, each time the pair of the highest value per cost.

    As long as less than ``acquisition.target_share`` of the cost would be spent at the target, only the target is open.

    Args:
        models: the fitted models of a single objective at several fidelities.
        acquisition: what the models' acquisition function was built by.
        X: features of the candidates, n x d.
        is_open: whether a candidate may be measured at a fidelity, n x fidelities.
        costs: cost of a call at each fidelity, the target last.
        limits: when the batch is full.

    Returns:
        Row of X and index of the fidelity, in the order of picking.
    """
    model, is_open = models.models[0], is_open.clone()
    scores = models.scores(X).masked_fill(~is_open.any(1), -math.inf)
    promising = scores.topk(min(_MOST_PROMISING, len(X))).indices
    picked: list[tuple[int, int]] = []
    spent = spent_at_target = 0.0
    X_pending = models.X_pending
    while len(picked) < limits.n and spent < limits.cost and bool(is_open[promising].any()):
        stopping.look()
        conditioned = model if X_pending is None else model.condition_on_pending(X_pending)
        X_promising = X[promising]
        values = acquisition.per_cost(conditioned, models.build_acquisition(X_pending), costs, X_promising)
        values = values + models.side_terms.log_weight(X_promising)[:, None]
        is_allowed = is_open[promising].clone()
        if spent_at_target < acquisition.target_share * (spent + costs[-1]) and bool(is_allowed[:, -1].any()):
            is_allowed[:, :-1] = False
        values = values.nan_to_num(nan=-math.inf).masked_fill(~is_allowed, -math.inf)
        index, level = divmod(int(values.argmax()), len(costs))
        row = int(promising[index])
        picked.append((row, level))
        is_open[row, : level + 1] = False  # a cheaper measurement would add nothing
        spent += costs[level]
        spent_at_target += costs[level] * (level == len(costs) - 1)
        new = at_fidelities(X[row : row + 1], [level])
        X_pending = new if X_pending is None else torch.cat([X_pending, new])
    return picked
