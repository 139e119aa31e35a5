"""The interface of all objectives, and the terms that they receive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from al_loop.errors import not_one_of
from al_loop.gflownet.losses import LOSSES, LossName


@dataclass(frozen=True)
class Terms:
    """Inputs of an objective for n trajectories of at most T steps. Flows are flows of states.

    Args:
        is_step: T x n, bool: False beyond the end of a trajectory.
        log_pf: T x n, log-probabilities of the steps under the forward policy, 0 beyond the end.
        log_pb: T x n, log-probabilities under the backward policy, 0 beyond the end.
        log_z: n, log of the flow of the initial state.
        log_reward: n, log-rewards of the terminal states.
        log_flow: T + 1 x n, of all states: ``log_z`` first, ``log_reward`` at and beyond the end; only with
            ``uses_flows``.
        log_inflow: T x n, sum over the edges that lead to each state after the first; only with ``uses_edges``.
        log_outflow: T x n, sum over the edges that lead away from it, or the reward if it is terminal; only with
            ``uses_edges``.
        log_reference: T x n, log-probabilities of the steps under a frozen reference policy; only with
            ``uses_reference``.
        log_stop: T + 1 x n, log-probability of stopping in each state, 0 at an end without a stop, -inf where stopping
            is not allowed and after a stop; only with ``uses_stops``.
        log_reward_stopped: T + 1 x n, log-reward of the object that stopping in each state would give, ``log_reward``
            at the end; only with ``uses_stops``.
        group: n, int64: the number of each trajectory's condition, from 0; None: all have the same.
        drawn: the terms of the policy at the time of the draw, without gradients; only with ``uses_drawing_policy``.
        divergence: T x n, KL divergence of the policy from that at the time of the draw, in the state before each step;
            only with ``uses_drawing_policy``.
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
    log_stop: Tensor | None = None
    log_reward_stopped: Tensor | None = None
    group: Tensor | None = None
    drawn: Terms | None = None
    divergence: Tensor | None = None

    def detached(self) -> Terms:
        """Return the same terms without gradients."""
        tensors: dict[str, Any] = {k: v.detach() for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)

    def with_fixed_backward(self) -> Terms:
        """Return the same terms, through which no gradient reaches the backward policy."""
        return replace(self, log_pb=self.log_pb.detach())


class Objective(ABC):
    """A loss of trajectories, zero for all of them at an exact solution and nowhere else.

    Args:
        loss: the regression loss of each residual, one of ``losses.LOSSES``.

    Raises:
        ValueError: there is no such loss.
    """

    #: whether it requires the flow of partial objects
    uses_flows: ClassVar[bool] = False
    #: whether the forward logits are log-flows of edges, rather than unnormalised log-probabilities
    uses_edges: ClassVar[bool] = False
    #: whether it requires the probability and the reward of stopping in each state
    uses_stops: ClassVar[bool] = False
    #: whether it compares the policy with a frozen one
    uses_reference: ClassVar[bool] = False
    #: whether it compares the policy with the one that drew the trajectories, so that it may train on them repeatedly
    uses_drawing_policy: ClassVar[bool] = False
    #: whether it learns from draws of the present policy alone
    is_on_policy: ClassVar[bool] = False
    #: whether it compares trajectories of the same condition
    uses_groups: ClassVar[bool] = False
    #: whether log Z is a parameter
    uses_log_z: ClassVar[bool] = True

    def __init__(self, loss: LossName = "squared") -> None:
        if loss not in LOSSES:
            raise ValueError(f"loss: {not_one_of(loss, LOSSES)}")
        self.loss: Callable[[Tensor], Tensor] = LOSSES[loss]

    @abstractmethod
    def __call__(self, terms: Terms) -> Tensor:
        """Return the losses of the trajectories, shape n."""

    def mean_over_steps(self, residuals: Tensor, is_step: Tensor) -> Tensor:
        """Return the mean loss of the steps of each trajectory, shape n.

        Args:
            residuals: residuals, shape T x n.
            is_step: mask, shape T x n, False beyond the end of a trajectory.
        """
        losses = self.loss(residuals.masked_fill(~is_step, 0.0))
        return (losses * is_step).sum(0) / is_step.sum(0).clamp(min=1)
