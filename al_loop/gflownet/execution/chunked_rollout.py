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
from al_loop.gflownet.execution.compiled import whole_reductions
from al_loop.gflownet.execution.graphs import MOST_FAILURES, Recorded
from al_loop.gflownet.execution.plan import Plan
from al_loop.gflownet.execution.steps import (
    ENDED,
    NO_ACTION,
    ChunkNoise,
    Step,
    count_outcomes,
    take_step,
    take_steps,
)
from al_loop.gflownet.fixed_shapes import fixed_shapes
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.trajectories import Trajectories
from al_loop.system import stopping

_KEPT = 8  # plans whose kernels are kept


class PendingRollout:
    """A roll-out that a device may still compute.

    Args:
        tentative: its trajectories, unless the plan lacked places for some of them.
        confirm: waits for the device, and returns the trajectories and whether they were drawn again; None: nothing is
            pending.
    """

    def __init__(self, tentative: Trajectories, confirm: Callable[[], tuple[Trajectories, bool]] | None = None) -> None:
        self.tentative, self._result, self._confirm = tentative, tentative, confirm
        #: after ``result``, whether it is not ``tentative``
        self.is_repeated = False

    def result(self) -> Trajectories:
        """Wait for the trajectories; see ``ChunkedRollout.draw``. It must be called before the weights change."""
        if self._confirm is not None:
            self._result, self.is_repeated = self._confirm()
            self._confirm = None
        return self._result

    @property
    def is_finished(self) -> bool:
        """Whether nothing is pending."""
        return self._confirm is None


