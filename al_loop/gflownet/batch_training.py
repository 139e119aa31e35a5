"""Gradient steps on batches of trajectories, alone or as one of several processes that share each batch."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.log_z import LogZ
from al_loop.gflownet.objectives.base import Objective, Terms
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.reward import StateReward, as_log_reward, check_losses
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.team import Team
from al_loop.gflownet.trained_weights import TrainedWeights
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import compute_terms, divergence


@dataclass(frozen=True)
class Batch:
    """Trajectories to train on, of which a process of several has only its own part.

    Args:
        trajectories: the trajectories.
        log_reward: log-rewards of their objects under their conditions, shape n.
        context: context of each trajectory.
        group: the number of each trajectory's condition, shape n; None: all have the same, or nothing compares them.
        n: number of trajectories in the whole batch.
        n_fresh: number of those among them that were just drawn, which come first.
        is_first: whether log Z is to be estimated from them.
        is_new: whether they are the first of a draw that are trained on, so that the present policy drew them.
        lowest: the log-reward below which rewards of other states of each trajectory count as that, shape n; None:
            there is none.
    """

    trajectories: Trajectories
    log_reward: Tensor
    context: Context | None
    group: Tensor | None
    n: int
    n_fresh: int
    is_first: bool
    is_new: bool = True
    lowest: Tensor | None = None

    def part(self, rows: Tensor) -> Batch:
        """Return the part of the batch with these trajectories."""
        rows = rows.to(self.log_reward.device)
        return Batch(
            self.trajectories.pick(rows),
            self.log_reward[rows],
            None if self.context is None else self.context.rows(rows),
            None if self.group is None else self.group[rows],
            self.n,
            self.n_fresh,
            self.is_first,
            self.is_new,
            None if self.lowest is None else self.lowest[rows],
        )

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on another device."""
        context = self.context
        if context is not None:
            parts = (context.values, context.head)
            context = Context(*(None if part is None else part.to(device) for part in parts))
        group = None if self.group is None else self.group.to(device)
        moved = self.trajectories.to(device), self.log_reward.to(device), context, group
        lowest = None if self.lowest is None else self.lowest.to(device)
        return Batch(*moved, self.n, self.n_fresh, self.is_first, self.is_new, lowest)


