"""The sampler, which draws trajectories with its latest weights and scores their objects."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.back_and_forth import metropolis_hastings
from al_loop.gflownet.backward_rollout import Backward
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.device import tf32_products
from al_loop.gflownet.execution.choice import Execution
from al_loop.gflownet.execution.chunked_rollout import ChunkedRollout, PendingRollout
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.reward import AnyReward, Reward, StateReward
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.scoring import InlineScorer, Scorer, Scores
from al_loop.gflownet.searches.base import Parents, Search, SearchContext
from al_loop.gflownet.sources import Entries
from al_loop.gflownet.state_checks import check_starts
from al_loop.gflownet.trajectories import Trajectories
from al_loop.system import stopping
from al_loop.system.checks import in_range, whole_number

#: prefix of the names of a live reward's weights among those that a learner sends
REWARD_PREFIX = "reward:"


@dataclass(frozen=True)
class Draw:
    """Trajectories with the rewards of their objects.

    Args:
        trajectories: n trajectories.
        log_reward: log-rewards of the objects, shape n or n x objectives, before any conditioning and without
            subtracting ``log_multiplicity`` of the states.
        objects: n objects; None if the reward is a function of states.
        values: conditions of each trajectory, shape n x n_values; None: no conditions.
    """

    trajectories: Trajectories
    log_reward: Tensor
    objects: list[str] | None = None
    values: Tensor | None = None

    @property
    def keys(self) -> list[Hashable]:
        """The identity of each object: the object itself, or its state."""
        if self.objects is not None:
            return list(self.objects)
        return [tuple(row) for row in self.trajectories.terminal.tolist()]

    def to(self, device: torch.device | str) -> Draw:
        """Return the same draw on another device."""
        values = None if self.values is None else self.values.to(device)
        return Draw(self.trajectories.to(device), self.log_reward.to(device), self.objects, values)

    @property
    def n_bytes(self) -> int:
        """Total size of the draw's tensors in bytes."""
        tensors = (self.trajectories.states, self.trajectories.actions, self.log_reward, self.values)
        return sum(t.nbytes for t in tensors if t is not None)

    def split(self, count: int, block: int = 1) -> list[Draw]:
        """Divide the draw into interleaved parts of about the same size.

        Args:
            count: number of parts, fewer if there are fewer blocks.
            block: number of successive trajectories that stay together, such as those of one condition.
        """
        if count == 1:
            return [self]
        rows = range(len(self.trajectories))
        count = min(count, -(-len(rows) // block))
        return [self._pick([row for row in rows if row // block % count == i]) for i in range(count)]

    def _pick(self, rows: Sequence[int]) -> Draw:
        index = torch.tensor(rows)
        return Draw(
            self.trajectories.pick(index),
            self.log_reward[index],
            None if self.objects is None else [self.objects[row] for row in rows],
            None if self.values is None else self.values[index],
        )

    @staticmethod
    def join(draws: Sequence[Draw]) -> Draw:
        """Concatenate several draws."""
        values = [d.values for d in draws if d.values is not None]
        return Draw(
            Trajectories.join([d.trajectories for d in draws]),
            torch.cat([d.log_reward for d in draws]),
            None if draws[0].objects is None else [o for d in draws for o in d.objects or []],
            torch.cat(values) if values else None,
        )


@dataclass(frozen=True)
class SearchJob:
    """A search and the objects around which to run it."""

    search: Search
    parents: Entries

    def to(self, device: torch.device | str) -> SearchJob:
        """Return the same job on another device."""
        parents = self.parents
        return SearchJob(self.search, Entries(parents.keys, parents.states.to(device), parents.log_reward.to(device)))


@dataclass(frozen=True)
class DrawRequest:
    """Arguments of ``Sampler.draw``, as they are sent to a sampler.

    Raises:
        ValueError: an argument is out of range.
    """

    n: int
    seed: int
    epsilon: float = 0.0
    temperature: float = 1.0
    jobs: Sequence[SearchJob] = ()
    is_scored: bool = True
    per_condition: int = 1

    def __post_init__(self) -> None:
        whole_number("n", self.n, 0)
        whole_number("per_condition", self.per_condition, 1)
        in_range("epsilon", self.epsilon, 0, 1)
        in_range("temperature", self.temperature, 0, above=True, below=True)


@dataclass(frozen=True)
class _Drawn:
    """Trajectories that a GPU may still compute, or whose objects may still be scored by other processes.

    Args:
        finish: waits for the trajectories and their scores.
        values: conditions of the trajectories, shape n x n_values.
    """

    finish: Callable[[], tuple[Trajectories, Scores]]
    values: Tensor

    def result(self) -> Draw:
        """Wait for the scores, and return the draw."""
        trajectories, scores = self.finish()
        values = self.values if self.values.shape[1] else None
        return Draw(trajectories, scores.log_reward, scores.objects, values)


@dataclass(frozen=True)
class PendingDraw:
    """A draw that is complete but for the scores of what the policy has drawn.

    Args:
        drawn: what the policy has drawn; None: nothing.
        found: what the searches have found.
    """

    drawn: _Drawn | None
    found: Sequence[Draw]

    @torch.no_grad()
    def result(self) -> Draw:
        """Wait for the scores, and return the draw."""
        return Draw.join([*([] if self.drawn is None else [self.drawn.result()]), *self.found])


class Sampler:
    """A sampler of trajectories that also evaluates their rewards; used both inline and in Ray actors.

    Args:
        environment: the space.
        policy: the policy, on the device to compute on.
        conditioning: the conditions of the reward.
        backward: the backward policy, for searches that undo steps.
        precision: dtype of the policy's arithmetic.
        scorer: scores what is drawn; None: in this process.
        execution: the way to execute roll-outs; None: plain.
        uses_tf32: whether a GPU multiplies float32 matrices in TF32.
    """

    def __init__(
        self,
        environment: Environment,
        policy: Policy,
        conditioning: Conditioning | None = None,
        backward: Backward = "learned",
        precision: torch.dtype = torch.float32,
        scorer: Scorer | None = None,
        execution: Execution | None = None,
        uses_tf32: bool = False,
    ) -> None:
        self._environment, self._policy, self._backward = environment, policy, backward
        self._conditioning = conditioning or Conditioning()
        self._precision, self._uses_tf32 = precision, uses_tf32
        self._scorer = scorer or InlineScorer(environment)
        self._execution = execution
        self._chunked = None if execution is None else ChunkedRollout(environment, policy, execution, precision)
        self._pending: list[PendingRollout] = []

    @property
    def device(self) -> torch.device:
        """The device of the policy."""
        return next(self._policy.parameters()).device

    def set_reward(self, log_reward: AnyReward) -> None:
        """Set the reward of later draws."""
        if self._execution is not None and isinstance(log_reward, StateReward) and log_reward.is_recordable:
            function = self._execution.compile(log_reward.function)
            # twice, since the first call runs uncompiled
            recorded = self._execution.record(lambda states: (function(states),), warm_ups=2)
            log_reward = replace(log_reward, function=lambda states: recorded(states)[0].clone())
        self._scorer.set_reward(log_reward)

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set the weights of the policy, and of a live reward, for later draws.

        Args:
            weights: see ``Learner.weights``.
        """
        with self._arithmetic():
            for rollout in self._pending:  # one that is repeated has the weights with which it began
                rollout.result()
        self._policy.load_trainable_state({k: v for k, v in weights.items() if not k.startswith(REWARD_PREFIX)})
        reward = {k.removeprefix(REWARD_PREFIX): v for k, v in weights.items() if k.startswith(REWARD_PREFIX)}
        log_reward = self._scorer.log_reward
        if reward and isinstance(log_reward, StateReward) and log_reward.live_module is not None:
            log_reward.live_module.load_state_dict(reward)

    def fill(self, request: DrawRequest) -> Draw:
        """Return the draw for a request."""
        return self.begin(request).result()

    def close(self) -> None:
        """End the processes that score what is drawn, if there are any."""
        self._scorer.close()

    def draw(
        self,
        n: int,
        *,
        seed: int,
        epsilon: float = 0.0,
        temperature: float = 1.0,
        beta: float | None = None,
        weights: Sequence[float] | None = None,
        jobs: Sequence[SearchJob] = (),
        is_scored: bool = True,
        per_condition: int = 1,
        start: Tensor | None = None,
    ) -> Draw:
        """Return n objects drawn by the policy, followed by the objects from searches.

        Args:
            n: number of objects drawn by the policy; may be 0 if there are searches to run.
            seed: source of all randomness.
            epsilon: share of uniform actions.
            temperature: divisor of the policy's logits.
            beta: inverse temperature, if the sampler is conditioned on it. Without ``beta`` and ``weights``, conditions
                are drawn at random, as in training.
            weights: preferences between the objectives, if the sampler is conditioned on them.
            jobs: searches to run in addition.
            is_scored: whether to evaluate the reward; if not, all log-rewards are 0.
            per_condition: successive objects of each condition, where conditions are drawn at random.
            start: unfinished states from which to start, shape n x state_size; None: the environment draws conditions
                at random, if it has any.

        Raises:
            ValueError: nothing is to be drawn, an argument or the conditions are out of range, or a state to start from
                is finished.
        """
        if start is not None:
            check_starts(self._environment, start, n)
        request = DrawRequest(n, seed, epsilon, temperature, jobs, is_scored, per_condition)
        return self.begin(request, beta, weights, start).result()

    @torch.no_grad()
    def begin(
        self,
        request: DrawRequest,
        beta: float | None = None,
        weights: Sequence[float] | None = None,
        start: Tensor | None = None,
    ) -> PendingDraw:
        """Draw trajectories and run searches, and begin to score the former; see ``draw`` for the arguments."""
        n = request.n
        if n < 1 and not request.jobs:
            raise ValueError(f"n must be at least 1, got {n}")
        generator = torch.Generator(self.device).manual_seed(request.seed)
        if beta is None and weights is None:
            values = self._conditioning.sample(n, generator, request.per_condition)
        else:
            values = self._conditioning.fixed(n, beta, weights).to(self.device)
        context = self._context(values, generator)
        drawn: _Drawn | None = None
        with self._arithmetic():
            if n:
                if start is None:
                    start = self._environment.sample_starts(n, request.per_condition, generator)
                options: dict[str, Any] = {
                    "generator": generator,
                    "epsilon": request.epsilon,
                    "temperature": request.temperature,
                    "context": context,
                }
                start = start.to(self.device)
                if self._chunked is None:
                    pending = PendingRollout(rollout(self._environment, self._policy, n, start=start, **options))
                else:
                    pending = self._chunked.begin(start, **options)
                    self._pending = [one for one in (*self._pending, pending) if not one.is_finished]
                if request.jobs:  # these go on with the generator
                    pending = PendingRollout(pending.result())
                drawn = self._score(pending, values) if request.is_scored else self._unscored(pending, values)
            found = [draw for job in request.jobs for draw in self._search(job, generator)]
        return PendingDraw(drawn, found)

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Compute in the types of the settings."""
        is_cast = self._precision != torch.float32
        with (
            tf32_products(self.device, self._uses_tf32),
            torch.autocast(self.device.type, self._precision, enabled=is_cast),
        ):
            yield

    def _context(self, values: Tensor, generator: torch.Generator) -> Context | None:
        """Return the conditions of trajectories, and a random ensemble member that decides for each of them."""
        heads = self._policy.heads
        if not values.shape[1] and heads == 1:
            return None
        head = torch.randint(heads, (len(values),), generator=generator, device=self.device) if heads > 1 else None
        return Context(values if values.shape[1] else None, head)

    def _score(self, rollout: PendingRollout, values: Tensor) -> _Drawn:
        """Begin to score what is drawn; on a GPU without waiting for it, where a reward is recordable."""
        reward = self._scorer.log_reward
        waits = not (isinstance(reward, StateReward) and reward.is_recordable)
        tentative = rollout.result() if waits else rollout.tentative
        begun = self._scorer.begin(tentative.terminal)

        def finish() -> tuple[Trajectories, Scores]:
            if waits:
                return tentative, begun.result()
            with self._arithmetic():
                trajectories = rollout.result()
                scores = self._scorer.begin(trajectories.terminal) if rollout.is_repeated else begun
                return trajectories, scores.result()

        return _Drawn(finish, values)

    def _unscored(self, rollout: PendingRollout, values: Tensor) -> _Drawn:
        trajectories = rollout.result()
        objects = self._scorer.decode(trajectories.terminal)
        scores = Scores(torch.zeros(len(objects)), objects)
        return _Drawn(lambda: (trajectories, scores), values)

    def _search(self, job: SearchJob, generator: torch.Generator) -> list[Draw]:
        """Run a search for all its rounds; accepted children replace their parents."""
        states, rewards = job.parents.states.to(self.device), job.parents.log_reward
        values = self._conditioning.sample(len(states), generator)
        search = SearchContext(self._environment, self._policy, self._backward, self._context(values, generator))
        best = self._conditioning.apply(rewards.to(self.device), values)
        keys = list(job.parents.keys)
        draws = []
        for _ in range(job.search.rounds):
            stopping.look()
            move = job.search.move(search, Parents(states, self._uncertainty(keys, states)), generator)
            draw = self._score(PendingRollout(move.trajectories), values).result()
            draws.append(draw)
            reward = self._conditioning.apply(draw.log_reward.to(self.device), values)
            if move.log_ratio is None:
                is_accepted = reward > best
            else:
                is_accepted = metropolis_hastings(move.log_ratio, best, reward, generator)
            states = torch.where(is_accepted[:, None], move.states, states)
            best = torch.where(is_accepted, reward, best)
            accepted = is_accepted.tolist()
            keys = [new if is_new else old for new, old, is_new in zip(draw.keys, keys, accepted, strict=True)]
        return draws

    def _uncertainty(self, keys: Sequence[Hashable], states: Tensor) -> Tensor | None:
        """Return the uncertainty of the reward about objects, or None if it does not report any."""
        log_reward = self._scorer.log_reward
        if isinstance(log_reward, StateReward):
            return None if log_reward.uncertainty is None else log_reward.uncertainty(states)
        if not isinstance(log_reward, Reward):
            return None
        uncertainty = log_reward.uncertainty([str(key) for key in keys])
        return None if uncertainty is None else uncertainty.to(self.device)
