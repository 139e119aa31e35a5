"""The rows of many measurements to which a model of limited size is fitted."""

from __future__ import annotations

import torch
from torch import Tensor


def informative_rows(Y: Tensor, n: int) -> Tensor:
    """Return the indices of at most n rows, in their order: half the best ones, half from all others, evenly.

    A search needs the model where the best objects are, and needs to know what is bad elsewhere (as the GP-BO baseline
    of the PMO benchmark does).

    Args:
        Y: targets, larger is better, n_rows x m; each column gets its share of the best.
        n: number of rows, at least 2.
    """
    n_rows = len(Y)
    if n_rows <= n:
        return torch.arange(n_rows)
    ranks = Y.argsort(dim=0, descending=True, stable=True).argsort(dim=0)
    best = ranks.min(dim=1).values.argsort(stable=True)[: n // 2]
    is_chosen = torch.zeros(n_rows, dtype=torch.bool)
    is_chosen[best] = True
    others = (~is_chosen).nonzero()[:, 0]
    n_others = n - len(best)
    is_chosen[others[(torch.arange(n_others) * len(others)) // n_others]] = True
    return is_chosen.nonzero()[:, 0]
