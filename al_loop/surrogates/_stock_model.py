"""BoTorch's own models as surrogate models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from botorch.models.ensemble import EnsembleModel
from botorch.models.gpytorch import GPyTorchModel
from botorch.models.model import Model, ModelList
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.sampling.pathwise import get_matheron_path_model
from torch import Tensor

from al_loop.surrogates._ensemble_member import EnsembleMember
from al_loop.surrogates._surrogate_model import RowFunction, SurrogateModel

#: training rows at which the noise of a measurement is averaged
_NOISE_ROWS = 64


def as_surrogate_model(model: Model) -> Any:
    """Return any BoTorch model as a ``SurrogateModel``.

    Args:
        model: a model of one target, a ``ModelList``, or a model of several targets with ``subset_output``.

    Returns:
        The model itself if it is a ``SurrogateModel`` already, else a ``StockModel`` around it; for several targets a
        ``ModelList`` of these, one per target.
    """
    if isinstance(model, SurrogateModel):
        return model
    if isinstance(model, ModelList):
        return ModelList(*[as_surrogate_model(one) for one in model.models])
    if model.num_outputs > 1:
        return ModelList(*[StockModel(model.subset_output([i])) for i in range(model.num_outputs)])
    return StockModel(model)


class StockModel(SurrogateModel):
    """Any BoTorch model of one target.

    Marginal means and variances are read from joint posteriors of many rows, so that the training data are not copied
    for every object. Conditioning on pending rows and rescaling use the normal distribution with the posterior's
    means and covariances, which is exact where posteriors are normal.

    Args:
        model: the model, which is switched to evaluation mode and whose parameters are frozen.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        inputs = getattr(model, "train_inputs", None)
        rows = inputs[0][:_NOISE_ROWS] if inputs else None
        self.has_normal_posterior = isinstance(model, GPyTorchModel)
        self.noise_variance = 0.0
        if rows is not None:
            with torch.no_grad():
                latent, noisy = model.posterior(rows), model.posterior(rows, observation_noise=True)
                self.noise_variance = max(float((noisy.variance - latent.variance).mean()), 0.0)
            self.has_normal_posterior &= isinstance(latent, GPyTorchPosterior)  # else its outcomes are transformed

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
    ) -> Any:
        """Return the joint posterior of the q rows of each batch: ... x q x d -> means ... x q x 1."""
        if X.ndim > 2 and X.shape[-2] == 1 and self.has_normal_posterior:
            mean, variance = self.mean_and_variance(X.reshape(-1, X.shape[-1]))
            mean, covariance = mean.reshape(X.shape[:-1]), variance.reshape(*X.shape[:-1], 1)
            return self.as_posterior(X, mean, covariance, observation_noise, posterior_transform)
        if isinstance(self.model, EnsembleModel):  # whose posteriors are without noise
            return self.model.posterior(X, posterior_transform=posterior_transform)
        return self.model.posterior(X, observation_noise=observation_noise, posterior_transform=posterior_transform)

    def draw_function(self, n_features: int, seed: int) -> RowFunction:
        """Draw a member of an ensemble, or a function from a Gaussian process by BoTorch, which sets ``n_features``.

        Raises:
            NotImplementedError: BoTorch cannot draw from the model.
        """
        if isinstance(self.model, EnsembleModel):
            return EnsembleMember(self.model, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                return _PathFunction(get_matheron_path_model(self.model))
            except Exception as error:  # BoTorch raises almost anything on a model that it cannot draw from
                raise NotImplementedError(
                    f"BoTorch cannot draw a function from a {type(self.model).__name__} "
                    f"({type(error).__name__}: {error})"
                ) from error

    def describe(self) -> Mapping[str, float]:
        """Return the standard deviation of the noise, in the target's unit."""
        return {"noise_std": self.noise_variance**0.5}


class _PathFunction:
    """The mean of a deterministic BoTorch model: a path that was drawn."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, X: Tensor) -> Tensor:
        value: Tensor = self._model.posterior(X.unsqueeze(-2)).mean
        return value.squeeze(-1).squeeze(-1)
