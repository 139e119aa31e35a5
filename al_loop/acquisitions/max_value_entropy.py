"""Max-value entropy search."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.utils.sampling import draw_sobol_normal_samples
from linear_operator.utils.cholesky import psd_safe_cholesky
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._kriging_believer import believe
from al_loop.acquisitions.base import Acquisition, AcquisitionContext
from al_loop.surrogates.base import SurrogateModel


class MaxValueEntropy(Acquisition):
    """Information of a measurement about the largest value (Wang & Jegelka 2017; Moss et al. 2021).

    It is the log of the mutual information, in nats, between a noisy measurement of the object and the maximum of f
    over a set of objects, in the closed form of GIBBON (BoTorch's ``qLowerBoundMaxValueEntropy``). The maximum is
    sampled from the joint posterior over the measured, pending and candidate objects; without candidates it is the
    maximum over the measured ones, which is too low. The log distinguishes the many objects with next to no
    information; it does not change their order.

    Pending objects count as measured at their posterior mean. Posteriors that are not normal are replaced by normal
    ones of the same means and covariances.

    Args:
        n_samples: quasi-random samples of the maximum.
        seed: of those samples.
    """

    kind = "max_value_entropy"

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 32, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed

    @torch.no_grad()
    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        X_set = context.objects
        if context.X_pending is not None:
            model, _ = believe(model, context.X_pending, context.best_f)
        mean, covariance = model.mean_and_covariance(X_set)
        L = psd_safe_cholesky(covariance)
        z = draw_sobol_normal_samples(len(X_set), self.n_samples, device=L.device, dtype=L.dtype, seed=self.seed)
        return InformationOnMaximum(model, (mean + z @ L.T).max(dim=-1).values)


class InformationOnMaximum(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """Log of GIBBON's lower bound of I(y(x); max f) for single objects, averaged over samples of the maximum.

    With g = (maximum - mean) / std, r = phi(g) / Phi(g) and rho² = var f / var y it is the log of the average of
    -log(1 - rho² r (g + r)) / 2; small quantities are computed as logs, since far from the maximum r underflows.

    Args:
        model: the model.
        maxima: m samples of the maximum.
    """

    def __init__(self, model: SurrogateModel, maxima: Tensor) -> None:
        super().__init__(model)
        self.register_buffer("maxima", maxima)

    def log_rho2(self, X: Tensor, variance: Tensor) -> Tensor:
        """Return the log squared correlation of a measurement with the value itself: b x 1.

        Args:
            X: b x 1 x d features.
            variance: b x 1 posterior variances of the value.
        """
        return torch.log(variance / (variance + self.model.noise_variance))

    def forward(self, X: Tensor) -> Tensor:
        """Return the values of ``b x 1 x d`` features: b."""
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
