"""Gradient steps of fixed shape on batches of trajectories, which are compiled and recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.batch_training import Batch, BatchTraining
from al_loop.gflownet.execution.choice import Execution
from al_loop.gflownet.execution.plan import round_up
from al_loop.gflownet.fixed_shapes import fixed_shapes
from al_loop.gflownet.objectives.base import Objective
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.reward import check_log_reward, check_losses
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.trained_weights import TrainedWeights
from al_loop.gflownet.trajectories import Trajectories

_MANY_STEPS = 16_384


class FixedBatchTraining(BatchTraining):
    """Gradient steps as one function of tensors on one device, in which nothing waits for the device.

    Args:
        environment: the space.
        training: the settings.
        objective: the loss.
        weights: the policy, log Z, and their optimiser.
        device: the device of the weights.
        execution: how the function is executed.
    """

    def __init__(
        self,
        environment: Environment,
        training: TrainingSettings,
        objective: Objective,
        weights: TrainedWeights,
        device: torch.device,
        execution: Execution,
    ) -> None:
        super().__init__(environment, training, objective, weights, device)
        weights.keep_on_device()
        self._execution = execution
        # a reward may be any Python function, which a compiler need not understand
        self._calls_reward = training.forward_looking or objective.uses_stops
        self._compiled: dict[int, Callable[..., Any]] = {}
        self._steps: dict[tuple[int, int], Callable[..., Any]] = {}

    def forget(self) -> None:
        self._steps.clear()

    def step(self, batch: Batch, plain_log_reward: Tensor | None = None) -> float:
        if batch.is_first and self.objective.uses_log_z:
            self._estimate_log_z(batch)
        result = self.launch(batch)
        mean, n_invalid = result.tolist()
        if n_invalid:
            if plain_log_reward is not None:
                check_log_reward(plain_log_reward, len(plain_log_reward))
            check_losses(torch.tensor(torch.nan))
        return float(mean)

    def launch(self, batch: Batch) -> Tensor:
        """Make a gradient step without waiting for it.

        Returns:
            The mean loss of the fresh trajectories, and the number of losses that are not finite, shape 2. If there are
            any, the weights are unchanged.
        """
        trajectories = batch.trajectories
        states, actions = trajectories.states, trajectories.actions
        if self._execution.capture is not None:  # one length, so that there are few recordings
            missing = self._environment.max_steps - len(actions)
            if missing:
                states = torch.cat([states, states[-1:].expand(missing, -1, -1)])
                actions = torch.nn.functional.pad(actions, (0, 0, 0, missing), value=-1)
            size = min(_padded(trajectories.most_steps), actions.numel())
        else:
            size = int((actions >= 0).sum()) if actions.device.type == "cpu" else trajectories.most_steps
        key = (batch.n_fresh, size)
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = self._execution.record(self._prepare(*key), self.weights.preserved)
        values, head = (None, None) if batch.context is None else (batch.context.values, batch.context.head)
        with fixed_shapes():
            (result,) = step(states, actions, batch.log_reward, values, head, batch.group, batch.lowest)
        return result.clone()  # type: ignore[no-any-return]

    def _prepare(self, n_fresh: int, size: int) -> Callable[..., Any]:
        """Return the function of a whole gradient step for a number of fresh trajectories and of steps."""
        losses_of = self._losses_for(size)

        def step(
            states: Tensor,
            actions: Tensor,
            log_reward: Tensor,
            values: Tensor | None,
            head: Tensor | None,
            group: Tensor | None,
            lowest: Tensor | None,
        ) -> tuple[Tensor]:
            index = steps_that_happened(actions, size)
            losses, log_pb, estimate = losses_of(states, actions, log_reward, values, head, group, lowest, index)
            is_valid = losses.detach().isfinite().all()
            if self._reports_log_z:
                level = self.weights.log_z.level
                level.data.copy_(torch.where(is_valid, estimate.detach().mean(), level.data))
            loss = losses.mean()
            if self._training.backward_loss == "likelihood":
                loss = loss - log_pb[:n_fresh].mean()
            self.weights.step(loss, is_valid=is_valid)
            n_invalid = (~losses.detach().isfinite()).sum().to(losses.dtype)
            return (torch.stack([losses[:n_fresh].detach().mean(), n_invalid]),)

        return step

    def _losses_for(self, size: int) -> Callable[..., Any]:
        """Return the compiled losses for about as many steps; sums over few are slow kernels for many."""
        if self._calls_reward:
            return self._pure_losses
        magnitude = 0 if self._execution.capture is None else size.bit_length() // 3
        function = self._compiled.get(magnitude)
        if function is None:
            function = self._compiled[magnitude] = self._execution.compile(self._pure_losses)
        return function

    def _pure_losses(
        self,
        states: Tensor,
        actions: Tensor,
        log_reward: Tensor,
        values: Tensor | None,
        head: Tensor | None,
        group: Tensor | None,
        lowest: Tensor | None,
        index: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return losses, log P_B of the trajectories, and their estimates of log Z, shape n each."""
        context = None if values is None and head is None else Context(values, head)
        trajectories, n = Trajectories(states, actions), len(log_reward)
        batch = Batch(trajectories, log_reward, context, group, n, 0, False, lowest=lowest)
        losses, terms = self._losses(batch, index)
        log_pb = terms.log_pb.sum(0)
        return losses, log_pb, terms.log_reward + log_pb - terms.log_pf.sum(0)


def _padded(count: int) -> int:
    """Return a size for steps, of which there are few enough to record each, and the fewer the cheaper a step is."""
    size = round_up(count, least=16)
    smaller = size * 7 // 8
    return smaller if count <= smaller and size >= _MANY_STEPS else size


def steps_that_happened(actions: Tensor, size: int) -> Tensor:
    """Return the indices into T x n of all steps that happened, padded with T n, shape ``size``; without waiting.

    Args:
        actions: actions, shape T x n, -1 after the end of a trajectory.
        size: at least the number of steps that happened.
    """
    happened = (actions >= 0).flatten()
    place = torch.where(happened, happened.cumsum(0) - 1, size).clamp(max=size)
    index = torch.full((size + 1,), len(happened), device=actions.device)
    index = index.scatter(0, place, torch.arange(len(happened), device=actions.device))
    return torch.where(torch.arange(size, device=actions.device) < happened.sum(), index[:size], len(happened))
