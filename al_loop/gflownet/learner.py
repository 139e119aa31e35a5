"""The learner: owns the weights, and improves them on trajectories from anywhere."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.gflownet.objectives import trajectory_balance
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.replay import Replay
from al_loop.gflownet.rollout import log_probabilities
from al_loop.gflownet.sampler import Draw, LogReward, Sampler
from al_loop.seeds import derive_seed


@dataclass(frozen=True)
class Training:
    """Settings of sampler training.

    Args:
        steps: gradient steps.
        batch_size: fresh trajectories per step.
        replay_size: trajectories from the replay added to each step.
        replay_capacity: distinct objects that the replay keeps.
        epsilon: share of uniform actions while exploring.
        lr: learning rate of the policy (Adam).
        lr_log_z: learning rate of log Z.
        hidden: width of the policy network.
        layers: layers of the policy network.
    """

    steps: int = 200
    batch_size: int = 64
    replay_size: int = 16
    replay_capacity: int = 1000
    epsilon: float = 0.05
    lr: float = 1e-3
    lr_log_z: float = 0.1
    hidden: int = 128
    layers: int = 2


class Learner:
    """Trains a policy by trajectory balance with a learned backward policy; keeps the replay."""

    def __init__(self, environment: Environment, training: Training, seed: int) -> None:
        self._environment, self._training = environment, training
        with torch.random.fork_rng(devices=[]):  # the weights depend on the seed, the global generator on nothing here
            torch.manual_seed(seed)
            self.policy = make_policy(environment, training.hidden, training.layers)
        self.log_z = nn.Parameter(torch.zeros(()))
        self.replay = Replay(training.replay_capacity)
        self._optimizer = torch.optim.Adam(
            [
                {"params": self.policy.parameters(), "lr": training.lr},
                {"params": [self.log_z], "lr": training.lr_log_z},
            ]
        )
        self._is_fresh = True

    def weights(self) -> dict[str, Tensor]:
        """A copy of the policy's weights, to hand to samplers."""
        return {k: v.detach().clone() for k, v in self.policy.state_dict().items()}

    def start(self, log_reward: LogReward) -> None:
        """Begins training on a new reward: the replay is scored anew, log Z will be estimated from the first batch."""
        self.replay.rescore(log_reward)
        self._is_fresh = True

    def update(self, draw: Draw, *, seed: int) -> float:
        """One gradient step on fresh trajectories and some from the replay; returns the mean loss of the fresh ones.

        Raises:
            ValueError: a log-reward is NaN or +inf, all are -inf, or there is not one for each object.
        """
        if draw.log_reward.shape != (len(draw.objects),):
            raise ValueError(f"log-rewards of shape {tuple(draw.log_reward.shape)} for {len(draw.objects)} objects")
        if bool(torch.isnan(draw.log_reward).any()) or not bool((draw.log_reward < torch.inf).all()):
            raise ValueError("a log-reward is NaN or +inf")
        # -inf would make every gradient infinite; e^-60 is as good as never
        floor = draw.log_reward[draw.log_reward > -torch.inf]
        if not len(floor):
            raise ValueError("every log-reward is -inf: nothing tells one object from another")
        draw = Draw(draw.objects, draw.trajectories, draw.log_reward.clamp(min=float(floor.max()) - 60))
        batch = draw
        if self._training.replay_size and len(self.replay):
            generator = torch.Generator().manual_seed(seed)
            batch = Draw.join([draw, Draw(*self.replay.sample(self._training.replay_size, generator))])
        log_pf, log_pb = log_probabilities(self._environment, self.policy, batch.trajectories)
        multiplicity = self._environment.log_multiplicity(batch.trajectories.terminal)
        log_reward = batch.log_reward.to(log_pf) - multiplicity
        if self._is_fresh:  # where the loss of the first batch is least
            self.log_z.data = (log_reward + log_pb - log_pf).detach()[: len(draw.objects)].mean()
            self._is_fresh = False
        losses = trajectory_balance(self.log_z, log_pf, log_pb, log_reward)
        self._optimizer.zero_grad()
        torch.autograd.backward(losses.mean())
        nn.utils.clip_grad_norm_(self.policy.parameters(), 10.0)
        self._optimizer.step()
        if self._training.replay_size:
            self.replay.add(draw.objects, draw.trajectories, draw.log_reward)
        return float(losses[: len(draw.objects)].detach().mean())

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later ``load_state_dict`` needs to go on bit for bit."""
        return {
            "policy": self.weights(),
            "log_z": self.log_z.detach().clone(),
            "optimizer": copy.deepcopy(self._optimizer.state_dict()),
            "replay": self.replay.state_dict(),
            "is_fresh": self._is_fresh,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what ``state_dict`` gave."""
        self.policy.load_state_dict(state["policy"])
        self.log_z.data = state["log_z"].clone()
        self._optimizer.load_state_dict(state["optimizer"])
        self.replay.load_state_dict(state["replay"])
        self._is_fresh = state["is_fresh"]


def train(
    environment: Environment,
    log_reward: LogReward,
    training: Training | None = None,
    *,
    seed: int = 0,
    on_step: Callable[[int, float], None] | None = None,
) -> tuple[Learner, Sampler]:
    """Trains a sampler for any reward of objects, without a campaign around it.

    Args:
        environment: the space of objects.
        log_reward: objects -> log-rewards (n).
        training: the settings.
        seed: of the weights and of every draw.
        on_step: called after each step with its number and its loss.

    Returns:
        The learner (weights, log Z) and a sampler that holds its last weights.
    """
    training = training or Training()
    learner = Learner(environment, training, seed)
    sampler = Sampler(environment, learner.policy)  # it shares the learner's weights
    sampler.set_reward(log_reward)
    for step in range(training.steps):
        draw = sampler.draw(training.batch_size, seed=derive_seed(seed, "draw", step), epsilon=training.epsilon)
        loss = learner.update(draw, seed=derive_seed(seed, "replay", step))
        if on_step is not None:
            on_step(step, loss)
    return learner, sampler
