"""A gradient step on a batch of trajectories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.objectives.base import Objective, Terms
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.reward import AnyReward, StateReward, check_losses
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.trained_weights import TrainedWeights
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import compute_terms


@dataclass(frozen=True)
class Batch:
    """What a gradient step is made on.

    Args:
        trajectories: n trajectories, the fresh ones first.
        log_reward: log-rewards of their objects, shape n, conditions and floor applied.
        context: inputs of the policy for each trajectory.
        group: the number of each trajectory's condition, shape n; None: all have the same.
        n_fresh: number of fresh trajectories.
    """

    trajectories: Trajectories
    log_reward: Tensor
    context: Context | None
    group: Tensor | None
    n_fresh: int


class GradientStep:
    """Gradient steps of an objective, each operation launched by itself.

    Args:
        environment: the space.
        weights: the weights in training.
        objective: the objective.
        training: the settings.
    """

    def __init__(
        self, environment: Environment, weights: TrainedWeights, objective: Objective, training: TrainingSettings
    ) -> None:
        self._environment, self._weights = environment, weights
        self._objective, self._training = objective, training
        #: the frozen policy with which a relative objective compares
        self.reference: Policy | None = None
        #: the reward in training
        self.log_reward: AnyReward | None = None

    def forget(self) -> None:
        """Drop what refers to the present tensors of the optimiser, which are about to be replaced."""

    @property
    def state_function(self) -> Callable[[Tensor], Tensor] | None:
        """The reward as a function of states; None if it is one of objects, or there is none yet."""
        return self.log_reward.function if isinstance(self.log_reward, StateReward) else None

    def terms(self, batch: Batch, log_z: Tensor, step_index: Tensor | None = None) -> Terms:
        """Return the terms of a batch's trajectories.

        Args:
            batch: the batch.
            log_z: log of the total flow, shape n.
            step_index: see ``compute_terms``.
        """
        return compute_terms(
            self._environment,
            self._weights.policy,
            batch.trajectories,
            self._objective,
            log_z=log_z,
            log_reward=batch.log_reward,
            backward=self._training.backward,
            context=batch.context,
            reference=self.reference,
            partial_log_reward=self.state_function if self._training.forward_looking else None,
            stopped_log_reward=self.state_function if self._objective.uses_stops else None,
            group=batch.group,
            step_index=step_index,
        )

    @torch.no_grad()
    def estimate_log_z(self, batch: Batch) -> None:
        """Set log Z to the value that minimises the loss of the fresh trajectories."""
        log_z = self._weights.log_z(self._weights.policy, batch.trajectories.states[0], batch.context)
        terms = self.terms(batch, log_z)
        target = terms.log_pb if terms.log_reference is None else terms.log_reference
        difference = terms.log_reward + target.sum(0) - terms.log_pf.sum(0) - log_z
        self._weights.log_z.level.data += difference[: batch.n_fresh].mean()

    def losses(self, batch: Batch, step_index: Tensor | None = None) -> tuple[Tensor, Terms]:
        """Return the losses, shape n, and the terms from which they are computed.

        Args:
            batch: the batch.
            step_index: see ``compute_terms``.
        """
        training = self._training
        device_type = batch.log_reward.device.type
        is_cast = training.dtype != torch.float32
        # a recording must not contain weights that were cast before it
        with torch.autocast(device_type, training.dtype, enabled=is_cast, cache_enabled=step_index is None):
            log_z = self._weights.log_z(self._weights.policy, batch.trajectories.states[0], batch.context)
            terms = self.terms(batch, log_z, step_index)
            losses = self._objective(terms if training.backward_loss == "balance" else terms.with_fixed_backward())
        return losses, terms

    @property
    def reports_log_z(self) -> bool:
        """Whether log Z is estimated for reports, though no loss uses it."""
        return not self._objective.uses_log_z and not self._objective.uses_edges

    def __call__(self, batch: Batch) -> float:
        """Make a gradient step; return the mean loss of the fresh trajectories.

        Raises:
            ValueError: a loss is not finite; the weights are unchanged.
        """
        losses, terms = self.losses(batch)
        if self.reports_log_z:
            estimate = terms.log_reward + terms.log_pb.sum(0) - terms.log_pf.sum(0)
            self._weights.log_z.level.data.fill_(estimate.detach().mean())
        check_losses(losses)
        loss = losses.mean()
        if self._training.backward_loss == "likelihood":
            loss = loss - terms.log_pb[:, : batch.n_fresh].sum(0).mean()
        self._weights.step(loss)
        return float(losses[: batch.n_fresh].detach().mean())
