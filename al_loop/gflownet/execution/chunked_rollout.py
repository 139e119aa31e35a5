"""Roll-outs in chunks of steps with fixed shapes, after each of which finished trajectories are dropped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.execution.choice import Execution
from al_loop.gflownet.execution.graphs import MOST_FAILURES, Recorded
from al_loop.gflownet.execution.plan import Plan
from al_loop.gflownet.execution.steps import NO_ACTION, ChunkNoise, Step, take_step, take_steps
from al_loop.gflownet.fixed_shapes import fixed_shapes
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.trajectories import Trajectories
from al_loop.system import stopping

_KEPT = 8  # plans whose kernels are kept


@dataclass(frozen=True)
class _Point:
    """The state of a roll-out between two chunks.

    Args:
        rows: the trajectories that take part, shape m; None: all.
        states: their states, shape m x state_size.
        all_states: the states of all trajectories, shape n x state_size.
    """

    rows: Tensor | None
    states: Tensor
    all_states: Tensor


class ChunkedRollout:
    """Draws trajectories in chunks of steps, each of them compiled or recorded.

    On a GPU, how many trajectories take part in each chunk is planned from earlier draws, so that a whole roll-out is
    one recording and nothing is read before its end; if trajectories lacked a place, it is repeated with more of them.
    The result does not depend on the plan, since each trajectory has its own random numbers.

    Args:
        environment: the space.
        policy: the policy.
        execution: how steps are executed.
        precision: dtype of the policy's arithmetic.
        chunk: number of steps in a chunk.
        is_planned: whether to plan; None: on all devices but the CPU, whose values can be read at once.
    """

    def __init__(
        self,
        environment: Environment,
        policy: Policy,
        execution: Execution,
        precision: torch.dtype = torch.float32,
        chunk: int = 8,
        is_planned: bool | None = None,
    ) -> None:
        self._environment, self._policy, self._execution = environment, policy, execution
        self._precision, self._is_planned = precision, is_planned
        # a policy with a memory takes all steps in one chunk
        self._chunk = min(chunk, environment.max_steps) if policy.is_markov else environment.max_steps
        self._advances: dict[float, Callable[..., Any]] = {}
        self._planned: OrderedDict[tuple[float, tuple[int, ...]], Callable[..., Any]] = OrderedDict()
        self._plans: dict[int, Plan] = {}
        #: number of times that values were read from the device
        self.n_reads = 0

    def draw(
        self,
        start: Tensor,
        *,
        generator: torch.Generator,
        epsilon: float = 0.0,
        temperature: float = 1.0,
        context: Context | None = None,
    ) -> Trajectories:
        """Draw a trajectory from each start state.

        Args:
            start: states, shape n x state_size.
            generator: source of all randomness, on the device of the states.
            epsilon: share of uniform actions.
            temperature: divisor of the logits.
            context: context of each trajectory.

        Raises:
            ValueError: a state that is not terminal allows no action, a logit is not finite, or a trajectory does not
                end within ``max_steps``.
        """
        noise = ChunkNoise(self._environment, len(start), self._chunk, epsilon, generator)
        is_planned = start.device.type != "cpu" if self._is_planned is None else self._is_planned
        run = self._draw_planned if is_planned else self._draw_in_turn
        with torch.no_grad(), fixed_shapes():
            states, actions, outcomes = run(start, noise, temperature, context)
        if outcomes[-1][0]:
            limit = self._environment.max_steps
            raise ValueError(f"a trajectory did not end within max_steps ({limit}) of the environment")
        n_steps = min(len(actions), self._environment.max_steps)
        if start.device.type == "cpu":  # without steps that no trajectory takes
            n_steps = int((actions[:n_steps] >= 0).any(1).sum())
        return Trajectories(states[: n_steps + 1], actions[:n_steps], sum(n_taken for _, _, n_taken in outcomes))

    def _draw_in_turn(
        self, start: Tensor, noise: ChunkNoise, temperature: float, context: Context | None
    ) -> tuple[Tensor, Tensor, list[list[int]]]:
        """Draw chunk by chunk, each with as many trajectories as the one before has left."""
        point, size = _Point(None, start, start), len(start)
        states, actions = [start[None]], []
        outcomes: list[list[int]] = []
        while not outcomes or (outcomes[-1][0] and len(outcomes) < self._n_chunks):
            stopping.look()
            noises = noise.of(len(outcomes))
            point, block, taken, outcome = self._take_chunk(point, size, noises, temperature, context)
            states.append(block)
            actions.append(taken)
            outcomes += self._read(outcome[None])
            left = outcomes[-1][0]
            size = size if 4 * left > 3 * size else max(left, min(size, 2))
        return torch.cat(states), torch.cat(actions), outcomes

    def _draw_planned(
        self, start: Tensor, noise: ChunkNoise, temperature: float, context: Context | None
    ) -> tuple[Tensor, Tensor, list[list[int]]]:
        """Draw by a plan, and again by a better one if it was too small."""
        n = len(start)
        values, head = (None, None) if context is None else (context.values, context.head)
        plan = self._plans.setdefault(n, Plan(n, self._n_chunks))
        while True:
            stopping.look()
            sizes = plan.sizes
            noises = [part for number in range(len(sizes)) for part in noise.of(number)]
            states, actions, outcome = self._function_of(temperature, sizes)(start, values, head, *noises)
            outcomes = self._read(outcome)
            if plan.met([n_alive for n_alive, _, _ in outcomes]):
                return states.clone(), actions.clone(), outcomes

    @property
    def _n_chunks(self) -> int:
        """The largest number of chunks."""
        return -(-self._environment.max_steps // self._chunk)

    def _read(self, outcomes: Tensor) -> list[list[int]]:
        """Wait for chunks; return the outcome of each, as ``take_steps`` does."""
        self.n_reads += 1
        found: list[list[int]] = outcomes.tolist()
        if any(n_wrong for _, n_wrong, _ in found):
            raise ValueError(NO_ACTION)
        return found

    def _function_of(self, temperature: float, sizes: tuple[int, ...]) -> Callable[..., Any]:
        """Return the function of a whole roll-out by a plan."""
        key = (temperature, sizes)
        run = self._planned.pop(key, None)
        if run is None:

            def roll_out(
                start: Tensor, values: Tensor | None, head: Tensor | None, *noises: Tensor | None
            ) -> tuple[Tensor, Tensor, Tensor]:
                context = None if values is None and head is None else Context(values, head)
                point = _Point(None, start, start)
                states, actions, outcomes = [start[None]], [], []
                for number, size in enumerate(sizes):
                    own = noises[2 * number], noises[2 * number + 1]
                    point, block, taken, outcome = self._take_chunk(point, size, own, temperature, context)
                    states.append(block)
                    actions.append(taken)
                    outcomes.append(outcome)
                return torch.cat(states), torch.cat(actions), torch.stack(outcomes)

            # if the plans so far could not be recorded, others cannot, either
            n_failures = sum(known.n_failures for known in self._planned.values() if isinstance(known, Recorded))
            # twice, since the first step runs uncompiled once
            run = roll_out if n_failures >= MOST_FAILURES else self._execution.record(roll_out, warm_ups=2)
        self._planned[key] = run
        if len(self._planned) > _KEPT:
            self._planned.popitem(last=False)
        return run

    def _take_chunk(
        self,
        point: _Point,
        size: int,
        noises: tuple[Tensor | None, Tensor | None],
        temperature: float,
        context: Context | None,
    ) -> tuple[_Point, Tensor, Tensor, Tensor]:
        """Take the steps of a chunk with ``size`` trajectories, among them all unfinished ones.

        Returns:
            The state afterwards; the states of all trajectories, K x n x state_size; their actions, K x n; the outcome.
        """
        noise, explores = noises
        assert noise is not None
        if size < len(point.states):
            order = self._environment.is_terminal(point.states).byte().argsort(stable=True)[:size]
            left = order if point.rows is None else point.rows[order]
            point = _Point(left, point.states[order], point.all_states)
        rows = point.rows
        if rows is not None:
            noise, explores = noise[:, rows], None if explores is None else explores[:, rows]
            context = None if context is None else context.rows(rows)
        advance = self._advances.get(temperature)
        if advance is None:
            advance = self._advances[temperature] = self._prepare(temperature)
        after, taken, outcome = advance(point.states, noise, explores, context)
        if rows is None:
            return _Point(None, after[-1], after[-1]), after, taken, outcome
        shape = (len(after), len(point.all_states))
        block = point.all_states.expand(len(after), -1, -1).index_copy(1, rows, after)
        actions = torch.full(shape, -1, dtype=taken.dtype, device=taken.device).index_copy(1, rows, taken)
        return _Point(rows, after[-1], block[-1]), block, actions, outcome

    def _prepare(self, temperature: float) -> Callable[..., Any]:
        """Return the function of a chunk for one temperature, of which the steps are compiled."""
        environment, policy, precision = self._environment, self._policy, self._precision

        def in_precision(function: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(function)
            def call(states: Tensor, *inputs: Any) -> Any:
                is_cast = precision != torch.float32
                # without a cache of cast weights, which a recording would never refresh
                with torch.autocast(states.device.type, precision, enabled=is_cast, cache_enabled=False):
                    return function(states, *inputs)

            return call

        def one(states: Tensor, noise: Tensor, explores: Tensor | None, context: Context | None, memory: Any) -> Any:
            return take_step(environment, policy, states, noise, explores, context, memory, temperature)

        def several(
            step: Step, states: Tensor, noise: Tensor, explores: Tensor | None, context: Context | None
        ) -> tuple[Tensor, Tensor, Tensor]:
            return take_steps(environment, step, states, noise, explores, context, policy.start_from(states))

        if policy.is_markov and self._execution.capture is not None:  # recorded, single steps cost nothing
            step = self._execution.compile(in_precision(one))
            return in_precision(lambda *inputs: several(step, *inputs))
        return self._execution.compile(in_precision(lambda *inputs: several(one, *inputs)))
