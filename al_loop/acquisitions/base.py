"""Base classes of acquisitions, and the context in which they are built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.model import ModelList
from numpy.typing import NDArray
from torch import Tensor

from al_loop.surrogates.base import MultiFidelityModel, SurrogateModel

Array = NDArray[np.float64]


class TargetTransform(Protocol):
    """An increasing function from the oracle's values, larger being better, to the targets of the models."""

    def forward(self, y: Array) -> Array:
        """Transform values to targets: n -> n."""

    def inverse(self, z: Array) -> Array:
        """Transform targets to values, of any shape."""


@dataclass(frozen=True)
class AcquisitionContext:
    """The measured and pending objects when an acquisition is built. Larger targets are better.

    Args:
        X_baseline: n x d features of the measured objects.
        best_f: the largest target measured; not used with several objectives.
        X_pending: p x d features of the objects being measured; no rows count as None.
        X_candidates: c x d features of some of the objects there are, for acquisitions that look at the space as a
            whole; None: none are known.
        Y: n x m targets measured at ``X_baseline``, for acquisitions of several objectives.
        reference_point: the worst target of interest of each objective, m; None: inferred from Y.
    """

    X_baseline: Tensor
    best_f: float = float("nan")
    X_pending: Tensor | None = None
    X_candidates: Tensor | None = None
    Y: Tensor | None = None
    reference_point: Tensor | None = None

    def __post_init__(self) -> None:
        if self.X_pending is not None and not len(self.X_pending):
            object.__setattr__(self, "X_pending", None)
        d = self.X_baseline.shape[-1]
        for name in ("X_baseline", "X_pending", "X_candidates"):
            X = getattr(self, name)
            if X is not None and (X.dim() != 2 or X.shape[1] != d):
                raise ValueError(f"AcquisitionContext.{name}: expected n x {d} features, got {tuple(X.shape)}")
        if self.Y is not None and (self.Y.dim() != 2 or len(self.Y) != len(self.X_baseline)):
            n, got = len(self.X_baseline), tuple(self.Y.shape)
            raise ValueError(f"AcquisitionContext.Y: expected {n} x m targets, a row for each of X_baseline, got {got}")
        point = self.reference_point
        if point is not None and self.Y is not None and point.shape != self.Y.shape[1:]:
            raise ValueError(
                f"AcquisitionContext.reference_point: expected ({self.Y.shape[1]},), got {tuple(point.shape)}"
            )

    @property
    def objects(self) -> Tensor:
        """Return the distinct rows of the measured, pending and candidate objects."""
        parts = [X for X in (self.X_baseline, self.X_pending, self.X_candidates) if X is not None]
        distinct: Tensor = torch.unique(torch.cat(parts).to(self.X_baseline), dim=0)
        return distinct

    @property
    def targets(self) -> Tensor:
        """Return Y.

        Raises:
            ValueError: there is no Y.
        """
        if self.Y is None:
            raise ValueError("AcquisitionContext.Y is required by an acquisition of several objectives; pass it")
        return self.Y


class Acquisition(ABC):
    """Builds BoTorch acquisition functions on fitted models. It holds settings only."""

    #: whether it weighs several objectives: ``build`` then takes a ``ModelList`` with one model per objective
    is_multi_objective: ClassVar[bool] = False
    #: whether it also chooses the fidelity of each measurement: then it is a ``MultiFidelityAcquisition``
    chooses_fidelities: ClassVar[bool] = False

    def in_unit_of(self, transform: TargetTransform, best_f: float) -> Acquisition:
        """Return the acquisition for transformed targets, where a setting is in the oracle's unit.

        Args:
            transform: from the oracle's values to the targets.
            best_f: the largest target measured.
        """
        return self

    @abstractmethod
    def build(self, model: SurrogateModel | ModelList, context: AcquisitionContext) -> AcquisitionFunction:
        """Build an acquisition function that maps ``b x 1 x d`` features to b values, larger being better.

        Args:
            model: the fitted model; a ``ModelList`` if ``is_multi_objective``. Any BoTorch model becomes a
                ``SurrogateModel`` by ``al_loop.surrogates.base.as_surrogate_model``.
            context: measured and pending objects. Pending objects must lower the value of objects near them.
        """


class MultiFidelityAcquisition(Acquisition):
    """An acquisition at the target fidelity that also values measurements at others, each at its cost.

    By value per cost alone hardly anything would ever be measured at the target, as long as there are objects of which
    nothing is known: ten cheap measurements are more informative than an expensive one. But what counts in the end is
    measured at the target. So a share of the cost goes there, to the objects that are worth most there.

    Args:
        target_share: least share of the cost that is spent at the target fidelity, in [0, 1].

    Raises:
        ValueError: the share is out of range.
    """

    chooses_fidelities: ClassVar[bool] = True

    def __init__(self, target_share: float = 0.5) -> None:
        if not 0 <= target_share <= 1:
            raise ValueError(f"acquisition.target_share: {target_share} must be between 0 and 1")
        self.target_share = target_share

    @abstractmethod
    def build_shares(
        self, model: MultiFidelityModel, acquisition: AcquisitionFunction
    ) -> Sequence[AcquisitionFunction | None]:
        """Build an acquisition function of the log value of measuring at each fidelity, before its cost.

        Args:
            model: as seen at the target fidelity.
            acquisition: what ``build`` returned for it.

        Returns:
            One function per fidelity, the cheapest first. None stands for the target's value times the squared
            correlation with the target.
        """

    @torch.no_grad()
    def per_cost(
        self, model: MultiFidelityModel, acquisition: AcquisitionFunction, costs: Sequence[float], X: Tensor
    ) -> Tensor:
        """Return the log value per cost of measuring objects at every fidelity: n x fidelities.

        Args:
            model: as seen at the target fidelity, conditioned on everything that is pending.
            acquisition: what ``build`` returned for it.
            costs: of a measurement at each fidelity, the cheapest first.
            X: n x d features.
        """
        target = score(acquisition, X)
        columns = []
        for fidelity, (cost, function) in enumerate(zip(costs, self.build_shares(model, acquisition), strict=True)):
            value = target + model.correlation(X, fidelity).log() if function is None else score(function, X)
            columns.append(value - torch.tensor(cost, dtype=torch.float64).log())
        return torch.stack(columns, dim=1)


@torch.no_grad()
def score(acquisition: AcquisitionFunction, X: Tensor, chunk: int = 2048) -> Tensor:
    """Return the acquisition values of single objects.

    Args:
        acquisition: maps b x 1 x d features to b values.
        X: n x d features.
        chunk: objects whose values are computed at once.

    Raises:
        ValueError: the acquisition does not return one value for each object.
    """
    parts = [acquisition(rows.unsqueeze(1)) for rows in X.split(chunk)]
    for rows, part in zip(X.split(chunk), parts, strict=True):
        if part.shape != rows.shape[:1]:
            raise ValueError(
                f"{type(acquisition).__name__} returned the shape {tuple(part.shape)} for {len(rows)} x 1 x "
                f"{rows.shape[1]} features, expected ({len(rows)},): one value for each object"
            )
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)
