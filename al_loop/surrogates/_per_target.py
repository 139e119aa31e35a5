"""What every surrogate does with its data: refuse what is unusable, and fit each target by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from botorch.models.model import Model, ModelList
from torch import Tensor

#: fits features (n x d), a target (n, float64) and its known noise variances (n, or None)
FitOne = Callable[[Tensor, Tensor, Tensor | None], Model]


def check_data(X: Tensor, Y: Tensor, Yvar: Tensor | None) -> None:
    """Raises ValueError where shapes do not fit, nothing was measured, or something is not finite."""
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y) or len(X) == 0:
        raise ValueError(f"X must be n x d and Y n x m with n >= 1, not {tuple(X.shape)} and {tuple(Y.shape)}")
    if Yvar is not None and (Yvar.shape != Y.shape or bool((Yvar < 0).any())):
        raise ValueError(f"Yvar must be variances of shape {tuple(Y.shape)}, not {tuple(Yvar.shape)} or negative")
    if not bool(X.isfinite().all()) or not bool(Y.isfinite().all()):
        raise ValueError("X and Y must be finite: leave failed measurements out of what the surrogate is fitted to")
    if Yvar is not None and not bool(Yvar.isfinite().all()):
        raise ValueError("Yvar must be finite variances: leave measurements of unknown noise to Yvar = None")


def fit_columns(fit: FitOne, X: Tensor, Y: Tensor, Yvar: Tensor | None) -> Model:
    """A model of each target (n x m): the model itself where m = 1, else a ``ModelList``."""
    models = [fit(X, Y[:, i].double(), None if Yvar is None else Yvar[:, i].double()) for i in range(Y.shape[1])]
    return models[0] if len(models) == 1 else ModelList(*models)


def describe_each(describe: Callable[[Model], Mapping[str, float]], model: Model) -> Mapping[str, float]:
    """What describes a model; of a ``ModelList`` that of each, the names ending in its number."""
    if not isinstance(model, ModelList):
        return describe(model)
    described = [describe(m) for m in model.models]
    return {f"{name}_{i}": value for i, each in enumerate(described) for name, value in each.items()}


def shift_and_scale(y: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of a target, 1 in place of the deviation of equal values."""
    shift, spread = float(y.mean()), float(y.std(correction=0))
    return shift, spread if spread > 1e-12 * max(1.0, abs(shift)) else 1.0
