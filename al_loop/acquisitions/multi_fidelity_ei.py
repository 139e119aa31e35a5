"""Expected improvement per cost, at the fidelity that pays most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions.log_ei import LogEI
from al_loop.acquisitions.multi_fidelity import MultiFidelityAcquisition
from al_loop.surrogates.multi_fidelity import FidelityModel


class MultiFidelityEI(MultiFidelityAcquisition):
    """Log expected improvement at the target, times the squared correlation with it, per cost (Huang et al. 2006).

    An answer at a lower fidelity is worth what the target's improvement is worth, as far as it tells of it.

    Args:
        target_share: of the cost that is spent at the target fidelity, at least.
    """

    kind = "multi_fidelity_ei"

    def __init__(self, target_share: Annotated[float, Field(ge=0, le=1)] = 0.5) -> None:
        super().__init__(target_share)

    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class: log expected improvement at the target fidelity."""
        return LogEI().build(model, X_baseline, X_pending, best_f)

    def build_shares(
        self, model: FidelityModel, acquisition: AcquisitionFunction
    ) -> Sequence[AcquisitionFunction | None]:
        """See the base class."""
        return [None] * len(model.scales)
