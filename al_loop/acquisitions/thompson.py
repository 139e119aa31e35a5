"""Thompson sampling."""

from __future__ import annotations

from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions.base import Acquisition, AcquisitionContext
from al_loop.errors import ConfigError
from al_loop.seeding import derive_seed
from al_loop.surrogates.base import RowFunction, SurrogateModel


class Thompson(Acquisition):
    """One function drawn from the posterior, the same for every object of a round (Thompson 1933).

    An object is as likely to be preferred as it is likely to be the best. On the exact GP the function is drawn by
    pathwise conditioning (Wilson et al. 2020): a draw from the prior in random features of the Tanimoto or Hamming
    kernel, corrected by the exact kernel to agree with the measurements. The features approximate the prior's
    correlations to about 1 / sqrt(n_features). On an ensemble the draw is one of its members, on a stock BoTorch GP it
    is BoTorch's.

    The seed and the numbers of measured and pending objects determine the draw, so that every round has its own, and
    a resumed round and every process have the same one. Pending objects count as measured at their posterior mean: the
    draw stays close to the mean near them, so that they and similar objects are seldom the best. One draw has one best
    region: a selector that uses similarity (``diverse``, ``dpp``) keeps the batch from filling it.

    Args:
        n_features: random features of the prior's draw; twice as many make a draw twice as slow.
        seed: of the draws.
    """

    kind = "thompson"

    def __init__(self, n_features: Annotated[int, Field(ge=128)] = 2048, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_features = n_features
        self.seed = seed

    @torch.no_grad()
    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        """Build the drawn function.

        Raises:
            ConfigError: the model does not support drawing functions.
        """
        X_pending, n = context.X_pending, len(context.X_baseline)
        seed = derive_seed(self.seed, "thompson", n, 0 if X_pending is None else len(X_pending))
        if X_pending is not None:
            model = model.condition_on_pending(X_pending)
        try:
            return FunctionDraw(model, model.draw_function(self.n_features, seed))
        except NotImplementedError as error:
            raise ConfigError(
                f"acquisition.kind: 'thompson' cannot draw a function from the surrogate's model: {error}; "
                "use surrogate gp, or another acquisition"
            ) from error


class FunctionDraw(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """A function drawn from a model's posterior.

    Args:
        model: the model.
        function: the draw, n x d rows -> n values.
    """

    def __init__(self, model: SurrogateModel, function: RowFunction) -> None:
        super().__init__(model)
        self.function = function

    def forward(self, X: Tensor) -> Tensor:
        """Return the values of ``b x 1 x d`` features: b."""
        return self.function(X.squeeze(-2))
