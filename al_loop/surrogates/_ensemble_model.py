"""An ensemble of small networks as a BoTorch model, whose posterior is also a normal distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from botorch.models.ensemble import EnsembleModel
from botorch.posteriors.ensemble import EnsemblePosterior
from gpytorch.distributions import MultivariateNormal
from linear_operator import to_linear_operator
from torch import Tensor

from al_loop.surrogates._ensemble_member import EnsembleMember
from al_loop.surrogates._network_utils import Network
from al_loop.surrogates.base import RowFunction, SurrogateModel
from al_loop.surrogates.encoders.encoding import Encoding

#: the least variance, as a fraction of the targets' variance
_LEAST_VARIANCE = 1e-9


class Networks(Network):
    """Networks side by side, in float32; before training each is a small random function.

    Args:
        encoding: their form.
        X: example rows.
        n_members: number of networks.
        hidden: units of a layer.
        n_layers: hidden layers.
        generator: of the weights.
    """

    def __init__(
        self, encoding: Encoding, X: Tensor, n_members: int, hidden: int, n_layers: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.encoding = encoding
        self.trunk, _ = encoding.trunk(X, n_members, hidden, n_layers, generator)
        self.last = self.trunk.normal(n_members, hidden, 1, std=0.5 * hidden**-0.5)
        self.constant = torch.nn.Parameter(torch.zeros(n_members, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the members' predictions: n x d float32 -> n_members x n."""
        strands = self.encoding.inputs_of(self.trunk, inputs)
        values = sum(torch.bmm(self.trunk(x), self.last).squeeze(-1) for x in strands)
        predicted: Tensor = values / len(strands) + self.constant
        return predicted

    def predict(self, X: Tensor) -> Tensor:
        """Return the members' predictions, without gradients: n x d of any number type -> n_members x n."""
        return torch.cat(self.in_parts(X), dim=1)


class EnsembleGaussian(EnsemblePosterior):  # type: ignore[misc]  # BoTorch is untyped here
    """An ensemble's posterior that is also the normal distribution with the members' mean and covariance.

    Index samplers draw members. Normal samplers draw mean + sum_i w_i (value_i - mean) / sqrt(S - 1), w standard
    normal, the same w for all rows: jointly normal with the members' covariance, of however many rows.

    Args:
        values: ... x S x q x 1, S >= 2.
        noise: variances to add, ... x q x 1 (or broadcastable to it).
    """

    def __init__(self, values: Tensor, noise: Tensor) -> None:
        super().__init__(values)
        self.noise = noise.expand(values.shape[:-3] + values.shape[-2:])

    @property
    def variance(self) -> Tensor:
        spread: Tensor = super().variance
        noisy: Tensor = spread + self.noise
        return noisy

    @property
    def deviations(self) -> Tensor:
        """Return the members' scaled deviations, whose products are the covariances: ... x S x q."""
        deviations: Tensor = (self.values - self.mean.unsqueeze(-3)).squeeze(-1) / (self.ensemble_size - 1) ** 0.5
        return deviations

    @property
    def distribution(self) -> MultivariateNormal:
        """Return the normal distribution of the rows of each batch."""
        deviations, noise = self.deviations, self.noise.squeeze(-1)
        covariance = deviations.transpose(-1, -2) @ deviations
        jitter = 1e-8 * covariance.diagonal(dim1=-2, dim2=-1).amax(-1, keepdim=True)
        covariance = covariance + torch.diag_embed(noise + jitter)
        return MultivariateNormal(self.mean.squeeze(-1), to_linear_operator(covariance))

    @property
    def base_sample_shape(self) -> torch.Size:
        """Return the shape of normal base samples: one per member, and one for each row's noise."""
        return torch.Size([*self.batch_shape, self.ensemble_size + self.values.shape[-2]])

    @property
    def batch_range(self) -> tuple[int, int]:
        """Return the dimensions of the batches in ``base_sample_shape``."""
        return 0, -1

    def rsample_from_base_samples(self, sample_shape: torch.Size, base_samples: Tensor) -> Tensor:
        """Return samples from indices of members, or from standard normal base samples.

        Args:
            sample_shape: shape of the samples.
            base_samples: indices, or normal numbers of ``base_sample_shape``.
        """
        if not base_samples.is_floating_point():
            chosen: Tensor = super().rsample_from_base_samples(sample_shape, base_samples)
            return chosen
        members, rows = base_samples.split([self.ensemble_size, self.values.shape[-2]], dim=-1)
        drawn = (members.unsqueeze(-2) @ self.deviations).squeeze(-2)
        samples: Tensor = self.mean + (drawn + rows * self.noise.squeeze(-1).sqrt()).unsqueeze(-1)
        return samples


@dataclass(frozen=True)
class Scaling:
    """Calibration of an ensemble's predictions.

    Args:
        shift: mean of the targets.
        scale: their standard deviation.
        noise_variance: of a measurement (the average where it is known one by one), in the target's unit squared.
        factor: the calibrated factor a of the members' deviations.
    """

    shift: float
    scale: float
    noise_variance: float
    factor: float


