"""Max-value entropy search."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.max_value_entropy_search import qLowerBoundMaxValueEntropy
from botorch.models.model import Model
from botorch.utils.sampling import draw_sobol_normal_samples
from linear_operator.utils.cholesky import psd_safe_cholesky
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._kriging_believer import believe, can_believe, some
from al_loop.acquisitions.base import Acquisition


class MaxValueEntropy(Acquisition):
    """What a measurement would tell of the largest value that there is (Wang & Jegelka 2017; Moss et al. 2021).

    The log of the mutual information, in nats, between a noisy measurement of the object and the maximum of f over a
    set of objects, in the closed form of GIBBON (BoTorch's ``qLowerBoundMaxValueEntropy``). The maximum is sampled
    from the joint posterior over what was measured, what is pending and the candidates that the campaign tells of;
    without candidates it is the maximum over what was measured, which is too low. The log keeps the many objects
    apart that tell next to nothing; it does not change their order.

    Pending objects count as measured at their posterior mean where the model can do that (``condition_on_pending``);
    other models must be BoTorch GPs then, and get GIBBON's repulsion from pending objects (and its value, not a log).

    Args:
        n_samples: quasi-random samples of the maximum.
        seed: of those samples.
    """

    kind = "max_value_entropy"

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 32, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed

    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class; best_f is not needed."""
        return self.build_among(model, X_baseline, X_pending, best_f, None)

    @torch.no_grad()
    def build_among(
        self,
        model: Model,
        X_baseline: Tensor,
        X_pending: Tensor | None,
        best_f: float,
        X_candidates: Tensor | None,
    ) -> AcquisitionFunction:
        """See the base class."""
        X_pending = some(X_pending)
        X_set = torch.cat([X for X in (X_baseline, X_pending, X_candidates) if X is not None])
        X_set = torch.unique(X_set, dim=0)
        if X_pending is not None and not can_believe(model):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                return qLowerBoundMaxValueEntropy(
                    model, X_set, num_mv_samples=self.n_samples, use_gumbel=False, X_pending=X_pending
                )
        if X_pending is not None:
            model, _ = believe(model, X_pending, best_f)
        posterior = model.posterior(X_set)
        L = psd_safe_cholesky(posterior.distribution.covariance_matrix)
        z = draw_sobol_normal_samples(len(X_set), self.n_samples, device=L.device, dtype=L.dtype, seed=self.seed)
        return InformationOnMaximum(model, (posterior.mean.squeeze(-1) + z @ L.T).max(dim=-1).values)


class InformationOnMaximum(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """log of GIBBON's lower bound of I(y(x); max f) for single objects, averaged over samples of the maximum.

    With g = (maximum - mean) / std, r = phi(g) / Phi(g) and rho² = var f / var y it is the log of the average of
    -log(1 - rho² r (g + r)) / 2; everything small is kept as a log, since far from the maximum r underflows.

    Args:
        model: its posterior must be normal.
        maxima: samples of the maximum, m.
    """

    def __init__(self, model: Model, maxima: Tensor) -> None:
        super().__init__(model)
        self.register_buffer("maxima", maxima)

    def log_rho2(self, X: Tensor, variance: Tensor) -> Tensor:
        """Log squared correlation of an answer with the value itself: b x 1 x d, variances b x 1 -> b x 1."""
        noise = getattr(self.model, "noise_variance", None)
        if noise is None:
            noise = self.model.posterior(X, observation_noise=True).variance.squeeze(-1) - variance
        found: Tensor = torch.log(variance / (variance + noise))
        return found

    def forward(self, X: Tensor) -> Tensor:
        """Values of ``b x 1 x d`` features: b."""
        posterior = self.model.posterior(X)
        mean, variance = posterior.mean.squeeze(-1), posterior.variance.squeeze(-1).clamp_min(1e-16)  # b x 1
        log_rho2 = self.log_rho2(X, variance)
        g = (self.maxima - mean) / variance.sqrt()
        # far below 0 r is |g| + 1 / |g| - 2 / |g|³ to 7 digits, and g + r the difference of large numbers
        away = g.clamp_max(-1e2).abs()
        excess = 1 / away - 2 / away**3
        log_r = torch.where(
            g > -1e2, -0.5 * g * g - 0.5 * math.log(2 * math.pi) - torch.special.log_ndtr(g), (away + excess).log()
        )
        total = torch.where(g > -1e2, g + log_r.exp(), excess)
        log_u = (log_rho2 + log_r + total.clamp_min(1e-300).log()).clamp_max(-1e-12)
        u = log_u.exp()
        share = torch.where(u > 1e-12, -torch.log1p(-u) / u.clamp_min(1e-12), 1.0)  # -log(1 - u) / u, 1 at u = 0
        return torch.logsumexp(log_u + share.log(), dim=-1) - math.log(2 * len(self.maxima))