class BatchTraining:
    """The gradient steps of a policy.

    Args:
        environment: the space.
        training: the settings.
        objective: the loss.
        weights: the policy, log Z, and their optimiser.
        device: the device of the weights.
    """

    def __init__(
        self,
        environment: Environment,
        training: TrainingSettings,
        objective: Objective,
        weights: TrainedWeights,
        device: torch.device,
    ) -> None:
        self._environment, self._training, self.objective = environment, training, objective
        self.weights, self.device = weights, device
        #: the frozen policy of a relative objective
        self.reference: Policy | None = None
        #: a reward of states, where the objective needs that of unfinished or stopped objects
        self.state_reward: StateReward | None = None
        #: the processes that share each batch
        self.team: Team | None = None
        self._drawing: tuple[Policy, LogZ] | None = None

    def step(self, batch: Batch, plain_log_reward: Tensor | None = None) -> float:
        """Make one gradient step, and return the mean loss of the fresh trajectories.

        Args:
            batch: this process's part of the batch, on its device.
            plain_log_reward: log-rewards of the fresh objects as they were given, which explain a loss that is not
                finite.

        Raises:
            ValueError: a loss is not finite.
        """
        objective, log_z = self.objective, self.weights.log_z
        if batch.is_first and objective.uses_log_z:
            self._estimate_log_z(batch)
        losses, terms = self._losses(batch)
        if self._reports_log_z:
            log_z.level.data.fill_((terms.log_reward + terms.log_pb.sum(0) - terms.log_pf.sum(0)).detach().mean())
        check_losses(losses)
        loss = losses.mean()
        if self._training.backward_loss == "likelihood":
            loss = loss - terms.log_pb[:, : batch.n_fresh].sum(0).mean()
        self.weights.step(loss, self.team)
        return float(losses[: batch.n_fresh].detach().mean())

    def forget(self) -> None:
        """Drop what refers to the present tensors of the optimiser, which are about to be replaced."""

    @property
    def _reports_log_z(self) -> bool:
        """Whether log Z is estimated for reports, though no loss uses it."""
        return not self.objective.uses_log_z and not self.objective.uses_edges

    def _losses(self, batch: Batch, step_index: Tensor | None = None) -> tuple[Tensor, Terms]:
        """Return the losses, shape n, and the terms of the whole batch; see ``compute_terms`` for ``step_index``."""
        training = self._training
        is_cast = training.dtype != torch.float32
        # a recording must not use weights that were cast before it
        with torch.autocast(self.device.type, training.dtype, enabled=is_cast, cache_enabled=step_index is None):
            terms = self._terms(batch, step_index)
            losses = self.objective(terms if training.backward_loss == "balance" else terms.with_fixed_backward())
        return losses, terms

    def _terms(self, batch: Batch, step_index: Tensor | None = None) -> Terms:
        """Return the terms of the whole batch."""
        terms = self._terms_of(batch, self.weights.policy, self.weights.log_z, step_index)
        if self.objective.uses_drawing_policy:
            terms = self._with_drawing_policy(terms, batch)
        return terms if self.team is None else self.team.join(terms, batch.n)

    def _with_drawing_policy(self, terms: Terms, batch: Batch) -> Terms:
        """Return terms together with those of the policy that drew the trajectories."""
        policy, log_z = self.weights.policy, self.weights.log_z
        if batch.is_new or self._drawing is None:
            self._drawing = copy.deepcopy((policy, log_z))
            return replace(terms, drawn=terms.detached(), divergence=torch.zeros_like(terms.log_pf))
        with torch.no_grad():
            drawn = self._terms_of(batch, *self._drawing)
        change = divergence(self._environment, policy, self._drawing[0], batch.trajectories, batch.context)
        return replace(terms, drawn=drawn, divergence=change)

    def _terms_of(self, batch: Batch, policy: Policy, log_z: LogZ, step_index: Tensor | None = None) -> Terms:
        training, objective = self._training, self.objective
        function = None if self.state_reward is None else partial(self._reward_of_states, self.state_reward, batch)
        return compute_terms(
            self._environment,
            policy,
            batch.trajectories,
            objective,
            log_z=log_z(policy, batch.trajectories.states[0], batch.context),
            log_reward=batch.log_reward,
            backward=training.backward,
            context=batch.context,
            reference=self.reference,
            partial_log_reward=function if training.forward_looking else None,
            stopped_log_reward=function if objective.uses_stops else None,
            group=batch.group,
            step_index=step_index,
        )

    def _reward_of_states(self, reward: StateReward, batch: Batch, states: Tensor, rows: Tensor) -> Tensor:
        """Return log-rewards of states that need not be the batch's last ones, as those of the batch are computed.

        Args:
            reward: the reward.
            batch: the batch.
            states: states, shape m x state_size.
            rows: the trajectory of each, shape m.
        """
        log_reward = as_log_reward(reward.function(states), len(states))
        values = None if batch.context is None else batch.context.values
        values = log_reward.new_zeros(len(states), 0) if values is None else values[rows]
        log_reward = self._training.conditioning.apply(log_reward, values)
        return log_reward if batch.lowest is None else torch.maximum(log_reward, batch.lowest[rows].to(log_reward))

    @torch.no_grad()
    def _estimate_log_z(self, batch: Batch) -> None:
        """Set log Z to the value that minimises the loss of the fresh trajectories."""
        terms = self._terms(batch)
        target = terms.log_pb if terms.log_reference is None else terms.log_reference
        difference = terms.log_reward + target.sum(0) - terms.log_pf.sum(0) - terms.log_z
        self.weights.log_z.level.data += difference[: batch.n_fresh].mean()
