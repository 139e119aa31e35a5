"""The learner: owns the weights, and improves them on trajectories from anywhere."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from al_loop.environments.base import Environment
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.objectives import make_objective
from al_loop.gflownet.objectives.base import Objective
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.pretraining import load_prior
from al_loop.gflownet.replay import Entries, Priority, Replay
from al_loop.gflownet.rollout import Backward, Trajectories, backward_rollout
from al_loop.gflownet.sampler import AnyReward, Draw, SearchJob, StateReward
from al_loop.gflownet.searches.base import Search
from al_loop.gflownet.trajectory_terms import evaluate
from al_loop.seeding import derive_seed

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Training:
    """Settings of sampler training.

    Args:
        steps: draws, each followed by ``updates`` gradient steps.
        batch_size: fresh trajectories per gradient step.
        updates: gradient steps per draw. Trajectories are drawn for all of them at once, which costs less; the later
            ones are a little behind the policy then, which these objectives do not mind.
        staleness: steps by which the weights that draw are behind. As many draws more than one are on their way, so
            that samplers draw while the learner learns (``al_loop.gflownet.pipeline``).
        order: in which draws are trained on: ``fixed``, so that everything can be reproduced, or by ``arrival``.
        shares: parts of a draw that are drawn by themselves, side by side where there are several samplers.
        objective: the loss, by name or as an object of ``al_loop.gflownet.objectives``.
        backward: the backward policy: ``learned``, ``uniform``, or ``maximum_entropy`` (every way to build an object
            equally likely).
        forward_looking: flows of partial objects are learned on top of their own reward; it needs a ``StateReward``
            with ``is_partial`` and an objective that uses flows.
        replay_size: objects from the replay added to each step, by histories that the backward policy draws.
        replay_capacity: distinct objects that the replay keeps.
        replay_priority: those of highest ``reward``, or by ``recency``.
        measured_size: objects that the oracle measured added to each step, likewise.
        searches: run beside the policy in every step.
        epsilon: share of uniform actions while exploring.
        temperature: of the policy while exploring.
        heads: members of an ensemble of forward heads; each trajectory is drawn by one (Thompson sampling,
            Rector-Brooks et al. 2023), and trains a random one.
        ema: the policy that draws is a moving average of the trained one, with this decay; 0: the trained one. The
            first steps decay faster.
        conditioning: what the reward is conditioned on.
        lr: learning rate of the policy (Adam).
        lr_log_z: learning rate of log Z.
        clip_norm: longest gradient; None: any.
        hidden: width of the policy network.
        layers: layers of the policy network.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: of the policy's arithmetic.
    """

    steps: int = 200
    batch_size: int = 64
    updates: int = 1
    staleness: int = 0
    order: Literal["fixed", "arrival"] = "fixed"
    shares: int = 1
    objective: Objective | str = "trajectory_balance"
    backward: Backward = "learned"
    forward_looking: bool = False
    replay_size: int = 16
    replay_capacity: int = 1000
    replay_priority: Priority = "reward"
    measured_size: int = 0
    searches: Sequence[Search] = ()
    epsilon: float = 0.05
    temperature: float = 1.0
    heads: int = 1
    ema: float = 0.0
    conditioning: Conditioning = field(default_factory=Conditioning)
    lr: float = 1e-3
    lr_log_z: float = 0.1
    clip_norm: float | None = 10.0
    hidden: int = 128
    layers: int = 2
    device: str = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def dtype(self) -> torch.dtype:
        """Of the policy's arithmetic."""
        return _PRECISIONS[self.precision]


class LogZ(nn.Module):
    """Log of the total flow, one number for each condition and each head: n."""

    def __init__(self, n_conditions: int, heads: int) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(heads))
        self.change = (
            nn.Sequential(nn.Linear(n_conditions, 64), nn.LeakyReLU(), nn.Linear(64, 1)) if n_conditions else None
        )

    def forward(self, n: int, context: Context | None) -> Tensor:
        """Of n trajectories."""
        head = context.head if context is not None else None
        level = self.level.mean().expand(n) if head is None else self.level[head]
        if self.change is not None and context is not None:
            level = level + self.change(context.values)[:, 0]
        return level


