"""What a surrogate is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from botorch.models.model import Model
from torch import Tensor


class Surrogate(ABC):
    """Fits a BoTorch ``Model`` to what was measured. It holds settings only; the model is the result.

    The model's posterior must be efficient on ``b x q x d`` inputs of any b, since acquisition values of thousands of
    objects are computed with it in every training step of the sampler.
    """

    @abstractmethod
    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fits to features X (n x d) and targets Y (n x m, larger is better), with noise variances Yvar (n x m).

        Deterministic: the same data give the same model. Works from n = 1 on.
        """

    def explain(self, n: int) -> str | None:
        """What n measurements are fitted with, and why, where the surrogate chooses that itself; else None."""
        return None

    def describe(self, model: Model) -> Mapping[str, float]:
        """The fitted hyperparameters by name, for the ledger and the verbose log."""
        return {}
