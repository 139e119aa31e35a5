"""Roll-outs in chunks of steps with fixed shapes, after each of which finished trajectories are dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.action_choice import choose_actions, noise_shape
from al_loop.gflownet.execution.choice import Execution
from al_loop.gflownet.fixed_shapes import fixed_shapes
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.trajectories import Trajectories
from al_loop.system import stopping

_FEWEST_ROWS = 64  # fewer rows do not make a step on a GPU faster
_REMEMBERED = 8  # earlier draws that the plan of the next one is made from


@dataclass(frozen=True)
class _Point:
    """The state of a roll-out between two chunks.

    Args:
        rows: the trajectories that take part, shape m.
        states: their states, shape m x state_size.
        all_states: the states of all trajectories, shape n x state_size.
    """

    rows: Tensor
    states: Tensor
    all_states: Tensor


class ChunkedRollout:
    """Draws trajectories in chunks of steps, each of them one call of a compiled or recorded function.

    On a GPU, how many trajectories take part in each chunk is planned from earlier draws, so that nothing is read
    before the end; a chunk in which trajectories lacked a place is repeated with more of them. The result does not
    depend on the plan, since each trajectory has its own random numbers.

    Args:
        environment: the space.
        policy: the policy.
        execution: how a chunk is executed.
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
        self._functions: dict[float, Callable[..., Any]] = {}
        self._history: dict[int, deque[list[int]]] = {}
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
        n, device = len(start), start.device
        noise = ChunkNoise(self._environment, n, self._chunk, epsilon, generator)
        advance = self._functions.get(temperature)
        if advance is None:
            advance = self._functions[temperature] = self._prepare(temperature)
        is_planned = device.type != "cpu" if self._is_planned is None else self._is_planned
        n_chunks = -(-self._environment.max_steps // self._chunk)
        plan = self._plan(n) if is_planned else [n]
        points = [_Point(torch.arange(n, device=device), start, start)]
        states = [start[None]]
        actions: list[Tensor] = []
        outcomes: list[Tensor] = []
        with torch.no_grad(), fixed_shapes():
            while True:
                for size in plan[len(actions) :]:
                    stopping.look()
                    point = self._drop(points[-1], size)
                    values, head = (None, None) if context is None else (context.values, context.head)
                    if len(point.rows) < n:
                        values, head = (None if x is None else x[point.rows] for x in (values, head))
                    after, taken, outcome = advance(point.states, *noise.of(len(actions), point.rows), values, head)
                    block, chosen = _spread(point, after, taken)
                    points.append(_Point(point.rows, block[-1, point.rows], block[-1]))
                    states.append(block)
                    actions.append(chosen)
                    outcomes.append(outcome.clone())
                alive, n_wrong, n_taken = self._read(outcomes)
                if any(n_wrong):
                    raise ValueError(NO_ACTION)
                short = [i for i, size in enumerate(plan[1:]) if alive[i] > size]
                if short:
                    keep = short[0] + 1
                    del points[keep + 1 :], states[keep + 1 :], actions[keep:], outcomes[keep:]
                    plan = [*plan[:keep], self._size(alive[keep - 1], n, is_planned)]
                elif alive[-1] and len(plan) < n_chunks:
                    plan = [*plan, self._size(alive[-1], len(points[-1].rows) if not is_planned else n, is_planned)]
                else:
                    break
        if alive[-1]:
            limit = self._environment.max_steps
            raise ValueError(f"a trajectory did not end within max_steps ({limit}) of the environment")
        self._history.setdefault(n, deque(maxlen=_REMEMBERED)).append(alive)
        return self._join(states, actions, sum(n_taken))

    def _join(self, states: Sequence[Tensor], actions: Sequence[Tensor], n_taken: int) -> Trajectories:
        chosen = torch.cat([*actions])
        n_steps = min(len(chosen), self._environment.max_steps)
        if chosen.device.type == "cpu":  # without steps that no trajectory takes
            n_steps = int((chosen[:n_steps] >= 0).any(1).sum())
        return Trajectories(torch.cat([*states])[: n_steps + 1], chosen[:n_steps], n_taken)

    def _read(self, outcomes: Sequence[Tensor]) -> tuple[list[int], list[int], list[int]]:
        """Wait for all chunks; return the outcomes of each, as ``take_steps`` does."""
        self.n_reads += 1
        alive, n_wrong, n_taken = torch.stack([*outcomes], 1).tolist()
        return alive, n_wrong, n_taken

    def _plan(self, n: int) -> list[int]:
        """Return the number of rows of each chunk: enough for all recent draws of n trajectories."""
        history = self._history.get(n, ())
        n_chunks = max((len(alive) for alive in history), default=1)
        most = [max(alive[i] if i < len(alive) else 0 for alive in history) for i in range(n_chunks - 1)]
        return [n, *(self._size(count + count // 4, n, is_planned=True) for count in most)]

    @staticmethod
    def _size(count: int, n: int, is_planned: bool) -> int:
        """Return a number of rows that is at least ``count``: one of few if planned, else n until a quarter is free."""
        if not is_planned:
            return n if 4 * count > 3 * n else max(count, min(n, 2))
        size = n
        while size // 4 >= max(count, _FEWEST_ROWS):
            size //= 4
        return size

    def _drop(self, point: _Point, size: int) -> _Point:
        """Return a point with ``size`` of its rows, the unfinished ones first; more rows, if there were fewer."""
        if size == len(point.rows):
            return point
        if size > len(point.rows):  # a plan that grew: all rows are there, most of them finished
            point = _Point(torch.arange(len(point.all_states), device=point.rows.device), *(2 * [point.all_states]))
        is_over = self._environment.is_terminal(point.states)
        order = is_over.byte().argsort(stable=True)[:size]
        return _Point(point.rows[order], point.states[order], point.all_states)

    def _prepare(self, temperature: float) -> Callable[..., Any]:
        """Return the function of a chunk for one temperature."""

        def advance(
            states: Tensor, noise: Tensor, explores: Tensor, values: Tensor | None, head: Tensor | None
        ) -> tuple[Tensor, Tensor, Tensor]:
            context = None if values is None and head is None else Context(values, head)
            is_cast = self._precision != torch.float32
            # without a cache of cast weights, which a recording would never refresh
            with torch.autocast(states.device.type, self._precision, enabled=is_cast, cache_enabled=False):
                return take_steps(self._environment, self._policy, states, noise, explores, context, temperature)

        return self._execution.record(self._execution.compile(advance))


NO_ACTION = "a state that is not terminal allows no action, or a logit of the policy is not finite"


def take_steps(
    environment: Environment,
    policy: Policy,
    states: Tensor,
    noise: Tensor,
    explores: Tensor,
    context: Context | None,
    temperature: float,
    looks_up: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Take K steps, as a pure function of tensors on one device; finished trajectories stay where they are.

    Args:
        environment: the space.
        policy: the policy.
        states: states, shape m x state_size.
        noise: random numbers, shape K x m x what ``noise_shape`` says.
        explores: mask of the steps that choose uniformly, shape K x m.
        context: context of each trajectory.
        temperature: divisor of the logits.
        looks_up: whether policies may look up weights by ``feature_index``, which ``torch.vmap`` does not support.

    Returns:
        States after each step, shape K x m x state_size; actions, shape K x m, -1 after the end of a trajectory; the
        numbers of unfinished trajectories, of invalid choices and of actions, shape 3.
    """
    memory = policy.start_from(states) if looks_up else None
    after, taken = [], []
    n_wrong = torch.zeros((), dtype=torch.int64, device=states.device)
    for k in range(noise.shape[0]):
        is_alive = ~environment.is_terminal(states)
        mask = environment.forward_mask(states) | ~is_alive[:, None]
        if looks_up:
            logits = policy.next_logits(states, context, memory, None).float()
        else:
            logits = policy.forward_logits(states, context).float()
        if temperature != 1:
            logits = logits / temperature
        logits = torch.where(explores[k, :, None], 0.0, logits)
        action, check = choose_actions(logits, mask, noise[k])
        n_wrong = n_wrong + (is_alive & ~check.isfinite()).sum()
        moved = environment.step(states, torch.where(is_alive, action, environment.n_actions - 1))
        states = torch.where(is_alive[:, None], moved, states)
        after.append(states)
        taken.append(torch.where(is_alive, action, -1))
    n_alive = (~environment.is_terminal(states)).sum()
    actions = torch.stack(taken)
    return torch.stack(after), actions, torch.stack([n_alive, n_wrong, (actions >= 0).sum()])


def _spread(point: _Point, after: Tensor, taken: Tensor) -> tuple[Tensor, Tensor]:
    """Return the states, K x n x state_size, and actions, K x n, of all trajectories from those of a point's rows."""
    n_steps, n = len(after), len(point.all_states)
    if len(point.rows) == n:
        return after.clone(), taken.clone()
    states = point.all_states.expand(n_steps, -1, -1).index_copy(1, point.rows, after)
    nothing = torch.full((n_steps, n), -1, dtype=taken.dtype, device=taken.device)
    return states, nothing.index_copy(1, point.rows, taken)


class ChunkNoise:
    """The random numbers of n trajectories, chunk by chunk.

    Args:
        environment: the space.
        n: number of trajectories.
        chunk: steps in a chunk.
        epsilon: share of uniform actions.
        generator: source of all randomness.
    """

    def __init__(
        self, environment: Environment, n: int, chunk: int, epsilon: float, generator: torch.Generator
    ) -> None:
        width, self._dtype = noise_shape(environment.n_actions)
        self._shape, self._epsilon, self._generator = (chunk, n, width), epsilon, generator
        self._chunks: list[tuple[Tensor, Tensor]] = []

    def of(self, number: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the noise, shape K x m x width, and the mask of uniform choices, K x m, of a chunk for some rows."""
        device = self._generator.device
        while len(self._chunks) <= number:
            noise = torch.rand(self._shape, generator=self._generator, dtype=self._dtype, device=device)
            explores = torch.zeros(self._shape[:2], dtype=torch.bool, device=device)
            if self._epsilon > 0:
                explores = torch.rand(self._shape[:2], generator=self._generator, device=device) < self._epsilon
            self._chunks.append((noise, explores))
        noise, explores = self._chunks[number]
        return (noise, explores) if len(rows) == self._shape[1] else (noise[:, rows], explores[:, rows])
