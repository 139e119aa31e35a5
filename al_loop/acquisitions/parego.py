"""Random scalarisations of several objectives."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions.multi_objective import MultiObjectiveAcquisition
from al_loop.acquisitions.pending import some
from al_loop.acquisitions.qlognei import log_improvement
from al_loop.seeds import derive_seed

_SHARE = 0.05  # of the weighted sum beside the worst term: Knowles 2006
_SOFT = 0.003


class ParEGO(MultiObjectiveAcquisition):
    """Log expected improvement of a random weighting of the objectives, another one for each pick (Knowles 2006).

    The scalarisation is the augmented Chebyshev one, -max_j w_j (1 - y_j) - 0.05 sum_j w_j (1 - y_j), of values scaled
    to 0 to 1 over what was measured, with w uniform on the simplex: every point of the front, also of one that is not
    convex, is the best for some w. The expectation is over samples of an object's values. Take the selector
    ``sequential`` with ``lazy: false``, so that each pick of a batch has weights of its own; others pick the whole
    batch for one weighting.

    Args:
        n_samples: fixed quasi-random samples of an object's values.
        seed: of samples and weights.
    """

    kind = "parego"

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 128, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed

    @torch.no_grad()
    def build_front(
        self,
        model: Model,
        X_baseline: Tensor,
        Y: Tensor,
        reference_point: Tensor | None,
        X_pending: Tensor | None,
    ) -> AcquisitionFunction:
        """See the base class; a reference point is not needed."""
        X_pending = some(X_pending)
        n_pending = 0 if X_pending is None else len(X_pending)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "parego", len(X_baseline), n_pending))
        waits = torch.empty(Y.shape[1], dtype=torch.float64).exponential_(generator=generator)
        models = list(model.models)
        if X_pending is not None:  # as if measured at the posterior means
            means = torch.stack([m.posterior(X_pending.unsqueeze(1)).mean.flatten() for m in models], dim=1)
            Y = torch.cat([Y, means.to(Y)])
            models = [m.condition_on_pending(X_pending) if hasattr(m, "condition_on_pending") else m for m in models]
        return ScalarisedImprovement(models, Y, waits / waits.sum(), self.n_samples, self.seed)


class ScalarisedImprovement(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """log E max(s(f(x)) - max s(Y), 0), s being an augmented Chebyshev scalarisation, f(x) independent normal values.

    Each sample stands for a normal distribution about it, 0.003 of the scale wide, so that objects that improve
    in no sample are told apart, too.
    """

    def __init__(self, models: list[Model], Y: Tensor, weights: Tensor, n_samples: int, seed: int) -> None:
        super().__init__(models[0])
        self.models = torch.nn.ModuleList(models)
        low, high = Y.min(0).values, Y.max(0).values
        self.register_buffer("_low", low)
        self.register_buffer("_width", (high - low).clamp_min(1e-9))
        self.register_buffer("_weights", weights)
        engine = torch.quasirandom.SobolEngine(Y.shape[1], scramble=True, seed=seed)
        self.register_buffer("_z", torch.special.ndtri(engine.draw(n_samples).double().clamp(1e-6, 1 - 1e-6)))
        self.best = float(self.scalarise(Y).max())

    def _models(self) -> list[Model]:
        return list(self.models)

    def scalarise(self, Y: Tensor) -> Tensor:
        """Of values: ... x m -> ..."""
        weighted = self._weights * ((Y - self._low) / self._width - 1)
        value: Tensor = weighted.min(-1).values + _SHARE * weighted.sum(-1)
        return value

    def forward(self, X: Tensor) -> Tensor:
        """Values of ``b x 1 x d`` features: b."""
        posteriors = [m.posterior(X) for m in self._models()]
        mean = torch.stack([p.mean.flatten() for p in posteriors], dim=-1)
        std = torch.stack([p.variance.flatten().clamp_min(1e-18).sqrt() for p in posteriors], dim=-1)
        values = self.scalarise(mean[:, None] + std[:, None] * self._z)  # b x samples
        logs = log_improvement((values - self.best) / _SOFT) + math.log(_SOFT)
        return torch.logsumexp(logs, dim=-1) - math.log(values.shape[-1])