class DeepEnsembleModel(SurrogateModel, EnsembleModel):  # type: ignore[misc]  # BoTorch is untyped here
    """A fitted ensemble. Member i predicts shift + scale (mean + sum_j A_ij (member_j - mean)).

    Args:
        networks: the members, on targets of mean 0 and variance 1.
        mixing: A, S x S: a times the identity after a fit.
        scaling: of the targets, and the calibrated noise.
        epochs: passes of training.
    """

    def __init__(
        self,
        networks: Networks,
        mixing: Tensor,
        scaling: Scaling,
        epochs: int,
    ) -> None:
        super().__init__()
        self._num_outputs = 1
        self.networks = networks
        self.scaling = scaling
        self.noise_variance = scaling.noise_variance
        self.epochs = epochs
        self.register_buffer("mixing", mixing.double())

    def predictions(self, X: Tensor) -> Tensor:
        """Return the members' predictions, in the target's unit: n x d -> S x n."""
        values = self.networks.predict(X).double()
        mean = values.mean(0)
        mixed: Tensor = mean + self.mixing @ (values - mean)
        return self.scaling.shift + self.scaling.scale * mixed

    def forward(self, X: Tensor) -> Tensor:
        """Return the members' predictions: ... x q x d -> ... x S x q x 1. Not differentiable."""
        values = self.predictions(X.reshape(-1, X.shape[-1]))
        return values.T.reshape(*X.shape[:-1], len(values)).transpose(-1, -2).unsqueeze(-1)

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        values = self.predictions(X)
        mean = values.mean(0)
        return mean, (values - mean).square().sum(0) / (len(values) - 1) + self._least_variance

    @property
    def _least_variance(self) -> float:
        return _LEAST_VARIANCE * self.scaling.scale**2

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
    ) -> Any:
        """Return the ``EnsembleGaussian`` posterior at ... x q x d, with the noise of measurements if required."""
        return self.ensemble_posterior(X, self.forward(X), observation_noise, posterior_transform)

    def ensemble_posterior(self, X: Tensor, values: Tensor, noise: bool | Tensor, transform: Any) -> Any:
        """Return the posterior with the members' values.

        Args:
            X: ... x q x d rows, which the transform may need.
            values: ... x S x q x 1 predictions.
            noise: whether to add the noise of a measurement, or the variances to add, ... x q x 1.
            transform: a BoTorch ``PosteriorTransform`` to apply, or None.
        """
        if isinstance(noise, Tensor):
            added = noise.to(values)
        else:
            added = values.new_tensor(self.noise_variance if noise else 0.0)
        posterior = EnsembleGaussian(values, added + self._least_variance)
        return posterior if transform is None else transform(posterior=posterior, X=X)

    def condition_on_pending(self, X_pending: Tensor) -> DeepEnsembleModel:
        """Return the model as if each of p x d rows had been measured at its mean: members agree more near them.

        The mean stays what it is. With D the deviations of the members from it at the pending rows (S x p), the
        normal distribution of the members' weights is conditioned on D'w = 0 + noise, and A multiplied by the
        symmetric root of their covariance, (I + D D' / ((S - 1) noise))^-1: exact for normal samples.
        """
        values = self.predictions(X_pending)
        D = values - values.mean(0)
        noise = max(self.noise_variance, 1e-6 * self.scaling.scale**2)
        eigenvalues, V = torch.linalg.eigh(D @ D.T / ((len(D) - 1) * noise))
        root = (V * (1 + eigenvalues.clamp_min(0)).rsqrt()) @ V.T
        return DeepEnsembleModel(self.networks, root @ self.mixing, self.scaling, self.epochs)

    def rescaled(self, factor: float) -> DeepEnsembleModel:
        scaling = replace(
            self.scaling,
            noise_variance=self.noise_variance * factor**2,
            factor=factor * self.scaling.factor,
        )
        return DeepEnsembleModel(self.networks, factor * self.mixing, scaling, self.epochs)

    def jointly_with(self, X_pending: Tensor) -> PendingEnsemble:
        return PendingEnsemble(self, X_pending)

    def draw_function(self, n_features: int, seed: int) -> RowFunction:
        """Draw a member."""
        return EnsembleMember(self, seed)

    def describe(self) -> Mapping[str, float]:
        """Return mean and deviation of the targets, the factor a, the noise (target's unit) and passes trained."""
        return {
            "mean": self.scaling.shift,
            "target_std": self.scaling.scale,
            "spread_factor": self.scaling.factor,
            "noise_std": self.noise_variance**0.5,
            "epochs": float(self.epochs),
        }


class PendingEnsemble(EnsembleModel):  # type: ignore[misc]  # BoTorch is untyped here
    """An ensemble whose posteriors include pending rows, as BoTorch's ``X_pending`` does, but predicted once.

    Args:
        model: the ensemble.
        X_pending: p x d rows.
    """

    def __init__(self, model: DeepEnsembleModel, X_pending: Tensor) -> None:
        super().__init__()
        self._num_outputs = 1
        self.model = model
        self.register_buffer("_pending", model.forward(X_pending))

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size()

    def forward(self, X: Tensor) -> Tensor:
        """Return the members' predictions: ... x q x d -> ... x S x (q + p) x 1."""
        values = self.model.forward(X)
        return torch.cat([values, self._pending.expand(*values.shape[:-2], *self._pending.shape[-2:])], dim=-2)

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
    ) -> Any:
        """Return the joint posterior of the rows of each batch, then the pending ones."""
        return self.model.ensemble_posterior(X, self.forward(X), observation_noise, posterior_transform)
