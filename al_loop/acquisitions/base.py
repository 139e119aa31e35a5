"""What an acquisition is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from torch import Tensor

from al_loop.modelling.transforms import FittedTransform


class Acquisition(ABC):
    """Builds a BoTorch acquisition function on a fitted model. Targets are oriented so that larger is better."""

    def in_unit_of(self, transform: FittedTransform, best_f: float) -> Acquisition:
        """The same for transformed targets, where a setting is in the oracle's unit. best_f: transformed already."""
        return self

    @abstractmethod
    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """An acquisition function that maps ``b x 1 x d`` features to b values, larger being better.

        X_baseline: features of what was measured, n x d. X_pending: features of what is being measured, p x d, or
        None; it must lower the value of objects near it. best_f: the best target measured.
        """

    def build_among(
        self,
        model: Model,
        X_baseline: Tensor,
        X_pending: Tensor | None,
        best_f: float,
        X_candidates: Tensor | None,
    ) -> AcquisitionFunction:
        """As ``build``, told of some of the objects there are (c x d), for those that look at the space as a whole.

        What an acquisition does with the objects is its own affair; most need none, and ``build`` is all they define.
        """
        return self.build(model, X_baseline, X_pending, best_f)
