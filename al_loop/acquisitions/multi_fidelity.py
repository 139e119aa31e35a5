"""What an acquisition is that also chooses the fidelity, and the two that there are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions.base import Acquisition
from al_loop.acquisitions.log_ei import LogEI
from al_loop.acquisitions.max_value_entropy import InformationOnMaximum, MaxValueEntropy
from al_loop.reward import score
from al_loop.surrogates.multi_fidelity import FidelityModel


class MultiFidelityAcquisition(Acquisition):
    """An acquisition at the target fidelity, of which a share is to be had at others, each at its cost."""

    @abstractmethod
    def build_shares(
        self, model: FidelityModel, acquisition: AcquisitionFunction
    ) -> Sequence[AcquisitionFunction | None]:
        """The log value of asking at each fidelity, before its cost; None: the target's times its squared correlation.

        model: as seen at the target fidelity. acquisition: what ``build`` gave for it.
        """

    @torch.no_grad()
    def per_cost(
        self, model: FidelityModel, acquisition: AcquisitionFunction, costs: Sequence[float], X: Tensor
    ) -> Tensor:
        """Log value per cost of asking for objects at every fidelity: n x d -> n x fidelities.

        model: as seen at the target fidelity, with all that is pending taken in. acquisition: built on it.
        costs: of each fidelity, the cheapest first.
        """
        target = score(acquisition, X)
        columns = []
        for fidelity, (cost, function) in enumerate(zip(costs, self.build_shares(model, acquisition), strict=True)):
            value = target + model.correlation(X, fidelity).log() if function is None else score(function, X)
            columns.append(value - torch.tensor(cost, dtype=torch.float64).log())
        return torch.stack(columns, dim=1)


class MultiFidelityEI(MultiFidelityAcquisition):
    """Log expected improvement at the target, times the squared correlation with it, per cost (Huang et al. 2006).

    An answer at a lower fidelity is worth what the target's improvement is worth, as far as it tells of it.
    """

    kind = "multi_fidelity_ei"

    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class: log expected improvement at the target fidelity."""
        return LogEI().build(model, X_baseline, X_pending, best_f)

    def build_shares(
        self, model: FidelityModel, acquisition: AcquisitionFunction
    ) -> Sequence[AcquisitionFunction | None]:
        """See the base class."""
        return [None] * len(model.scales)


class MultiFidelityMES(MultiFidelityAcquisition):
    """What an answer at a fidelity would tell of the largest value at the target, per cost (Takeno et al. 2020).

    In the closed form of GIBBON (Moss et al. 2021): that of ``max_value_entropy``, with the squared correlation between
    the answer at the fidelity and the value at the target in place of that with the answer at the target.

    Args:
        n_samples: quasi-random samples of the maximum.
        seed: of those samples.
    """

    kind = "multi_fidelity_mes"

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 32, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self._target = MaxValueEntropy(n_samples, seed)

    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class: max-value entropy search at the target fidelity."""
        return self._target.build(model, X_baseline, X_pending, best_f)

    def build_among(
        self,
        model: Model,
        X_baseline: Tensor,
        X_pending: Tensor | None,
        best_f: float,
        X_candidates: Tensor | None,
    ) -> AcquisitionFunction:
        """See the base class."""
        return self._target.build_among(model, X_baseline, X_pending, best_f, X_candidates)

    def build_shares(
        self, model: FidelityModel, acquisition: AcquisitionFunction
    ) -> Sequence[AcquisitionFunction | None]:
        """See the base class."""
        assert isinstance(acquisition, InformationOnMaximum)
        return [InformationFrom(model, acquisition.maxima, f) for f in range(len(model.scales))]


class InformationFrom(InformationOnMaximum):
    """Information on the maximum at the model's fidelity, from an answer at another."""

    def __init__(self, model: FidelityModel, maxima: Tensor, fidelity: int) -> None:
        super().__init__(model, maxima)
        self._fidelity = fidelity

    def log_rho2(self, X: Tensor, variance: Tensor) -> Tensor:
        """Log squared correlation of an answer with the value at the target: b x 1 x d -> b x 1."""
        found: Tensor = self.model.correlation(X.squeeze(-2), self._fidelity).log().unsqueeze(-1)
        return found
