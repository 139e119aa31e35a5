"""Steps of roll-outs as pure functions of tensors with fixed shapes, and their random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.action_choice import choose_actions, noise_shape
from al_loop.gflownet.policies.base import Context, Policy

_BLOCK_BYTES = 2**28
NO_ACTION = "a state that is not terminal allows no action, or a logit of the policy is not finite"
#: in place of an action: after the end of a trajectory, and where none could be chosen
ENDED, INVALID = -1, -2
#: states, noise, mask of uniform choices (or None), context and memory -> what ``take_step`` returns
Step = Callable[[Tensor, Tensor, Tensor | None, Context | None, Any], tuple[Tensor, Tensor]]


def take_step(
    environment: Environment,
    policy: Policy,
    states: Tensor,
    noise: Tensor,
    explores: Tensor | None,
    context: Context | None,
    memory: Any,
    temperature: float,
    looks_up: bool = True,
) -> tuple[Tensor, Tensor]:
    """Take a step, as a pure function of tensors on one device; finished trajectories stay where they are.

    Args:
        environment: the space.
        policy: the policy.
        states: states, shape m x state_size.
        noise: random numbers, shape m x what ``noise_shape`` says.
        explores: mask of the trajectories that choose uniformly, shape m; None: none.
        context: context of each trajectory.
        memory: the policy's memory.
        temperature: divisor of the logits.
        looks_up: whether policies may look up weights by ``feature_index``, which ``torch.vmap`` does not support.

    Returns:
        The next states, and the actions, ``ENDED`` or ``INVALID``, shape m.
    """
    is_alive = ~environment.is_terminal(states)
    mask = environment.forward_mask(states) | ~is_alive[:, None]
    if looks_up:
        logits = policy.next_logits(states, context, memory, None).float()
    else:
        logits = policy.forward_logits(states, context).float()
    if temperature != 1:
        logits = logits / temperature
    if explores is not None:
        logits = torch.where(explores[:, None], 0.0, logits)
    action, check = choose_actions(logits, mask, noise)
    moved = environment.step(states, torch.where(is_alive, action, environment.n_actions - 1))
    after = torch.where(is_alive[:, None], moved, states)
    return after, torch.where(is_alive, torch.where(check.isfinite(), action, INVALID), ENDED)


def take_steps(
    step: Step,
    states: Tensor,
    noise: Tensor,
    explores: Tensor | None,
    context: Context | None,
    memory: Any,
    out: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Take K steps.

    Args:
        step: takes one.
        states: states, shape m x state_size.
        noise: random numbers, shape K x m x what ``noise_shape`` says.
        explores: mask of the steps that choose uniformly, shape K x m; None: none.
        context: context of each trajectory.
        memory: the policy's memory.
        out: tensors to write the result to; None: new ones.

    Returns:
        States after each step, shape K x m x state_size, and what was done, as from ``take_step``, shape K x m.
    """
    after, taken = [], []
    for k in range(noise.shape[0]):
        states, action = step(states, noise[k], None if explores is None else explores[k], context, memory)
        after.append(states)
        taken.append(action)
    if out is None:
        return torch.stack(after), torch.stack(taken)
    return torch.stack(after, out=out[0]), torch.stack(taken, out=out[1])


def count_outcomes(environment: Environment, ends: Tensor, taken: Tensor) -> Tensor:
    """Return the outcome of chunks of steps.

    Args:
        environment: the space.
        ends: states at the end of each of C chunks, shape C x n x state_size.
        taken: what was done, as from ``take_step``, shape C K x n.

    Returns:
        The numbers of unfinished trajectories, of invalid choices and of actions, shape C x 3.
    """
    chunks = ends.shape[:2]
    n_alive = (~environment.is_terminal(ends.flatten(0, 1))).view(chunks).sum(1)
    by_chunk = taken.view(chunks[0], -1)
    return torch.stack([n_alive, (by_chunk == INVALID).sum(1), (by_chunk >= 0).sum(1)], 1)


#: random numbers, and the mask of uniform choices; None: no choice
NoiseBlock = tuple[Tensor, Tensor | None]


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
        self._epsilon, self._generator = epsilon, generator
        n_bytes = chunk * n * width * (4 if self._dtype == torch.float32 else 8)
        # many small chunks are generated together; how many does not depend on how many are used
        self._shape = (max(1, min(-(-environment.max_steps // chunk), _BLOCK_BYTES // n_bytes)), chunk, n, width)
        self._blocks: list[NoiseBlock] = []

    def block(self, number: int) -> NoiseBlock:
        """Return the noise of several chunks and the mask of their uniform choices, with a leading dimension."""
        device = self._generator.device
        while len(self._blocks) <= number:
            noise = torch.rand(self._shape, generator=self._generator, dtype=self._dtype, device=device)
            explores = None
            if self._epsilon > 0:
                explores = torch.rand(self._shape[:3], generator=self._generator, device=device) < self._epsilon
            self._blocks.append((noise, explores))
        return self._blocks[number]

    def blocks(self, n_chunks: int) -> list[NoiseBlock]:
        """Return the noise of the first chunks, in blocks."""
        return [self.block(number) for number in range(-(-n_chunks // self._shape[0]))]

    def of(self, number: int) -> NoiseBlock:
        """Return the noise of a chunk, shape K x n x width, and the mask of uniform choices, K x n; None: no choice."""
        block, place = divmod(number, self._shape[0])
        noise, explores = self.block(block)
        return noise[place], None if explores is None else explores[place]
