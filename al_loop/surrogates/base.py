"""Base classes of surrogates and of the fitted models that they return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from botorch.models.model import Model, ModelList
from torch import Tensor

from al_loop.surrogates._censored import truncated_mean
from al_loop.surrogates._stock_model import StockModel, as_surrogate_model
from al_loop.surrogates._surrogate_model import (
    CrossPosterior,
    MultiFidelityModel,
    NormalModel,
    RowFunction,
    SurrogateModel,
)

__all__ = [
    "CrossPosterior",
    "FitTarget",
    "MultiFidelityModel",
    "NormalModel",
    "RowFunction",
    "StockModel",
    "Surrogate",
    "SurrogateModel",
    "as_surrogate_model",
    "check_data",
    "fit_each_target",
]

#: times that bounds are replaced by expected values
_IMPUTATIONS = 2
_AT_ONCE = 10_000  # rows that are checked together
#: fits a model to n x d features, a target (n, float64) and its known noise variances (n, or None)
FitTarget = Callable[[Tensor, Tensor, Tensor | None], Model]


class Surrogate(ABC):
    """A regression method: fits a BoTorch ``Model`` to measurements. It holds settings only; the model is the result.

    ``fit`` may return any BoTorch model, a ``SingleTaskGP`` for instance: the campaign wraps it by
    ``as_surrogate_model``. A ``SurrogateModel`` is faster where it overrides the defaults.
    """

    #: whether the last column of X is the index of the fidelity, and each model is a ``MultiFidelityModel``
    models_fidelities: ClassVar[bool] = False

    @abstractmethod
    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fit a model. Deterministic: the same data give the same model. Works from n = 1 on.

        Args:
            X: n x d features.
            Y: n x m targets, larger is better.
            Yvar: n x m known noise variances of the targets; None: unknown.

        Returns:
            A model of the target, or a ``ModelList`` with one model per target where m > 1.

        Raises:
            ValueError: the data are unusable; ``check_data`` finds out.
        """

    def fit_censored(self, X: Tensor, Y: Tensor, Yvar: Tensor | None, sides: Tensor) -> Model:
        """Fit targets of which some are bounds: the value is known to lie above or below.

        By default each bound is replaced by the value that the model expects beyond it, starting from the bound itself,
        as in an expectation-maximisation of which only the means are used. Predictions then keep to the right side of
        the bounds, but are too certain near them.

        Args:
            X: n x d features.
            Y: n x 1 targets, or their bounds.
            Yvar: n x 1 known noise variances; None: unknown.
            sides: 0 for an exact target, 1 if the value lies above Y, -1 if it lies below, n.
        """
        is_bound = sides != 0
        expected = Y.clone()
        for _ in range(_IMPUTATIONS):
            model = as_surrogate_model(self.fit(X, expected, Yvar))
            mean, variance = model.mean_and_variance(X[is_bound])
            std = (variance + model.noise_variance).clamp_min(1e-12).sqrt().to(Y)
            expected[is_bound, 0] = truncated_mean(mean.to(Y), std, Y[is_bound, 0], sides[is_bound].to(Y))
        return self.fit(X, expected, Yvar)

    def explain(self, n: int) -> str | None:
        """Return a line on which method n measurements get, and why; None where there is no choice."""
        return None

    def describe(self, model: Model) -> Mapping[str, float]:
        """Return the fitted hyperparameters by name, for the ledger and the verbose log.

        Args:
            model: what ``fit`` returned; the names of a ``ModelList`` end in the number of the target.
        """
        model = as_surrogate_model(model)
        if not isinstance(model, ModelList):
            description: Mapping[str, float] = model.describe()
            return description
        descriptions = [one.describe() for one in model.models]
        return {f"{name}_{i}": value for i, each in enumerate(descriptions) for name, value in each.items()}


def check_data(X: Tensor, Y: Tensor, Yvar: Tensor | None) -> None:
    """Raise an error if training data are unusable.

    Args:
        X: n x d features.
        Y: n x m targets.
        Yvar: n x m known noise variances, or None.

    Raises:
        ValueError: the shapes do not match, there are no rows, or a value is not finite.
    """
    for name, data in (("X", X), ("Y", Y), ("Yvar", Yvar)):
        is_numeric = isinstance(data, Tensor) and data.dtype != torch.bool and not data.is_complex()
        if data is not None and not is_numeric:
            got = str(data.dtype) if isinstance(data, Tensor) else type(data).__name__
            raise ValueError(f"{name}: expected a tensor of real numbers, got {got}")
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y) or len(X) == 0:
        raise ValueError(f"X must be n x d and Y n x m with n >= 1, got {tuple(X.shape)} and {tuple(Y.shape)}")
    if Yvar is not None and (Yvar.shape != Y.shape or bool((Yvar < 0).any())):
        raise ValueError(f"Yvar must be non-negative variances of shape {tuple(Y.shape)}, got {tuple(Yvar.shape)}")
    if not all(bool(part.isfinite().all()) for part in (*X.split(_AT_ONCE), Y)):
        raise ValueError("X and Y must be finite; leave failed measurements out of the training data")
    if Yvar is not None and not bool(Yvar.isfinite().all()):
        raise ValueError("Yvar must be finite; pass Yvar=None for measurements of unknown noise")


def fit_each_target(fit: FitTarget, X: Tensor, Y: Tensor, Yvar: Tensor | None) -> Model:
    """Check the data and fit each target by itself.

    Args:
        fit: fits one target.
        X: n x d features.
        Y: n x m targets.
        Yvar: n x m known noise variances, or None.

    Returns:
        The model where m = 1, else a ``ModelList``.

    Raises:
        ValueError: the data are unusable.
    """
    check_data(X, Y, Yvar)
    models = [fit(X, Y[:, i].double(), None if Yvar is None else Yvar[:, i].double()) for i in range(Y.shape[1])]
    return models[0] if len(models) == 1 else ModelList(*models)
