"""A Gaussian process of several fidelities, as seen at one of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.surrogates._gp_model import ExactGPModel, Hyperparameters, Training
from al_loop.surrogates.base import MultiFidelityModel
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare


@dataclass(frozen=True, eq=False)
class Fidelities(Kernel):
    """Another kernel on all columns but the last, times rho^|f - g| of the fidelities f and g in the last column."""

    base: Kernel
    rho: float

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        apart = (rows1.values[..., -1].double().unsqueeze(-1) - rows2.values[..., -1].double().unsqueeze(-2)).abs()
        return self.base.cross(rows1, rows2) * self.rho**apart

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        """Raise a TypeError: the kernel is not a function of dot products.

        Raises:
            TypeError: always.
        """
        raise TypeError("the kernel of fidelities is not a function of dot products; call cross")

    def hyperparameters(self) -> Mapping[str, float]:
        return {"correlation": self.rho, **self.base.hyperparameters()}


@dataclass(frozen=True)
class FidelityScales:
    """The linear maps from the latent functions to the values at every fidelity, the cheapest first.

    Args:
        constants: c_f.
        scales: b_f.
        noise_ratios: average noise variance of a measurement / signal variance.
    """

    constants: tuple[float, ...]
    scales: tuple[float, ...]
    noise_ratios: tuple[float, ...]


class FidelityModel(ExactGPModel, MultiFidelityModel):
    """A fitted ``MultiFidelityGP`` as seen at one fidelity: an exact Gaussian process of d features.

    Rows of d + 1 columns are taken at the fidelity that the last one names, in the unit and about the mean of this
    fidelity: for pending objects at other fidelities, and correlations with them.

    Args:
        kernel: of rows with the column of fidelities.
        training: the training rows.
        hyperparameters: at this fidelity.
        fidelity_scales: the maps of all fidelities.
        fidelity: this one.
    """

    def __init__(
        self,
        kernel: Fidelities,
        training: Training,
        hyperparameters: Hyperparameters,
        fidelity_scales: FidelityScales,
        fidelity: int,
    ) -> None:
        super().__init__(kernel, training, hyperparameters)
        self.rho = kernel.rho
        self.fidelity_scales = fidelity_scales
        self.fidelity = fidelity

    @property
    def n_fidelities(self) -> int:
        return len(self.fidelity_scales.scales)

    def prepare(self, X: Tensor) -> Rows:
        """Return feature rows, with the column of this fidelity where they have none: ... x d (+ 1) -> n."""
        X = X.reshape(-1, X.shape[-1])
        if X.shape[-1] == self._values.shape[-1] - 1:
            X = torch.cat([X, torch.full_like(X[:, :1], self.fidelity)], dim=1)
        return prepare(X, self._values.dtype)

    def at(self, fidelity: int) -> FidelityModel:
        constants, scales = self.fidelity_scales.constants, self.fidelity_scales.scales
        factor = scales[fidelity] / scales[self.fidelity]
        other = copy.copy(self)
        other._buffers = dict(self._buffers)  # a shallow copy shares it
        other.alpha = self.alpha * factor
        other.mean = constants[fidelity] + factor * (self.mean - constants[self.fidelity])
        other.signal_variance = self.signal_variance * factor**2
        other.noise_variance = other.signal_variance * self.fidelity_scales.noise_ratios[fidelity]
        other.fidelity = fidelity
        return other

    def with_training(self, training: Training) -> FidelityModel:
        other = copy.copy(self)
        other._buffers = dict(self._buffers)
        other._values, other._squared_norms = training.rows.values, training.rows.squared_norms
        other.train_targets, other.L, other.alpha = training.targets, training.L, training.alpha
        return other

    def correlation(self, X: Tensor, fidelity: int) -> Tensor:
        index = torch.full_like(X[:, :1], fidelity)
        here, there = self.prepare(X), self.prepare(torch.cat([X, index], dim=1))
        _, w_here = self.mean_and_whitened(here)
        _, w_there = self.mean_and_whitened(there)
        prior = self.rho ** abs(fidelity - self.fidelity)
        covariance = prior - (w_here * w_there).sum(0)
        own = (1 - w_here.square().sum(0)).clamp_min(1e-9)
        measured = (1 - w_there.square().sum(0)).clamp_min(0) + self.fidelity_scales.noise_ratios[fidelity]
        correlation: Tensor = (covariance.square() / (own * measured)).clamp(1e-12, 1.0)
        return correlation

    def describe(self) -> Mapping[str, float]:
        """Return what ``gp`` does, the correlation of neighbouring fidelities, and each one's constant and scale."""
        hyperparameters, scales = self.kernel.hyperparameters(), self.fidelity_scales.scales
        described = {name: value for name, value in super().describe().items() if name not in hyperparameters}
        return {
            **described,
            **{f"constant_{k}": c for k, c in enumerate(self.fidelity_scales.constants)},
            **{f"scale_{k}": scale / scales[-1] for k, scale in enumerate(scales)},
            **hyperparameters,
        }
