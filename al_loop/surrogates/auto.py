"""An exact or a sparse Gaussian process, by the amount of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from botorch.models.model import Model, ModelList
from pydantic import Field
from torch import Tensor

from al_loop.surrogates.base import Surrogate
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.variational import SparseGP, SparseGPModel


class Auto(Surrogate):
    """Exact Gaussian process up to a few thousand measurements, sparse variational one beyond.

    An exact fit costs n³ operations and each prediction n²; the sparse model is the same one, approximated by
    ``n_inducing`` rows, with which both grow as n. ``explain`` reports which one is used.

    Args:
        kernel: by default the natural one of the campaign's features; else as in ``gp``.
        max_exact: largest number of measurements for an exact fit.
        n_inducing: inducing rows of the sparse model.
        noise_ratio: median of the prior of noise variance / signal variance.
        noise_spread: standard deviation of the prior of its log.
        seed: of the sparse model.
    """

    kind = "auto"

    def __init__(
        self,
        kernel: str = "tanimoto",
        max_exact: Annotated[int, Field(ge=0)] = 3000,
        n_inducing: Annotated[int, Field(ge=1)] = 2048,
        noise_ratio: Annotated[float, Field(gt=0)] = 0.1,
        noise_spread: Annotated[float, Field(gt=0)] = 1.5,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.max_exact = max_exact
        self.n_inducing = n_inducing
        self._exact = ExactGP(kernel, noise_ratio, noise_spread)
        self._sparse = SparseGP(kernel, n_inducing, noise_ratio, noise_spread, seed)

    def choice(self, n: int) -> Surrogate:
        """Return the surrogate for n measurements."""
        return self._exact if n <= self.max_exact else self._sparse

    def explain(self, n: int) -> str:
        if n <= self.max_exact:
            return (
                f"surrogate gp: {n:,} measurement{'' if n == 1 else 's'}, up to {self.max_exact:,} are fitted exactly"
            )
        return (
            f"surrogate variational on {min(self.n_inducing, n):,} inducing rows: {n:,} measurements, "
            f"more than the {self.max_exact:,} that are fitted exactly (surrogate.max_exact)"
        )

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fit the surrogate for this number of measurements."""
        return self.choice(len(X)).fit(X, Y, Yvar)

    def fit_censored(self, X: Tensor, Y: Tensor, Yvar: Tensor | None, sides: Tensor) -> Model:
        return self.choice(len(X)).fit_censored(X, Y, Yvar, sides)

    def describe(self, model: Model) -> Mapping[str, float]:
        """Return the hyperparameters by name, and ``is_exact``: 1 for the exact model, 0 for the sparse one."""
        described = super().describe(model)
        if isinstance(model, ModelList):
            return {**described, **{f"is_exact_{i}": _is_exact(one) for i, one in enumerate(model.models)}}
        return {**described, "is_exact": _is_exact(model)}


def _is_exact(model: Model) -> float:
    return float(not isinstance(model, SparseGPModel))
