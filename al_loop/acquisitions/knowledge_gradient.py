"""The knowledge gradient over a finite set."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._kriging_believer import believe
from al_loop.acquisitions._log_improvement import log_improvement
from al_loop.acquisitions.base import Acquisition, AcquisitionContext
from al_loop.surrogates.base import SurrogateModel
from al_loop.system import stopping

#: finite, so that the values' spread can be computed
_LEAST = -1e9


class KnowledgeGradient(Acquisition):
    """Expected rise of the best posterior mean by one measurement (Frazier et al. 2009).

    It is the log of E max mean' - max mean, where mean' is the posterior mean after the object is measured, and the
    maxima are over the object itself and a set of others: unlike expected improvement it also values an object whose
    measurement would reveal that another one is better than expected. Over a finite set it has a closed form, used
    here; BoTorch's ``qKnowledgeGradient`` searches a continuous space, which a list of molecules is not.

    Pending objects count as measured at their posterior mean. Posteriors that are not normal are replaced by normal
    ones of the same means and covariances.

    Args:
        n_set: number of others: those of the largest mean + 2 deviations among measured, pending and candidate objects.
    """

    kind = "knowledge_gradient"

    def __init__(self, n_set: Annotated[int, Field(ge=1)] = 256) -> None:
        self.n_set = n_set

    @torch.no_grad()
    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        if context.X_pending is not None:
            model, _ = believe(model, context.X_pending, context.best_f)
        X_set = context.objects
        posterior = model.posterior(X_set.unsqueeze(1))
        promise = (posterior.mean + 2 * posterior.variance.sqrt()).flatten()
        return DiscreteKnowledgeGradient(model, X_set[promise.topk(min(self.n_set, len(X_set))).indices])


class DiscreteKnowledgeGradient(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """Log knowledge gradient of single objects over themselves and a set.

    Measuring x moves the posterior mean at i to a_i + b_i Z, Z standard normal, with a the means now and
    b_i = cov(f_i, f(x)) / sqrt(var f(x) + noise). Where the largest of these lines changes from one of slope b to one
    of slope b', at z = c, it gains (b' - b) (phi(c) - |c| Phi(-|c|)).

    Args:
        model: the model; normal distributions with its means and covariances are used.
        X_set: m x d features of the others.
    """

    def __init__(self, model: SurrogateModel, X_set: Tensor) -> None:
        super().__init__(model)
        self.register_buffer("X_set", X_set)
        self.register_buffer("_means", model.posterior(X_set.unsqueeze(1)).mean.flatten())
        self.cross_posterior = model.cross_posterior(X_set)

    def forward(self, X: Tensor) -> Tensor:
        """Return the values of ``b x 1 x d`` features: b."""
        mean, variance, covariance = self.cross_posterior(X)
        variance = variance.clamp_min(self.cross_posterior.least_variance)
        noise = self.model.noise_at(X)
        intercepts = torch.cat([mean.unsqueeze(-1), self._means.expand(len(mean), -1)], dim=-1)
        slopes = torch.cat([variance.unsqueeze(-1), covariance], dim=-1) / (variance + noise).sqrt().unsqueeze(-1)
        return log_gain(intercepts, slopes).clamp_min(_LEAST)


def log_gain(intercepts: Tensor, slopes: Tensor) -> Tensor:
    """Return log(E max_i (a_i + b_i Z) - max_i a_i) for standard normal Z: b; minus infinity without a gain.

    The upper envelope is walked from the line of the least slope to the one of the greatest, in all rows at once; it
    has few corners, each of which costs one pass over all lines.

    Args:
        intercepts: b x m intercepts a_i.
        slopes: b x m slopes b_i.
    """
    rows = torch.arange(len(slopes), device=slopes.device)
    least = slopes.min(dim=-1, keepdim=True).values
    current = intercepts.masked_fill(slopes > least, -float("inf")).argmax(dim=-1)
    parts = []
    while True:
        stopping.look()
        a, b = intercepts[rows, current, None], slopes[rows, current, None]
        is_steeper = slopes > b
        if not bool(is_steeper.any()):
            break
        rise = torch.where(is_steeper, slopes - b, 1.0)
        crossing = torch.where(is_steeper, (a - intercepts) / rise, float("inf"))
        corner = crossing.min(dim=-1, keepdim=True).values
        # among lines that cross at the same corner the steepest is on top beyond it
        following = slopes.masked_fill(crossing > corner, -float("inf")).argmax(dim=-1)
        is_moving = is_steeper.any(dim=-1)
        change = torch.where(is_moving, slopes[rows, following] - b.squeeze(-1), 1.0)
        away = torch.where(is_moving, corner.squeeze(-1), 0.0).abs()
        parts.append(torch.where(is_moving, change.log() + log_improvement(-away), -math.inf))
        current = torch.where(is_moving, following, current)
    if not parts:
        return torch.full_like(intercepts[:, 0], -math.inf)
    return torch.logsumexp(torch.stack(parts), dim=0)
