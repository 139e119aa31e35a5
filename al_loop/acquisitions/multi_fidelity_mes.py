"""Information per cost, from the fidelity where it is largest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from botorch.acquisition import AcquisitionFunction
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions.base import AcquisitionContext, MultiFidelityAcquisition
from al_loop.acquisitions.max_value_entropy import InformationOnMaximum, MaxValueEntropy
from al_loop.surrogates.base import MultiFidelityModel, SurrogateModel


class MultiFidelityMES(MultiFidelityAcquisition):
    """Information of a measurement at a fidelity about the largest value at the target, per cost (Takeno et al. 2020).

    It has the closed form of ``max_value_entropy`` (GIBBON, Moss et al. 2021), with the squared correlation between
    the measurement at the fidelity and the value at the target.

    Args:
        n_samples: quasi-random samples of the maximum.
        seed: of those samples.
        target_share: least share of the cost that is spent at the target fidelity.
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

    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        return self._target.build(model, context)

    def build_shares(
        self, model: MultiFidelityModel, acquisition: AcquisitionFunction
    ) -> Sequence[AcquisitionFunction | None]:
        assert isinstance(acquisition, InformationOnMaximum)
        return [InformationFrom(model, acquisition.maxima, f) for f in range(model.n_fidelities)]


class InformationFrom(InformationOnMaximum):
    """Information about the maximum at the model's fidelity, from a measurement at another fidelity."""

    def __init__(self, model: MultiFidelityModel, maxima: Tensor, fidelity: int) -> None:
        super().__init__(model, maxima)
        self._fidelity = fidelity

    def log_rho2(self, X: Tensor, variance: Tensor) -> Tensor:
        """Return the log squared correlation of a measurement at the fidelity with the value at the target: b x 1."""
        log_correlation: Tensor = self.model.correlation(X.squeeze(-2), self._fidelity).log().unsqueeze(-1)
        return log_correlation
