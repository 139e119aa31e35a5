"""A mixture of Gaussian processes, as one normal distribution with the mixture's means and covariances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from al_loop.surrogates.base import CrossPosterior, NormalModel, RowFunction, SurrogateModel


class GPEnsembleModel(NormalModel):
    """A weighted mixture of models: its variance is the members' mean variance plus that of their means.

    Args:
        members: the models; at least one.
        weights: their weights, which add up to 1.
        names: a short name of each, for the ledger.
    """

    has_fast_cross_posterior: ClassVar[bool] = True
    weights: Tensor

    def __init__(self, members: Sequence[SurrogateModel], weights: Tensor, names: Sequence[str]) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList(members)
        self.names = tuple(names)
        self.register_buffer("weights", weights.double())
        pairs = zip(members, weights.tolist(), strict=True)
        self.noise_variance = sum(weight * member.noise_variance for member, weight in pairs)

    @property
    def models(self) -> list[SurrogateModel]:
        """The members."""
        return [member for member in self.members if isinstance(member, SurrogateModel)]

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        both = [member.mean_and_variance(X) for member in self.models]
        means, variances = torch.stack([mean for mean, _ in both]), torch.stack([variance for _, variance in both])
        weights = self.weights.to(means)[:, None]
        mean = (weights * means).sum(0)
        return mean, (weights * (variances + (means - mean).square())).sum(0)

    def mean_and_covariance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        both = [member.mean_and_covariance(X) for member in self.models]
        means, covariances = torch.stack([mean for mean, _ in both]), torch.stack([own for _, own in both])
        weights = self.weights.to(means)
        mean = torch.einsum("m,m...->...", weights, means)
        deviations = means - mean
        between = torch.einsum("m,m...i,m...j->...ij", weights, deviations, deviations)
        return mean, torch.einsum("m,m...->...", weights, covariances) + between

    def cross_posterior(self, X_fixed: Tensor) -> CrossPosterior:
        return _CrossPosterior(self, X_fixed)

    def draw_function(self, n_features: int, seed: int) -> RowFunction:
        """Draw a member by its weight, and a function from it: a draw from the mixture itself.

        Members of whose kernel no random features are known are left out.

        Raises:
            NotImplementedError: no member supports it.
        """
        generator = torch.Generator().manual_seed(seed)
        order = torch.multinomial(self.weights.cpu(), len(self.members), generator=generator).tolist()
        refusal: NotImplementedError | None = None
        for chosen in order:
            member = self.models[chosen]
            try:
                function: RowFunction = member.draw_function(n_features, seed)
            except NotImplementedError as error:
                refusal = refusal or error
            else:
                return function
        assert refusal is not None
        raise refusal

    def describe(self) -> Mapping[str, float]:
        """Return the weight of each member, and the hyperparameters of the one that weighs most."""
        weights = self.weights.tolist()
        best = self.models[weights.index(max(weights))]
        named = {f"weight_{name}": weight for name, weight in zip(self.names, weights, strict=True)}
        return {**named, **best.describe()}


class _CrossPosterior(CrossPosterior):
    """The joint posterior of an object with fixed rows under a mixture, from those of its members."""

    weights: Tensor
    _mean: Tensor
    _deviations: Tensor

    def __init__(self, model: GPEnsembleModel, X_fixed: Tensor) -> None:
        members = [member.cross_posterior(X_fixed) for member in model.models]
        super().__init__(max(member.least_variance for member in members))
        self.members = torch.nn.ModuleList(members)
        self.register_buffer("weights", model.weights)
        means = torch.stack([member.mean for member in members])
        self.register_buffer("_mean", (self.weights[:, None].to(means) * means).sum(0))
        self.register_buffer("_deviations", means - self._mean)

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def covariance(self) -> Tensor:
        members = [member for member in self.members if isinstance(member, CrossPosterior)]
        own = torch.stack([member.covariance for member in members])
        between = torch.einsum("m,mi,mj->ij", self.weights.to(own), self._deviations, self._deviations)
        return torch.einsum("m,mij->ij", self.weights.to(own), own) + between

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = [member(X) for member in self.members]
        means, variances, crosses = (torch.stack(column) for column in zip(*parts, strict=True))
        weights = self.weights.to(means)
        mean = torch.einsum("m,mb->b", weights, means)
        deviations = means - mean
        variance = torch.einsum("m,mb->b", weights, variances + deviations.square())
        between = torch.einsum("m,mb,mf->bf", weights, deviations, self._deviations)
        return mean, variance, torch.einsum("m,mbf->bf", weights, crosses) + between
