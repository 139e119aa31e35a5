"""The learner, which owns the weights and trains them on trajectories from any source."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from operator import methodcaller
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.batch_training import Batch, BatchTraining
from al_loop.gflownet.conditions import Conditions
from al_loop.gflownet.device import find_device, tf32_products
from al_loop.gflownet.execution.choice import choose_execution
from al_loop.gflownet.execution.fixed_batch_training import FixedBatchTraining
from al_loop.gflownet.learner_sources import LearnerSources
from al_loop.gflownet.log_z import LogZ, total_flow
from al_loop.gflownet.objectives import make_objective
from al_loop.gflownet.objectives.base import Objective
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.policy_checks import check_policy
from al_loop.gflownet.priors import load_prior
from al_loop.gflownet.replay import Replay
from al_loop.gflownet.replicas import Replicas, on_cpu
from al_loop.gflownet.reward import AnyReward, StateReward, as_log_reward, check_log_reward
from al_loop.gflownet.sampler import REWARD_PREFIX, Draw, SearchJob
from al_loop.gflownet.saved_state import check_entries
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.sources import Entries, Source
from al_loop.gflownet.trained_weights import TrainedWeights
from al_loop.gflownet.trajectories import Trajectories
from al_loop.seeding import derive_seed

#: entries of a saved state that are always loaded
_ENTRIES = ("policy", "log_z", "average", "optimizer", "replay", "measured", "reference", "is_fresh")


class Learner:
    """The owner and trainer of a policy, with its replay buffers.

    Args:
        environment: the space.
        training: the settings.
        seed: seed of the weights.
        policy: the policy network; None: the environment's default policy.
        prior: weights of a policy trained on data. Training starts from them, and a relative objective uses them as its
            reference.
        replicas: other processes that share each batch; None: the learner trains alone.

    Raises:
        ValueError: the device is not available, or the settings cannot be combined with each other or the policy.
        ConfigError: the prior is for another environment or policy.
    """

    def __init__(
        self,
        environment: Environment,
        training: TrainingSettings,
        seed: int,
        policy: Policy | None = None,
        prior: Mapping[str, Tensor] | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        self._environment, self.training = environment, training
        self.device = find_device(training.device)
        objective = training.objective
        self.objective: Objective = make_objective(objective) if isinstance(objective, str) else objective
        n_conditions = training.conditioning.n_values
        has_starts = bool(environment.condition_size) and self.objective.uses_log_z
        training.check_objective(self.objective)
        training.check_groups(self.objective, environment.n_conditions)
        with torch.random.fork_rng(devices=[]):  # the weights depend on the seed, the global generator is unaffected
            torch.manual_seed(seed)
            sizes = (training.hidden, training.layers, n_conditions, training.heads)
            self.policy = (policy or make_policy(environment, *sizes)).to(self.device)
            self._log_z = LogZ(n_conditions, training.heads, has_starts).to(self.device)
        if prior is not None:
            load_prior(environment, self.policy, prior)
        if policy is not None:
            check_policy(self.policy, environment, training)
        self._weights = TrainedWeights(self.policy, self._log_z, training)
        #: the way to execute roll-outs and gradient steps; None: plain, as where steps are not all alike
        self.execution = None
        reads = self.policy.reads_from_device or environment.reads_from_device
        if replicas is None and not self.objective.uses_drawing_policy and not reads:
            self.execution = choose_execution(training.execution, self.device, training.steps)
        parts = (environment, training, self.objective, self._weights, self.device)
        self._batches = BatchTraining(*parts) if self.execution is None else FixedBatchTraining(*parts, self.execution)
        self._sources = LearnerSources(environment, training, self.device)
        self._log_reward: AnyReward | None = None
        self._is_fresh = True
        self._replicas = replicas
        if replicas is not None:
            replicas.start(environment, training, self._batches)
        if prior is not None:
            self._set_reference(copy.deepcopy(self.policy))
        elif self.objective.uses_reference:
            self._batches.reference = self.policy.reference()

    @property
    def _reference(self) -> Policy | None:
        return self._batches.reference

    def _set_reference(self, reference: Policy) -> None:
        """Set the frozen policy of a relative objective, in all processes."""
        self._batches.reference = reference.requires_grad_(False)
        if self._replicas is not None:
            self._replicas.call(methodcaller("set_reference", on_cpu(reference)))

    @property
    def log_z(self) -> Tensor:
        """Log of the total flow for an unconditioned reward; the mean over the heads."""
        if self.objective.uses_edges or self.objective.uses_stops:
            return self.log_z_of(self._environment.initial(1, self.device))[0]
        return self._log_z.level.detach().mean()

    def log_z_of(self, start: Tensor, values: Tensor | None = None) -> Tensor:
        """Return the log of the total flow under conditions, shape n.

        Args:
            start: initial states, such as those of conditions, shape n x state_size.
            values: temperatures and preferences, shape n x n_values, as from ``Conditioning.fixed``; None: the reward
                is not conditioned on any.

        Raises:
            ValueError: values are missing, or the objective learns no flow of a condition.
        """
        parts = (self._environment, self.objective, self._log_z, self.policy, start.to(self.device))
        reward = self._log_reward if isinstance(self._log_reward, StateReward) else None
        values = None if values is None else values.to(self.device)
        return total_flow(*parts, values, self.training.conditioning, reward)

    @property
    def replay(self) -> Replay:
        """Objects drawn earlier."""
        return self._sources.replay

    @property
    def measured(self) -> Replay:
        """Objects that the oracle measured."""
        return self._sources.measured

    @property
    def sampling_policy(self) -> Policy:
        """The policy that draws: the trained one, or its moving average."""
        return self._weights.sampling_policy

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights of the policy that draws, and of a live reward, to send to samplers."""
        weights = {k: v.detach().clone() for k, v in self.sampling_policy.trainable_state().items()}
        return weights | {REWARD_PREFIX + k: v for k, v in (self._live_weights() or {}).items()}

    def _live_weights(self) -> dict[str, Tensor] | None:
        """Return a copy of the weights of a live reward, or None if there are none."""
        if not isinstance(self._log_reward, StateReward) or self._log_reward.live_module is None:
            return None
        return {k: v.detach().clone() for k, v in self._log_reward.live_module.state_dict().items()}

    def add_source(self, source: Source, size: int) -> None:
        """Train on objects of another source, too. It is given the objects of every draw, which it may keep.

        Args:
            source: the source, on the learner's device; it is part of the learner's state.
            size: number of its objects in each step.

        Raises:
            ValueError: the objective learns from its own draws alone, an object of the source is not in the space, or
                a log-reward is NaN or +inf.
        """
        if self.objective.is_on_policy:
            raise ValueError(f"{type(self.objective).__name__} learns from its own draws alone, not from a source")
        self._sources.add_source(source, size)

    def scale_rates(self, share: float) -> None:
        """Set every learning rate to a share of that of the settings, for a schedule."""
        self._weights.scale_rates(share)
        if self._replicas is not None:
            self._replicas.call(methodcaller("scale_rates", share))

    def start(self, log_reward: AnyReward) -> None:
        """Begin training on a new reward: rescore the replay, and re-estimate log Z from the first batch.

        Raises:
            ValueError: the settings require a reward of partial objects, or the environment a reward of states, which
                this is not.
        """
        if self._environment.condition_size and not isinstance(log_reward, StateReward):
            raise ValueError(
                "a conditioned environment requires a StateReward, since a function of objects does not see the "
                "condition; use StateReward(function of terminal states)"
            )
        if self.objective.uses_stops and not (isinstance(log_reward, StateReward) and self._environment.has_stop):
            raise ValueError(
                f"objective: {type(self.objective).__name__} requires the reward of stopping at each step: a "
                "StateReward, and an environment with a stop action"
            )
        if self.training.forward_looking and not (isinstance(log_reward, StateReward) and log_reward.is_partial):
            raise ValueError("forward_looking requires a StateReward of partial objects (is_partial=True)")
        self._log_reward = log_reward
        if isinstance(log_reward, StateReward) and (self.training.forward_looking or self.objective.uses_stops):
            self._batches.state_reward = log_reward
            if self._replicas is not None:
                self._replicas.call(methodcaller("set_reward", log_reward))
        self._sources.rescore(log_reward)
        self._is_fresh = True

    @property
    def best_objects(self) -> list[str]:
        """The objects in the replay, the best (or newest) first."""
        return self._sources.best_objects

    def remember(self, objects: Sequence[str], log_reward: AnyReward) -> int:
        """Add objects from other sources, such as those that an oracle measured.

        Args:
            objects: the objects; those outside the space are skipped.
            log_reward: their reward.

        Returns:
            The number of objects that are in the space.
        """
        return self._sources.remember(objects, log_reward)

    def start_from(self, objects: Sequence[str], log_reward: AnyReward) -> None:
        """Add objects to the replay, from which searches start; those outside the space are skipped.

        Args:
            objects: the objects.
            log_reward: their reward.
        """
        self._sources.start_from(objects, log_reward)

    def jobs(self, seed: int) -> list[SearchJob]:
        """Return the searches of the next step, with the objects around which to run them."""
        return self._sources.jobs(seed)

    def updates(self, draw: Draw, *, seed: int) -> float:
        """Make all gradient steps of a draw, and return the mean loss.

        Args:
            draw: trajectories for ``training.updates`` steps.
            seed: seed of the random choices.
        """
        parts = draw.split(self.training.updates, self.training.per_condition)
        losses = [self.update(part, seed=derive_seed(seed, i), is_new=i == 0) for i, part in enumerate(parts)]
        for epoch in range(1, self.training.epochs):
            for i, part in enumerate(parts):
                losses.append(self._update(part, derive_seed(seed, i, epoch), is_new=False))
        return sum(losses) / len(losses)

    def update(self, draw: Draw, *, seed: int, is_new: bool = True) -> float:
        """Make one gradient step on a draw and objects from the replay, and return the mean loss of the draw.

        Args:
            draw: n trajectories, which are then added to the replay.
            seed: seed of the random choices.
            is_new: whether the present policy drew them, rather than that of an earlier step.

        Raises:
            ValueError: a log-reward is NaN or +inf, all are -inf, or their number is not n.
        """
        loss = self._update(draw, seed, is_new)
        self.add_to_replay(draw)
        return loss

    def _update(self, draw: Draw, seed: int, is_new: bool) -> float:
        """Make one gradient step, see ``update``."""
        draw = draw.to(self.device)
        training, n = self.training, len(draw.trajectories)
        reward = self._current(draw.trajectories.terminal, draw.log_reward)
        generator = torch.Generator(self.device).manual_seed(seed)
        values = draw.values if draw.values is not None else torch.zeros(n, 0, device=self.device)
        batch, rewards, conditions = [draw.trajectories], [reward], [values]
        for source, size in self._sources.sizes:
            if size and len(source):
                history, entries, entry_values = self._histories(source, size, seed, generator, values)
                batch.append(history)
                rewards.append(self._current(history.terminal, entries.log_reward))
                conditions.append(entry_values)
        if self.execution is None or self._is_fresh:  # later, a step of fixed shape is not made if a loss is not finite
            check_log_reward(reward, n, rewards[1:])
        trajectories, values = Trajectories.join(batch), torch.cat(conditions)
        starts = trajectories.states[0][:, : self._environment.condition_size]
        joined = Conditions(starts, values, training.conditioning)
        plain = torch.cat(rewards)
        log_reward = joined.floored(plain, training.floor)
        lowest = None
        if self._batches.state_reward is not None:  # rewards of other states than the last ones
            lowest = joined.lowest(plain, training.floor).expand(len(plain)).contiguous()
        group = joined.group if self.objective.uses_groups else None
        context = self._context(values, generator)
        joined_batch = Batch(
            trajectories, log_reward, context, group, len(trajectories), n, self._is_fresh, is_new, lowest
        )
        self._is_fresh = False
        if self._replicas is None:
            with tf32_products(self.device, training.uses_tf32):
                loss = self._batches.step(joined_batch, reward)
        else:
            loss = self._replicas.step(joined_batch, self._live_weights())
        return loss

    @torch.no_grad()
    def _current(self, states: Tensor, log_reward: Tensor) -> Tensor:
        """Return the log-rewards of terminal states, evaluated anew if the reward is live."""
        if isinstance(self._log_reward, StateReward) and self._log_reward.is_live:
            log_reward = self._log_reward.function(states)
        return as_log_reward(log_reward, len(states)).to(self.device, torch.float32)

    def add_to_replay(self, draw: Draw) -> None:
        """Add the objects of a draw to the replay, unless nothing uses it, and offer them to other sources."""
        self._sources.add_draw(draw)

    def _histories(
        self, source: Source, size: int, seed: int, generator: torch.Generator, drawn: Tensor
    ) -> tuple[Trajectories, Entries, Tensor]:
        """Return random histories of objects from a source, the objects, and their temperatures and preferences.

        An object of a source may have any of these, since its log-rewards are stored without them. They are those of
        the draw where trajectories of the same condition are compared. The condition in its state stays.
        """
        entries = source.sample(size, torch.Generator().manual_seed(seed))
        if self.training.per_condition > 1 and drawn.shape[1]:
            values = drawn[torch.randint(len(drawn), (size,), generator=generator, device=self.device)]
        else:
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
        """Return the conditions of trajectories, and a random ensemble member to train for each of them."""
        heads = self.training.heads
        if not values.shape[1] and heads == 1:
            return None
        head = torch.randint(heads, (len(values),), generator=generator, device=self.device) if heads > 1 else None
        return Context(values if values.shape[1] else None, head)

    def state_dict(self) -> dict[str, Any]:
        """Return the complete state, from which ``load_state_dict`` resumes bit for bit."""
        return copy.deepcopy(
            {
                **self._weights.state_dict(),
                **self._sources.state_dict(),
                "reference": None if self._reference is None else self._reference.trainable_state(),
                "is_fresh": self._is_fresh,
            }
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by ``state_dict``, under settings that may differ from those of that time.

        Raises:
            Exception: the state does not fit; the type depends on what differs, and this learner's state is unchanged.
        """
        check_entries(state, _ENTRIES, "Learner.state_dict")
        before, reference = self.state_dict(), self._reference
        try:
            self._load(state)
        except Exception:
            self._load(before)
            self._batches.reference = reference
            raise
        if self._replicas is not None:
            self._replicas.call(methodcaller("load", self._weights.state_dict()))
            if self._reference is not None:
                self._set_reference(self._reference)

    def _load(self, state: Mapping[str, Any]) -> None:
        self._batches.forget()
        self._weights.load_state_dict(state)
        if state["reference"] is not None:
            reference = self._reference or copy.deepcopy(self.policy).requires_grad_(False)
            reference.load_trainable_state(state["reference"])
            self._batches.reference = reference
        self._sources.load_state_dict(state)
        self._is_fresh = state["is_fresh"]

    def close(self) -> None:
        """End the replicas, if there are any."""
        if self._replicas is not None:
            self._replicas.close()
