"""Trainings that differ in their seed alone, in one process: each operation computes the same step of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn, vmap
from torch.func import functional_call, stack_module_state

from al_loop.environments.base import Environment
from al_loop.gflownet.execution.steps import NO_ACTION, ChunkNoise, count_outcomes, take_step, take_steps
from al_loop.gflownet.fixed_shapes import fixed_shapes
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.log_z import LogZ, total_flow
from al_loop.gflownet.objectives.base import Terms
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.reward import StateReward, as_log_reward, check_log_reward, check_losses
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import compute_terms
from al_loop.seeding import derive_seed
from al_loop.system import stopping

_CHUNK = 8


class _Weights(nn.Module):
    """The weights of one training; calling it calls a function of them."""

    def __init__(self, policy: Policy, log_z: LogZ) -> None:
        super().__init__()
        self.policy, self.log_z = policy, log_z

    def forward(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """Return the value of a function of the policy, log Z and further inputs."""
        return function(self.policy, self.log_z, *inputs)


class SideBySide:
    """Trainings with several seeds, such as those of a sweep.

    Each has the weights, the draws and the losses that a ``Trainer`` with its seed and a compiled execution has, up to
    rounding. Small batches of small networks gain the most, since k trainings then cost little more than one.

    Args:
        environment: the space, without conditions.
        log_reward: the reward.
        training: the settings of each training, without replay, searches, an average, heads or a conditioned reward.
        seeds: the seeds.

    Raises:
        ValueError: a setting is not supported, or there is no seed.
    """

    def __init__(
        self, environment: Environment, log_reward: StateReward, training: TrainingSettings, seeds: Sequence[int]
    ) -> None:
        if not isinstance(log_reward, StateReward):
            raise ValueError(f"log_reward: expected a StateReward, got {type(log_reward).__name__}")
        learners = [Learner(environment, training, seed) for seed in seeds]
        if not learners:
            raise ValueError("seeds: expected at least one")
        self._objective = learners[0].objective
        self._check(environment, training, learners[0])
        self._environment, self._log_reward, self._training, self._seeds = environment, log_reward, training, seeds
        self._device = learners[0].device
        single = [_Weights(learner.policy, LogZ(0, 1).to(self._device)) for learner in learners]
        self._single, self._call = single, single[0]
        self._weights: dict[str, Tensor] = stack_module_state(single)[0]
        parts = {"policy": training.lr, "log_z": training.lr_log_z}
        groups = [
            {"params": [w for name, w in self._weights.items() if name.startswith(part)], "lr": lr}
            for part, lr in parts.items()
        ]
        self._optimizer = torch.optim.Adam(groups, fused=True)
        self.n_steps = 0

    def _check(self, environment: Environment, training: TrainingSettings, learner: Learner) -> None:
        objective = self._objective
        unsupported = {
            "replay_size": training.replay_size > 0,
            "measured_size": training.measured_size > 0,
            "searches": bool(training.searches),
            "ema": training.ema > 0,
            "heads": training.heads > 1,
            "updates": training.updates > 1,
            "epochs": training.epochs > 1,
            "forward_looking": training.forward_looking,
            "conditioning": training.conditioning.n_values > 0,
            "precision": training.precision == "bfloat16",
            "environment": environment.condition_size > 0 or not learner.policy.is_markov,
            "objective": objective.uses_stops or objective.uses_reference or objective.uses_drawing_policy,
        }
        found = [name for name, is_used in unsupported.items() if is_used]
        if found:
            names = ", ".join(found)
            raise ValueError(f"trainings side by side do not support the given {names}; use a Trainer for each seed")

    def _of_each(self, function: Callable[..., Any], *inputs: Tensor) -> Any:
        """Return the values of a function for each training, whose inputs have a leading dimension for them."""

        def one(weights: dict[str, Tensor], *own: Tensor) -> Any:
            return functional_call(self._call, weights, (function, *own))

        with fixed_shapes():
            return vmap(one)(self._weights, *inputs)

    @torch.no_grad()
    def _draw(self) -> Trajectories:
        """Draw the trajectories of all trainings, T + 1 x n x state_size with a leading dimension for them."""
        environment, training, device = self._environment, self._training, self._device
        n, chunk = training.batch_size, min(_CHUNK, environment.max_steps)
        noises = []
        for seed in self._seeds:
            generator = torch.Generator(device).manual_seed(derive_seed(seed, "draw", self.n_steps))
            noises.append(ChunkNoise(environment, n, chunk, training.epsilon, generator))
        start = environment.initial(n, device).expand(len(self._seeds), -1, -1)
        states, actions = [start[:, None]], []

        def steps(policy: Policy, _: LogZ, before: Tensor, noise: Tensor, explores: Tensor | None = None) -> Any:
            def one(*inputs: Any) -> tuple[Tensor, Tensor]:
                options: dict[str, Any] = {"temperature": training.temperature, "looks_up": False}
                return take_step(environment, policy, *inputs, **options)

            after, taken = take_steps(one, before, noise, explores, None, None)
            return after, taken, count_outcomes(environment, after[-1:], taken)

        for number in range(-(-environment.max_steps // chunk)):
            stopping.look()
            parts = zip(*(noise.of(number) for noise in noises), strict=True)
            own = [torch.stack([*part]) for part in parts if part[0] is not None]  # masks: only of explorations
            after, taken, outcome = self._of_each(steps, states[-1][:, -1], *own)
            states.append(after)
            actions.append(taken)
            n_alive, n_wrong, _ = outcome.sum((0, 1)).tolist()
            if n_wrong:
                raise ValueError(NO_ACTION)
            if not n_alive:
                break
        limit = environment.max_steps
        return Trajectories(torch.cat(states, 1)[:, : limit + 1], torch.cat(actions, 1)[:, :limit])

    def step(self) -> list[float]:
        """Draw, make one gradient step of each training, and return their mean losses.

        Raises:
            ValueError: a reward or a loss is not finite; no step is made.
        """
        training, environment, objective = self._training, self._environment, self._objective
        drawn = self._draw()
        terminal = drawn.states[:, -1]
        n = training.batch_size
        reward = as_log_reward(self._log_reward.function(terminal.flatten(0, 1)), len(self._seeds) * n).float()
        check_log_reward(reward, len(reward))
        reward = reward.view(len(self._seeds), n)
        reward = reward.clamp(min=reward.amax(1, keepdim=True) - training.floor)

        def terms_of(policy: Policy, log_z: LogZ, states: Tensor, actions: Tensor, own: Tensor) -> Terms:
            trajectories = Trajectories(states, actions)
            level = log_z(policy, states[0], None)
            options: dict[str, Any] = {"log_z": level, "log_reward": own, "backward": training.backward}
            return compute_terms(environment, policy, trajectories, objective, **options)

        def estimate(*inputs: Any) -> Tensor:
            terms = terms_of(*inputs)
            return (terms.log_reward + terms.log_pb.sum(0) - terms.log_pf.sum(0) - terms.log_z).mean()

        def losses(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
            terms = terms_of(*inputs)
            given = terms if training.backward_loss == "balance" else terms.with_fixed_backward()
            mean = objective(given).mean()
            total = mean - terms.log_pb.sum(0).mean() if training.backward_loss == "likelihood" else mean
            return total, mean, (terms.log_reward + terms.log_pb.sum(0) - terms.log_pf.sum(0)).mean()

        if self.n_steps == 0 and objective.uses_log_z:
            with torch.no_grad():
                gap = self._of_each(estimate, drawn.states, drawn.actions, reward)
                self._weights["log_z.level"] += gap[:, None]
        total, mean, level = self._of_each(losses, drawn.states, drawn.actions, reward)
        check_losses(mean)
        if not objective.uses_log_z and not objective.uses_edges:  # an estimate for reports
            self._weights["log_z.level"].data.copy_(level.detach()[:, None])
        self._optimizer.zero_grad()
        torch.autograd.backward(total.sum())
        self._clip()
        self._optimizer.step()
        self.n_steps += 1
        result: list[float] = mean.tolist()
        return result

    def _clip(self) -> None:
        """Limit the norm of each training's gradient."""
        if self._training.clip_norm is None:
            return
        named = self._weights.items()
        gradients = [w.grad for name, w in named if name.startswith("policy") and w.grad is not None]
        norm = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        share = (self._training.clip_norm / (norm + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient *= share.view(-1, *[1] * (gradient.dim() - 1))

    def policies(self) -> list[Policy]:
        """Return the policies with their present weights, one for each seed."""
        for i, weights in enumerate(self._single):
            weights.load_state_dict({name: value[i].detach() for name, value in self._weights.items()})
        return [weights.policy for weights in self._single]

    @property
    def log_z(self) -> Tensor:
        """Log of the total flow of each training, shape of the seeds."""
        if self._objective.uses_edges:
            start = self._environment.initial(1, self._device)
            parts = (self._environment, self._objective)

            def flow(policy: Policy, log_z: LogZ) -> Tensor:
                return total_flow(*parts, log_z, policy, start, None, self._training.conditioning, None)[0]

            return self._of_each(flow)  # type: ignore[no-any-return]
        return self._weights["log_z.level"].detach().mean(1)
