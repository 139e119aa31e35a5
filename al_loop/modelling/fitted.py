"""The models that were fitted in a round, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from numpy.typing import NDArray
from torch import Tensor

from al_loop.acquisitions.base import score
from al_loop.modelling.reward import AcquisitionReward, Scale
from al_loop.modelling.side_terms import SideTerms
from al_loop.modelling.transforms import FittedTransform
from al_loop.seeding import derive_seed
from al_loop.surrogates.base import MultiFidelityModel, SurrogateModel

Array = NDArray[np.float64]

_JOINT_SAMPLES = 512  # of a batch's values, for the forecast


@dataclass(frozen=True)
class FittedModels:
    """The fitted models of one round and the reward derived from them.

    Targets are *transformed*: oriented so that larger is better, then passed through a fitted output transform.

    Args:
        models: a model of the transformed target of each objective.
        transforms: the fitted output transform of each objective.
        signs: the sign with which each objective was oriented before its transform.
        X: features of the objects that have values, n x d.
        X_pending: features of the pending objects, p x d, or p x (d + 1) with the fidelity; None if nothing is pending.
        pending: the pending objects, p.
        reward: the samplers' log-reward.
        acquisition: the acquisition function, on b x 1 x d features.
        build_acquisition: builds the acquisition function for other pending rows.
        side_terms: what counts beside the acquisition.
        scale: of the acquisition.
        has_fidelities: whether the models are of several fidelities.
        info: numbers for the ledger.
    """

    models: tuple[SurrogateModel, ...]
    transforms: tuple[FittedTransform, ...]
    signs: tuple[float, ...]
    X: Tensor
    X_pending: Tensor | None
    pending: Sequence[str]
    reward: AcquisitionReward
    acquisition: AcquisitionFunction
    build_acquisition: Callable[[Tensor | None], AcquisitionFunction]
    side_terms: SideTerms
    scale: Scale
    has_fidelities: bool
    info: Mapping[str, Any]

    def scores(self, X: Tensor) -> Tensor:
        """Return how much measuring each row of X (n x d) is worth, in the acquisition's unit: n."""
        return self._weighted(self.acquisition, X)

    def rescore(self, X_also: Tensor, X: Tensor) -> Tensor:
        """Return the scores of X (n x d) once the rows of X_also (p x d) are pending, too: n."""
        X_pending = X_also if self.X_pending is None else torch.cat([self.X_pending, X_also])
        return self._weighted(self.build_acquisition(X_pending), X)

    def _weighted(self, acquisition: AcquisitionFunction, X: Tensor) -> Tensor:
        return score(acquisition, X) + self.scale.spread * self.side_terms.log_weight(X)

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return posterior mean and variance of single rows on transformed targets, averaged over objectives.

        Args:
            X: features, n x d.

        Returns:
            Mean and variance, n each.
        """
        both = [model.mean_and_variance(X) for model in self.models]
        return torch.stack([mean for mean, _ in both]).mean(0), torch.stack([variance for _, variance in both]).mean(0)

    def predict(self, X: Tensor, levels: Sequence[int] | None = None) -> tuple[Array, Array]:
        """Predict what the oracle will return, in its units and with its noise.

        Args:
            X: features, n x d.
            levels: the index of the fidelity at which each row is measured, n; left out: the target.

        Returns:
            Means and standard deviations (with an output transform: medians and half the widths of the central 68 %),
            n x objectives each.
        """
        if levels is None or not self.has_fidelities:
            return self._predict(self.models, X)
        means, stds = np.empty((2, len(X), len(self.models)))
        for level in sorted(set(levels)):
            rows = np.array(levels) == level
            at_level = self._predict([_at(model, level) for model in self.models], X)
            means[rows], stds[rows] = at_level[0][rows], at_level[1][rows]
        return means, stds

    def _predict(self, models: Sequence[SurrogateModel], X: Tensor) -> tuple[Array, Array]:
        means, stds = [], []
        for model, transform, sign in zip(models, self.transforms, self.signs, strict=True):
            mean, variance = model.mean_and_variance(X)
            of_answer = variance.cpu().numpy() + model.noise_variance
            center, spread = transform.center_and_spread(mean.cpu().numpy(), of_answer)
            means.append(sign * center)
            stds.append(spread)
        return np.stack(means, axis=1), np.stack(stds, axis=1)

    def draw(self, X: Tensor, k: int, seed: int) -> Tensor:
        """Draw joint samples of what measuring rows is worth: the sum of their transformed values.

        In each sample an object is valid (it has values, and they are within bounds) or not, and one that is not ranks
        below all that are. An object whose call costs e times the usual loses a standard deviation, to the power that
        the config gives.

        Args:
            X: features, n x d.
            k: number of samples.
            seed: seed of the samples.

        Returns:
            Samples, k x n.
        """
        total = torch.zeros(k, len(X), dtype=torch.float64)
        for i, model in enumerate(self.models):
            conditioned = model if self.X_pending is None else model.condition_on_pending(self.X_pending)
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(derive_seed(seed, i))
                total += conditioned.posterior(X).rsample(torch.Size([k])).squeeze(-1).cpu()
        total += total.std(correction=0) * self.side_terms.log_cost_factor(X)
        spread = float(total.max() - total.min()) + 1.0
        return total - spread * (~torch.from_numpy(self.draw_validity(X, k, derive_seed(seed, "success")))).double()

    def draw_validity(self, X: Tensor, k: int, seed: int) -> NDArray[np.bool_]:
        """Draw whether each row has values that are within bounds, independently of one another.

        Args:
            X: features, n x d.
            k: number of samples.
            seed: seed of the samples.

        Returns:
            Samples, k x n.
        """
        probability = self.side_terms.log_valid_probability(X).exp().cpu().numpy()
        is_valid: NDArray[np.bool_] = np.random.default_rng(seed).random((k, len(X))) < probability
        return is_valid

    def joint_samples(self, X: Tensor, seed: int) -> Array:
        """Draw joint samples of the true values of a batch, in the oracle's units.

        Args:
            X: features, n x d.
            seed: seed of the samples.

        Returns:
            Samples, 512 x n x objectives.
        """
        columns = []
        for i, (model, transform, sign) in enumerate(zip(self.models, self.transforms, self.signs, strict=True)):
            posterior = model.posterior(X)
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(seed + i)
                samples = posterior.rsample(torch.Size([_JOINT_SAMPLES])).squeeze(-1)
            columns.append(sign * transform.inverse(samples.cpu().numpy()))
        return np.stack(columns, axis=-1)


def _at(model: SurrogateModel, level: int) -> SurrogateModel:
    assert isinstance(model, MultiFidelityModel)
    return model.at(level)
