"""Information per cost, from the fidelity that pays most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions.max_value_entropy import InformationOnMaximum, MaxValueEntropy
from al_loop.acquisitions.multi_fidelity import MultiFidelityAcquisition
from al_loop.surrogates.multi_fidelity import FidelityModel


class MultiFidelityMES(MultiFidelityAcquisition):
    """What an answer at a fidelity would tell of the largest value at the target, per cost (Takeno et al. 2020).

    In the closed form of GIBBON (Moss et al. 2021): that of ``max_value_entropy``, with the squared correlation between
    the answer at the fidelity and the value at the target in place of that with the answer at the target.

    Args:
        n_samples: quasi-random samples of the maximum.
        seed: of those samples.
        target_share: of the cost that is spent at the target fidelity, at least.
    """

    kind = "multi_fidelity_mes"

    def __init__(
        self,
        n_samples: Annotated[int, Field(ge=1)] = 32,
        seed: Annotated[int, Field(ge=0)] = 0,
        target_share: Annotated[float, Field(ge=0, le=1)] = 0.5,
    ) -> None:
        super().__init__(target_share)
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
