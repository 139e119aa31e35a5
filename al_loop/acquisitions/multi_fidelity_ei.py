"""Expected improvement per cost, at the fidelity where it is largest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from botorch.acquisition import AcquisitionFunction
from pydantic import Field

from al_loop.acquisitions.base import AcquisitionContext, MultiFidelityAcquisition
from al_loop.acquisitions.log_ei import LogEI
from al_loop.surrogates.base import MultiFidelityModel, SurrogateModel


class MultiFidelityEI(MultiFidelityAcquisition):
    """Log expected improvement at the target, times the squared correlation with it, per cost (Huang et al. 2006).

    A measurement at a lower fidelity is worth the improvement at the target, as far as the two are correlated.

    Args:
        target_share: least share of the cost that is spent at the target fidelity.
    """

    kind = "multi_fidelity_ei"

    def __init__(self, target_share: Annotated[float, Field(ge=0, le=1)] = 0.5) -> None:
        super().__init__(target_share)

    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        return LogEI().build(model, context)

    def build_shares(
        self, model: MultiFidelityModel, acquisition: AcquisitionFunction
    ) -> Sequence[AcquisitionFunction | None]:
        return [None] * model.n_fidelities
