"""What an acquisition is that also chooses the fidelity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from botorch.acquisition import AcquisitionFunction
from torch import Tensor

from al_loop.acquisitions.base import Acquisition
from al_loop.modelling.reward import score
from al_loop.surrogates.multi_fidelity import FidelityModel


class MultiFidelityAcquisition(Acquisition):
    """An acquisition at the target fidelity, of which a share is to be had at others, each at its cost.

    By value per cost alone hardly anything would ever be measured at the target, as long as there are objects of which
    nothing is known: ten cheap answers tell more than an expensive one. But what counts in the end was measured at
    the target. So a share of the cost goes there, to the objects that are worth most there.

    Args:
        target_share: of the cost that is spent at the target fidelity, at least.
    """

    #: the campaign asks it at which fidelity each object is to be measured
    chooses_fidelities: ClassVar[bool] = True

    def __init__(self, target_share: float = 0.5) -> None:
        if not 0 <= target_share <= 1:
            raise ValueError(f"acquisition.target_share: {target_share} must be between 0 and 1")
        self.target_share = target_share

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
