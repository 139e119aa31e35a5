"""A draw from an ensemble: the prediction of one of its members."""

from __future__ import annotations

import torch
from botorch.models.ensemble import EnsembleModel
from torch import Tensor


class EnsembleMember:
    """The prediction of one member of an ensemble, picked by a seed with the members' weights.

    Args:
        model: the ensemble.
        seed: of the pick.
    """

    def __init__(self, model: EnsembleModel, seed: int) -> None:
        self._model, self._seed = model, seed

    def __call__(self, X: Tensor) -> Tensor:
        """Return the member's predictions of n x d rows: n."""
        posterior = self._model.posterior(X.unsqueeze(-2))
        generator = torch.Generator().manual_seed(self._seed)
        index = int(torch.multinomial(posterior.weights.double().cpu(), 1, generator=generator))
        value: Tensor = posterior.values.movedim(-3, 0)[index]  # members x n x 1 x 1
        return value.squeeze(-1).squeeze(-1)
