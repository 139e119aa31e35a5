"""Thompson sampling."""

from __future__ import annotations

from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.ensemble import EnsembleModel
from botorch.models.model import Model
from botorch.sampling.pathwise import get_matheron_path_model
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._kriging_believer import can_believe, some
from al_loop.acquisitions._pathwise_sampling import PosteriorPath
from al_loop.acquisitions.base import Acquisition
from al_loop.errors import ConfigError
from al_loop.seeding import derive_seed
from al_loop.surrogates.gp import ExactGPModel


class Thompson(Acquisition):
    """One function drawn from the posterior, the same for every object of a round (Thompson 1933).

    An object is as likely to be preferred as it is likely to be the best. On the exact GP the function is drawn by
    pathwise conditioning (Wilson et al. 2020): a draw from the prior in random features of the Tanimoto or Hamming
    kernel, corrected by the exact kernel to agree with what was measured. The features approximate the prior's
    correlations to about 1 / sqrt(n_features). An ensemble gives one of its members, a BoTorch GP a draw by BoTorch.

    A draw is fixed by the seed and by how much was measured and is pending, so that every round has its own, a round
    that is taken up again has the same one, and so has every process. Pending objects count as measured at their
    posterior mean where the model can do that (``condition_on_pending``): the draw keeps close to the mean near them,
    so that they, and what is like them, are seldom the best of a draw. One draw has one best region: a selector that
    looks at similarity (``diverse``, ``dpp``) keeps the batch from filling it.

    Args:
        n_features: random features of the prior's draw; twice as many make a draw twice as slow.
        seed: of the draws.
    """

    kind = "thompson"

    def __init__(self, n_features: Annotated[int, Field(ge=128)] = 2048, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_features = n_features
        self.seed = seed

    @torch.no_grad()
    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class; best_f is not needed.

        Raises:
            ConfigError: the model has no functions to draw.
        """
        X_pending = some(X_pending)
        seed = derive_seed(self.seed, "thompson", len(X_baseline), 0 if X_pending is None else len(X_pending))
        if X_pending is not None and can_believe(model):
            model = model.condition_on_pending(X_pending)
        if isinstance(model, ExactGPModel):
            return PosteriorPath(model, self.n_features, seed)
        if isinstance(model, EnsembleModel):
            return Member(model, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                return Path(get_matheron_path_model(model))
            except Exception as error:  # BoTorch raises almost anything on a model that it cannot draw from
                raise ConfigError(
                    f"acquisition.kind: 'thompson' cannot draw a function from a {type(model).__name__} "
                    f"({type(error).__name__}: {error}); take surrogate gp, or another acquisition"
                ) from error


class Member(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """The prediction of one member of an ensemble, picked by a seed with the members' weights."""

    def __init__(self, model: EnsembleModel, seed: int) -> None:
        super().__init__(model)
        self._seed = seed

    def forward(self, X: Tensor) -> Tensor:
        """Values of ``b x 1 x d`` features: b."""
        posterior = self.model.posterior(X)
        generator = torch.Generator().manual_seed(self._seed)
        index = int(torch.multinomial(posterior.weights.double().cpu(), 1, generator=generator))
        value: Tensor = posterior.values.movedim(-3, 0)[index]  # members x b x 1 x 1
        return value.squeeze(-1).squeeze(-1)


class Path(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """The mean of a deterministic BoTorch model: a path that was drawn."""

    def forward(self, X: Tensor) -> Tensor:
        """Values of ``b x 1 x d`` features: b."""
        value: Tensor = self.model.posterior(X).mean
        return value.squeeze(-1).squeeze(-1)
