"""Pending objects, counted as measured at their posterior mean."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.surrogates.base import SurrogateModel


@torch.no_grad()
def believe(model: SurrogateModel, X_pending: Tensor, best_f: float) -> tuple[SurrogateModel, float]:
    """Return the model and the best target as if every pending row had been measured at its posterior mean.

    That is the kriging believer (Ginsbourger et al. 2010).

    Args:
        model: the fitted model.
        X_pending: p x d features, p >= 1.
        best_f: the largest target measured.
    """
    means = model.posterior(X_pending.unsqueeze(1)).mean
    return model.condition_on_pending(X_pending), max(best_f, float(means.max()))
