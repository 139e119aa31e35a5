"""What an acquisition for several objectives is."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from torch import Tensor

from al_loop.acquisitions.base import Acquisition


class MultiObjectiveAcquisition(Acquisition):
    """Builds a BoTorch acquisition function on models of several objectives, each oriented so that larger is better."""

    is_multi_objective: ClassVar[bool] = True

    @abstractmethod
    def build_front(
        self,
        model: Model,
        X_baseline: Tensor,
        Y: Tensor,
        reference_point: Tensor | None,
        X_pending: Tensor | None,
    ) -> AcquisitionFunction:
        """An acquisition function that maps ``b x 1 x d`` features to b values, larger being better.

        model: a ``ModelList``, one model for each objective. X_baseline: features of what was measured, n x d. Y: what
        was measured there, n x m. reference_point: the worst value of interest of each objective, m; None: inferred
        from Y. X_pending: features of what is being measured, p x d, or None.
        """

    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """Raises ValueError: there is more than one objective; see ``build_front``."""
        raise ValueError(f"{type(self).__name__} weighs several objectives: call build_front")
