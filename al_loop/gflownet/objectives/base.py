"""What an objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from al_loop.gflownet.losses import LOSSES, LossName


@dataclass(frozen=True)
class Terms:
    """What an objective sees of n trajectories of at most T steps. Flows are those of states.

    Args:
        is_step: T x n, bool: False beyond the end of a trajectory.
        log_pf: T x n, log-probabilities of the steps by the forward policy, 0 beyond the end.
        log_pb: T x n, and by the backward policy.
        log_z: n, log of the flow of the initial state.
        log_reward: n, of the terminal states.
        log_flow: T + 1 x n, of all states: ``log_z`` first, ``log_reward`` at and beyond the end; only where the
            objective says ``uses_flows``.
        log_inflow: T x n, sum over the edges that lead to each state after the first; only with ``uses_edges``.
        log_outflow: T x n, sum over the edges that lead away from it, the reward where it is terminal; only with
            ``uses_edges``.
        log_reference: T x n, log-probabilities of the steps by a frozen reference policy; only with
            ``uses_reference``.
    """

    is_step: Tensor
    log_pf: Tensor
    log_pb: Tensor
    log_z: Tensor
    log_reward: Tensor
    log_flow: Tensor | None = None
    log_inflow: Tensor | None = None
    log_outflow: Tensor | None = None
    log_reference: Tensor | None = None


class Objective(ABC):
    """Losses of trajectories, zero for all of them at an exact solution and nowhere else.

    Args:
        loss: the regression loss that is applied to each residual.
    """

    #: the policy has to know the flow of partial objects
    uses_flows: ClassVar[bool] = False
    #: the forward logits are log-flows of edges, rather than unnormalised log-probabilities
    uses_edges: ClassVar[bool] = False
    #: the policy is held against a frozen one
    uses_reference: ClassVar[bool] = False
    #: log Z is a parameter
    uses_log_z: ClassVar[bool] = True

    def __init__(self, loss: LossName = "squared") -> None:
        if loss not in LOSSES:
            raise ValueError(f"loss: {loss!r} is none of {', '.join(LOSSES)}")
        self.loss: Callable[[Tensor], Tensor] = LOSSES[loss]

    @abstractmethod
    def __call__(self, terms: Terms) -> Tensor:
        """Losses of the trajectories: n."""

    def mean_over_steps(self, residuals: Tensor, is_step: Tensor) -> Tensor:
        """T x n residuals -> n losses."""
        losses = self.loss(residuals.masked_fill(~is_step, 0.0))
        return (losses * is_step).sum(0) / is_step.sum(0).clamp(min=1)
