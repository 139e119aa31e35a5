"""Log noisy expected improvement."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.utils import prune_inferior_points
from botorch.models.model import Model
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.sampling import draw_sobol_normal_samples
from linear_operator.utils.cholesky import psd_safe_cholesky
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._kriging_believer import some
from al_loop.acquisitions.base import Acquisition
from al_loop.surrogates.gp import ExactGPModel

_PRUNING_SAMPLES = 1024


class QLogNEI(Acquisition):
    """Log of the improvement expected on what is truly best so far, for noisy measurements (Letham et al. 2019).

    The best so far is not the luckiest measurement but the largest of the true values at what was measured, which the
    model knows only as a distribution; pending objects are part of it (the incremental form of BoTorch's
    ``qLogNoisyExpectedImprovement``, Ament et al. 2023). Values at the baseline are sampled; given a sample, an
    object's expected improvement is in closed form, which needs far fewer samples than sampling the object too.

    On models other than the exact GP it is BoTorch's own, which copies the baseline for every object: slow.

    Args:
        n_samples: fixed quasi-random samples of the values at the baseline; a power of two suits them.
        prune_baseline: leave out what was measured and was the best in none of 1,024 samples.
        seed: of the samples, which are the same for every object and call.
    """

    kind = "qlognei"

    def __init__(
        self,
        n_samples: Annotated[int, Field(ge=1)] = 128,
        prune_baseline: bool = True,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.n_samples = n_samples
        self.prune_baseline = prune_baseline
        self.seed = seed

    @torch.no_grad()
    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class; best_f, which noise has a part in, is not needed."""
        X_pending = some(X_pending)
        if self.prune_baseline and len(X_baseline) > 1:
            sampler = SobolQMCNormalSampler(torch.Size([_PRUNING_SAMPLES]), seed=self.seed)
            X_baseline = prune_inferior_points(model, X_baseline, sampler=sampler)
        if not isinstance(model, ExactGPModel):
            return qLogNoisyExpectedImprovement(
                model,
                X_baseline,
                sampler=SobolQMCNormalSampler(torch.Size([self.n_samples]), seed=self.seed),
                X_pending=X_pending,
                prune_baseline=False,
            )
        if X_pending is not None:
            X_baseline = torch.cat([X_baseline, X_pending.to(X_baseline)])
        return NoisyImprovement(model, X_baseline, self.n_samples, self.seed)


class NoisyImprovement(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """log E max(f(x) - max f(baseline), 0) of single objects under an exact GP.

    With C = L L' the posterior covariance of the baseline, its values are mean + L z for standard normal z, and given
    them f(x) is normal with mean mean(x) + l(x)'z and variance var(x) - |l(x)|², l(x) = L^-1 cov(baseline, x). So the
    baseline is factorised once, and no object needs a copy of it.
    """

    def __init__(self, model: ExactGPModel, X_baseline: Tensor, n_samples: int, seed: int) -> None:
        super().__init__(model)
        self._rows = model.prepare(X_baseline)
        mean, whitened = model.mean_and_whitened(self._rows)
        W = whitened.T.contiguous()
        L = psd_safe_cholesky(model.covariance(model.kernel.cross(self._rows, self._rows), W, W, is_same=True))
        z = draw_sobol_normal_samples(len(mean), n_samples, device=mean.device, dtype=mean.dtype, seed=seed)
        self.register_buffer("_W", W)
        self.register_buffer("_L", L)
        self.register_buffer("_z", z)
        self.register_buffer("_best", (mean + z @ L.T).max(dim=-1).values)

    def forward(self, X: Tensor) -> Tensor:
        """Values of ``b x 1 x d`` features: b."""
        model = self.model
        rows = model.prepare(X)
        mean, whitened = model.mean_and_whitened(rows)
        cross = model.covariance(model.kernel.cross(rows, self._rows), whitened.T, self._W, is_same=False)
        own = torch.linalg.solve_triangular(self._L, cross.T, upper=False)  # l(x) as columns
        variance = model.signal_variance * (1 - whitened.square().sum(0)) - own.square().sum(0)
        std = variance.clamp_min(1e-9 * model.signal_variance).sqrt().unsqueeze(-1)
        given = mean.unsqueeze(-1) + own.T @ self._z.T  # b x samples
        value = log_improvement((given - self._best) / std) + std.log()
        return torch.logsumexp(value, dim=-1) - math.log(len(self._best))


def log_improvement(u: Tensor) -> Tensor:
    """log(phi(u) + u Phi(u)), the log expected improvement of a standard normal on -u, exact far into both tails.

    Below -1 it is log phi(u) + log(1 - |u| Phi(u) / phi(u)), with the ratio from the scaled complementary error
    function; below -1,000 the difference, by then 1 / u² to six digits, would be lost to rounding.
    """
    log_phi = -0.5 * u * u - 0.5 * math.log(2 * math.pi)
    near = u.clamp_min(-1.0)
    direct = ((-0.5 * near * near).exp() / math.sqrt(2 * math.pi) + near * torch.special.ndtr(near)).log()
    size = u.clamp(-1e3, -1.0).neg()
    mills = math.sqrt(math.pi / 2) * torch.special.erfcx(size / math.sqrt(2))
    tail = log_phi + torch.log1p(-size * mills)
    far = log_phi - 2 * u.clamp_max(-1.0).abs().log()
    return torch.where(u > -1, direct, torch.where(u > -1e3, tail, far))