class Learner:
    """Trains a policy; keeps the replay.

    Args:
        environment: the space.
        training: the settings.
        seed: of the weights.
        policy: a network of your own; left out, the one that suits the environment.
        prior: weights of a policy that was trained on data. Training starts from them, and a relative objective holds
            the policy against them.

    Raises:
        ValueError: the device is not there, or the settings do not go together.
        ConfigError: the prior is of another environment or policy.
    """

    def __init__(
        self,
        environment: Environment,
        training: Training,
        seed: int,
        policy: Policy | None = None,
        prior: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._environment, self.training = environment, training
        self.device = find_device(training.device)
        named = training.objective
        self.objective: Objective = make_objective(named) if isinstance(named, str) else named
        n_conditions = training.conditioning.n_values
        if n_conditions and not self.objective.uses_log_z:
            raise ValueError(f"{type(self.objective).__name__} has no log Z for each condition: take another objective")
        if training.forward_looking and not self.objective.uses_flows:
            raise ValueError(f"forward_looking: {type(self.objective).__name__} knows no flow of partial objects")
        with torch.random.fork_rng(devices=[]):  # the weights depend on the seed, the global generator on nothing here
            torch.manual_seed(seed)
            sizes = (training.hidden, training.layers, n_conditions, training.heads)
            self.policy = (policy or make_policy(environment, *sizes)).to(self.device)
            self._log_z = LogZ(n_conditions, training.heads).to(self.device)
        self._reference: Policy | None = None
        if prior is not None:
            load_prior(environment, self.policy, prior)
            self._reference = copy.deepcopy(self.policy).requires_grad_(False)
        self._average = AveragedModel(self.policy, multi_avg_fn=_moving_average(training.ema)) if training.ema else None
        self.replay = Replay(training.replay_capacity, training.replay_priority)
        #: what the oracle measured
        self.measured = Replay(1_000_000)
        change = self._log_z.change
        self._optimizer = torch.optim.Adam(
            [
                {"params": self.policy.parameters(), "lr": training.lr},
                {"params": [self._log_z.level], "lr": training.lr_log_z},
                {"params": [] if change is None else list(change.parameters()), "lr": 10 * training.lr},
            ],
            fused=True,
        )
        self._partial_log_reward: Callable[[Tensor], Tensor] | None = None
        self._is_fresh = True

    @property
    def log_z(self) -> Tensor:
        """Log of the total flow, where the reward is not conditioned; the mean over the heads."""
        if self.objective.uses_edges:
            return self.policy.forward_logits(self._environment.initial(1, self.device)).logsumexp(1)[0].detach()
        return self._log_z.level.detach().mean()

    @property
    def sampling_policy(self) -> Policy:
        """The policy that draws."""
        if self._average is None:
            return self.policy
        averaged = self._average.module
        assert isinstance(averaged, Policy)
        return averaged

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights of the policy that draws, to hand to samplers."""
        return {k: v.detach().clone() for k, v in self.sampling_policy.state_dict().items()}

    def start(self, log_reward: AnyReward) -> None:
        """Begins training on a new reward: the replay is scored anew, log Z will be estimated from the first batch."""
        if isinstance(log_reward, StateReward):
            self.replay.rescore_states(log_reward.function)
            self.measured.rescore_states(log_reward.function)
            partial = log_reward.function if log_reward.is_partial else None
        else:
            self.replay.rescore(log_reward)
            self.measured.rescore(log_reward)
            partial = None
        if self.training.forward_looking:
            if partial is None:
                raise ValueError("forward_looking needs a StateReward that holds for partial objects (is_partial=True)")
            self._partial_log_reward = partial
        self._is_fresh = True

    def remember(self, objects: Sequence[str], log_reward: AnyReward) -> int:
        """Takes in objects from elsewhere, such as those that an oracle measured; returns how many are in the space."""
        states, kept = [], []
        for name in objects:
            try:
                states.append(self._environment.encode([name]))
            except ValueError:
                continue
            kept.append(name)
        if kept:
            rows = torch.cat(states).to(self.device)
            is_of_states = isinstance(log_reward, StateReward)
            values = log_reward.function(rows) if isinstance(log_reward, StateReward) else log_reward(kept)
            keys = [tuple(row) for row in rows.tolist()] if is_of_states else kept
            self.measured.add(keys, rows, values)
        return len(kept)

    def jobs(self, seed: int) -> list[SearchJob]:
        """What the samplers are to search around in the next step."""
        generator = torch.Generator().manual_seed(seed)
        found = []
        for search in self.training.searches:
            source = self.measured if search.parents == "measured" else self.replay
            if len(source):
                found.append(SearchJob(search, source.sample(search.size, generator)))
        return found

    def updates(self, draw: Draw, *, seed: int) -> float:
        """The gradient steps of a draw; returns the mean loss."""
        parts = draw.split(self.training.updates)
        losses = [self.update(part, seed=derive_seed(seed, i)) for i, part in enumerate(parts)]
        return sum(losses) / len(losses)

    def update(self, draw: Draw, *, seed: int) -> float:
        """One gradient step on what was drawn and on some from the replay; returns the mean loss of what was drawn.

        Raises:
            ValueError: a log-reward is NaN or +inf, all are -inf, or there is not one for each object.
        """
        draw = draw.to(self.device)
        training, n = self.training, len(draw.trajectories)
        reward = draw.log_reward.to(torch.float32)
        # one wait for a GPU instead of three
        is_wrong = reward.isnan().any() | (reward == torch.inf).any() | (reward == -torch.inf).all()
        if len(reward) != n or bool(is_wrong):
            _refuse(draw.log_reward, n)
        generator = torch.Generator(self.device).manual_seed(seed)
        values = draw.values if draw.values is not None else torch.zeros(n, 0, device=self.device)
        batch, rewards, conditions = [draw.trajectories], [reward], [values]
        for source, size in ((self.replay, training.replay_size), (self.measured, training.measured_size)):
            if size and len(source):
                history, entries, told = self._histories(source, size, seed, generator)
                batch.append(history)
                rewards.append(entries.log_reward.to(self.device, torch.float32))
                conditions.append(told)
        trajectories, values = Trajectories.join(batch), torch.cat(conditions)
        log_reward = training.conditioning.apply(torch.cat(rewards), values)
        # -inf would make every gradient infinite; e^-60 is as good as never
        log_reward = log_reward.clamp(min=log_reward.max() - 60)
        context = self._context(values, generator)
        if self._is_fresh and self.objective.uses_log_z:
            self._estimate_log_z(trajectories, log_reward, context, n)
        self._is_fresh = False
        with torch.autocast(self.device.type, training.dtype, enabled=training.dtype != torch.float32):
            terms = evaluate(
                self._environment,
                self.policy,
                trajectories,
                self.objective,
                log_z=self._log_z(len(trajectories), context),
                log_reward=log_reward,
                backward=training.backward,
                context=context,
                reference=self._reference,
                partial_log_reward=self._partial_log_reward,
            )
            losses = self.objective(terms)
        if not self.objective.uses_log_z and not self.objective.uses_edges:  # told, though nothing needs it
            self._log_z.level.data.fill_((terms.log_reward + terms.log_pb.sum(0) - terms.log_pf.sum(0)).detach().mean())
        self._optimizer.zero_grad()
        torch.autograd.backward(losses.mean())
        if training.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.policy.parameters(), training.clip_norm)
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self.policy)
        self.keep(draw)
        return float(losses[:n].detach().mean())

    def keep(self, draw: Draw) -> None:
        """Takes what was drawn into the replay, where that is used."""
        training = self.training
        if training.replay_size or any(s.parents == "met" for s in training.searches):
            draw = draw.to(self.device)
            self.replay.add(draw.keys, draw.trajectories.terminal, draw.log_reward)

    def _histories(
        self, source: Replay, size: int, seed: int, generator: torch.Generator
    ) -> tuple[Trajectories, Entries, Tensor]:
        """Histories of objects from a replay, the objects, and conditions for them."""
        entries = source.sample(size, torch.Generator().manual_seed(seed))
        values = self.training.conditioning.sample(size, generator)
        history = backward_rollout(
            self._environment,
            self.policy,
            entries.states,
            generator=generator,
            backward=self.training.backward,
            context=self._context(values, generator),
        )
        return history, entries, values

    def _context(self, values: Tensor, generator: torch.Generator) -> Context | None:
        """The conditions of trajectories, and a random member of the ensemble for each to train."""
        heads = self.training.heads
        if not values.shape[1] and heads == 1:
            return None
        head = torch.randint(heads, (len(values),), generator=generator, device=self.device) if heads > 1 else None
        return Context(values if values.shape[1] else None, head)

    @torch.no_grad()
    def _estimate_log_z(self, trajectories: Trajectories, log_reward: Tensor, context: Context | None, n: int) -> None:
        """Sets log Z to where the loss of the first batch is least."""
        log_z = self._log_z(len(trajectories), context)
        terms = evaluate(
            self._environment,
            self.policy,
            trajectories,
            self.objective,
            log_z=log_z,
            log_reward=log_reward,
            backward=self.training.backward,
            context=context,
            reference=self._reference,
            partial_log_reward=self._partial_log_reward,
        )
        toward = terms.log_pb if terms.log_reference is None else terms.log_reference
        off = terms.log_reward + toward.sum(0) - terms.log_pf.sum(0) - log_z
        self._log_z.level.data += off[:n].mean()

    def state_dict(self) -> dict[str, Any]:
        """Everything that a later ``load_state_dict`` needs to go on bit for bit."""
        return copy.deepcopy(
            {
                "policy": self.policy.state_dict(),
                "log_z": self._log_z.state_dict(),
                "average": None if self._average is None else self._average.state_dict(),
                "reference": None if self._reference is None else self._reference.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "replay": self.replay.state_dict(),
                "measured": self.measured.state_dict(),
                "is_fresh": self._is_fresh,
            }
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what ``state_dict`` gave."""
        self.policy.load_state_dict(state["policy"])
        self._log_z.load_state_dict(state["log_z"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if state["reference"] is not None:
            self._reference = copy.deepcopy(self.policy).requires_grad_(False)
            self._reference.load_state_dict(state["reference"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.replay.load_state_dict(state["replay"])
        self.measured.load_state_dict(state["measured"])
        self._is_fresh = state["is_fresh"]


Tensors = tuple[Tensor, ...] | list[Tensor]


def _moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An exponential moving average that starts faster: its decay at step t is at most (1 + t) / (10 + t)."""

    @torch.no_grad()
    def update(averages: Tensors, weights: Tensors, n_averaged: Tensor | int) -> None:
        n = int(n_averaged)
        torch._foreach_lerp_(averages, weights, 1 - min(decay, (1 + n) / (10 + n)))

    return update


def find_device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        ValueError: it is not there.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"device: {name!r} is not there ({reason}); 'cpu' always is") from None
    return device


def _refuse(log_reward: Tensor, n: int) -> None:
    if len(log_reward) != n:
        raise ValueError(f"log-rewards of shape {tuple(log_reward.shape)} for {n} objects")
    if bool(log_reward.isnan().any()) or bool((log_reward == torch.inf).any()):
        raise ValueError("a log-reward is NaN or +inf")
    raise ValueError("every log-reward is -inf: nothing tells one object from another")
