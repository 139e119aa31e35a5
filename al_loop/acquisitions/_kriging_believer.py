"""Pending objects, as the acquisitions take them."""

from __future__ import annotations

import torch
from botorch.models.model import Model
from torch import Tensor


def some(X_pending: Tensor | None) -> Tensor | None:
    """The pending rows, None where there is none of them."""
    return X_pending if X_pending is not None and len(X_pending) else None


@torch.no_grad()
def believe(model: Model, X_pending: Tensor, best_f: float) -> tuple[Model, float]:
    """The model, and the best target, as if every pending row had been measured at its posterior mean.

    That is the kriging believer (Ginsbourger et al. 2010). The model must have ``condition_on_pending``.
    """
    means = model.posterior(X_pending.unsqueeze(1)).mean
    return model.condition_on_pending(X_pending), max(best_f, float(means.max()))


def can_believe(model: Model) -> bool:
    """Whether ``believe`` works on a model."""
    return hasattr(model, "condition_on_pending")