@dataclass(frozen=True)
class _Launched:
    """A roll-out that a device was given to compute.

    Args:
        sizes: the plan, see ``Plan.sizes``.
        states: states of all trajectories.
        actions: their actions.
        read: waits for the device, and returns the outcome of each chunk, see ``count_outcomes``.
    """

    sizes: tuple[int, ...]
    states: Tensor
    actions: Tensor
    read: Callable[[], list[list[int]]]


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
        chunk: number of steps in a chunk; None: 16 where a plan is made, since chunks cost more than rows, else 8.
        is_planned: whether to plan; None: on all devices but the CPU, whose values can be read at once.
    """

    def __init__(
        self,
        environment: Environment,
        policy: Policy,
        execution: Execution,
        precision: torch.dtype = torch.float32,
        chunk: int | None = None,
        is_planned: bool | None = None,
    ) -> None:
        self._environment, self._policy, self._execution = environment, policy, execution
        self._precision = precision
        device = next(policy.parameters()).device
        self._is_planned = device.type != "cpu" if is_planned is None else is_planned
        chunk = chunk or (16 if self._is_planned else 8)
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
        return self.begin(start, generator, epsilon, temperature, context).result()

    def begin(
        self,
        start: Tensor,
        generator: torch.Generator,
        epsilon: float = 0.0,
        temperature: float = 1.0,
        context: Context | None = None,
    ) -> PendingRollout:
        """Begin to draw, on a GPU without waiting for it; see ``draw`` for the arguments."""
        noise = ChunkNoise(self._environment, len(start), self._chunk, epsilon, generator)
        if not self._is_planned:
            with torch.no_grad(), fixed_shapes():
                drawn = self._draw_in_turn(start, noise, temperature, context)
            return PendingRollout(drawn)
        first = self._launch(start, noise, temperature, context)

        def confirm() -> tuple[Trajectories, bool]:
            launched, plan = first, self._plans[len(start)]
            while True:
                outcomes = launched.read()
                if plan.met([n_alive for n_alive, _, _ in outcomes], launched.sizes):
                    return self._finished(launched.states, launched.actions, outcomes), launched is not first
                launched = self._launch(start, noise, temperature, context)

        return PendingRollout(Trajectories(first.states, first.actions), confirm)

    def _finished(self, states: Tensor, actions: Tensor, outcomes: list[list[int]]) -> Trajectories:
        """Return trajectories of which all have ended."""
        if outcomes[-1][0]:
            limit = self._environment.max_steps
            raise ValueError(f"a trajectory did not end within max_steps ({limit}) of the environment")
        n_steps = min(len(actions), self._environment.max_steps)
        if states.device.type == "cpu":  # without steps that no trajectory takes
            n_steps = int((actions[:n_steps] >= 0).any(1).sum())
        return Trajectories(states[: n_steps + 1], actions[:n_steps], sum(n_taken for _, _, n_taken in outcomes))

    def _draw_in_turn(
        self, start: Tensor, noise: ChunkNoise, temperature: float, context: Context | None
    ) -> Trajectories:
        """Draw chunk by chunk, each with as many trajectories as the one before has left."""
        rows, current, size = None, start, len(start)
        states, actions = [start[None]], []
        outcomes: list[list[int]] = []
        advance = self._chunk_function(temperature)
        while not outcomes or (outcomes[-1][0] and len(outcomes) < self._n_chunks):
            stopping.look()
            rows, current = self._unfinished(rows, current, size)
            after, taken, outcome = advance(current, *_of_rows(*noise.of(len(outcomes)), context, rows))
            current = after[-1]
            if rows is not None:
                shape = (len(after), *start.shape)
                after = states[-1][-1].expand(shape).index_copy(1, rows, after)
                taken = taken.new_full(shape[:2], ENDED).index_copy_(1, rows, taken)
            states.append(after)
            actions.append(taken)
            outcomes += self._checked(outcome.tolist())
            left = outcomes[-1][0]
            size = size if 4 * left > 3 * size else max(left, min(size, 2))
        return self._finished(torch.cat(states), torch.cat(actions), outcomes)

    def _launch(self, start: Tensor, noise: ChunkNoise, temperature: float, context: Context | None) -> _Launched:
        """Begin to draw by the present plan."""
        stopping.look()
        sizes = self._plans.setdefault(len(start), Plan(len(start), self._n_chunks)).sizes
        values, head = (None, None) if context is None else (context.values, context.head)
        blocks = [part for block in noise.blocks(len(sizes)) for part in block]
        with torch.no_grad(), fixed_shapes():
            found = self._planned_function(temperature, sizes)(start, values, head, *blocks)
            states, actions, counts = (tensor.clone() for tensor in found)
        return _Launched(sizes, states, actions, self._reader(counts))

    def _reader(self, counts: Tensor) -> Callable[[], list[list[int]]]:
        """Return a function that waits for the outcomes of chunks, but not for what the device is given later."""
        values, wait = counts, None
        if counts.device.type == "cuda":
            values = torch.empty(counts.shape, dtype=counts.dtype, pin_memory=True).copy_(counts, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            wait = event.synchronize

        def read() -> list[list[int]]:
            if wait is not None:
                wait()
            return self._checked(values.tolist())

        return read

    def _checked(self, outcomes: list[list[int]]) -> list[list[int]]:
        """Return outcomes of chunks that were read from the device."""
        self.n_reads += 1
        if any(n_wrong for _, n_wrong, _ in outcomes):
            raise ValueError(NO_ACTION)
        return outcomes

    @property
    def _n_chunks(self) -> int:
        """The largest number of chunks."""
        return -(-self._environment.max_steps // self._chunk)

    def _planned_function(self, temperature: float, sizes: tuple[int, ...]) -> Callable[..., Any]:
        """Return the function of a whole roll-out by a plan."""
        key = (temperature, sizes)
        run = self._planned.pop(key, None)
        if run is None:

            def roll_out(start: Tensor, values: Tensor | None, head: Tensor | None, *blocks: Any) -> Any:
                context = None if values is None and head is None else Context(values, head)
                return self._roll_out(start, context, blocks, temperature, sizes)

            # if the plans so far could not be recorded, others cannot, either
            n_failures = sum(known.n_failures for known in self._planned.values() if isinstance(known, Recorded))
            # twice, since the first step runs uncompiled once
            run = roll_out if n_failures >= MOST_FAILURES else self._execution.record(roll_out, warm_ups=2)
        self._planned[key] = run
        if len(self._planned) > _KEPT:
            self._planned.popitem(last=False)
        return run

    def _roll_out(
        self,
        start: Tensor,
        context: Context | None,
        blocks: tuple[Tensor | None, ...],
        temperature: float,
        sizes: tuple[int, ...],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw by a plan, with as few kernels as possible besides those of the steps.

        Returns:
            States, shape C K + 1 x n x state_size, of C chunks of K steps; actions, C K x n; outcomes, C x 3.
        """
        n, chunk = len(start), self._chunk
        advance = self._chunk_function(temperature)
        memory = self._in_precision(self._policy.start_from)(start) if self._policy.is_markov else None
        states = start.new_empty((chunk * len(sizes) + 1, *start.shape))
        states[0] = start
        actions = torch.full((chunk * len(sizes), n), ENDED, device=start.device)
        rows, current = None, start
        for number, size in enumerate(sizes):
            rows, current = self._unfinished(rows, current, size)
            block, place = divmod(number, len(blocks[0]))  # type: ignore[arg-type]
            noise, explores = (None if part is None else part[place] for part in blocks[2 * block : 2 * block + 2])
            assert noise is not None
            inputs = _of_rows(noise, explores, context, rows)
            at = slice(number * chunk, (number + 1) * chunk)
            own = states[1:][at], actions[at]
            if rows is None:
                after, _ = advance(current, *inputs, memory, own)
            else:
                after, taken = advance(current, *inputs, memory)
                own[0].copy_(states[number * chunk].expand_as(own[0])).index_copy_(1, rows, after)
                own[1].index_copy_(1, rows, taken)
            current = after[-1]
        return states, actions, count_outcomes(self._environment, states[chunk::chunk], actions)

    def _unfinished(self, rows: Tensor | None, states: Tensor, size: int) -> tuple[Tensor | None, Tensor]:
        """Return ``size`` of the trajectories at hand, among them all unfinished ones, and their states.

        Args:
            rows: the trajectories at hand, shape m; None: all.
            states: their states, shape m x state_size.
            size: how many to keep, at most m.
        """
        if size >= len(states):
            return rows, states
        order = self._environment.is_terminal(states).byte().argsort(stable=True)[:size]
        return order if rows is None else rows[order], states[order]

    def _chunk_function(self, temperature: float) -> Callable[..., Any]:
        """Return the function of a chunk for one temperature."""
        if temperature not in self._advances:
            make = self._planned_steps if self._is_planned else self._steps_in_turn
            self._advances[temperature] = make(temperature)
        return self._advances[temperature]

    def _steps_in_turn(self, temperature: float) -> Callable[..., Any]:
        """Return the compiled function of a chunk, without a memory, which also counts the outcome."""
        environment, policy = self._environment, self._policy

        def several(
            states: Tensor, noise: Tensor, explores: Tensor | None, context: Context | None
        ) -> tuple[Tensor, Tensor, Tensor]:
            memory = policy.start_from(states)
            after, taken = take_steps(self._step(temperature), states, noise, explores, context, memory)
            return after, taken, count_outcomes(environment, after[-1:], taken)

        return self._execution.compile(self._in_precision(several))

    def _planned_steps(self, temperature: float) -> Callable[..., Any]:
        """Return the function of a chunk that takes the arguments of ``take_steps`` but the step.

        A single step is compiled, since launching it costs nothing where it is recorded; or all of them together, if
        the policy has a memory of each roll-out.
        """
        step = self._step(temperature)
        if self._policy.is_markov:
            step = self._execution.compile(self._in_precision(step))

            def each(*inputs: Any) -> tuple[Tensor, Tensor]:
                with whole_reductions():
                    return take_steps(step, *inputs)

            return self._in_precision(each)
        whole = self._steps_in_turn(temperature)

        def several(
            states: Tensor, noise: Tensor, explores: Any, context: Any, _: Any, out: tuple[Tensor, Tensor]
        ) -> tuple[Tensor, Tensor]:
            after, taken, _ = whole(states, noise, explores, context)
            return out[0].copy_(after), out[1].copy_(taken)

        return several

    def _step(self, temperature: float) -> Step:
        """Return ``take_step`` for one temperature."""
        environment, policy = self._environment, self._policy

        def one(states: Tensor, noise: Tensor, explores: Tensor | None, context: Context | None, memory: Any) -> Any:
            return take_step(environment, policy, states, noise, explores, context, memory, temperature)

        return one

    def _in_precision(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of states and other inputs that computes in the type of the policy's arithmetic."""
        precision = self._precision

        @wraps(function)
        def call(states: Tensor, *inputs: Any) -> Any:
            is_cast = precision != torch.float32
            # without a cache of cast weights, which a recording would never refresh
            with torch.autocast(states.device.type, precision, enabled=is_cast, cache_enabled=False):
                return function(states, *inputs)

        return call


def _of_rows(
    noise: Tensor, explores: Tensor | None, context: Context | None, rows: Tensor | None
) -> tuple[Tensor, Tensor | None, Context | None]:
    """Return a chunk's random numbers and the context of some trajectories; None: of all."""
    if rows is None:
        return noise, explores, context
    explores = None if explores is None else explores[:, rows]
    return noise[:, rows], explores, None if context is None else context.rows(rows)
