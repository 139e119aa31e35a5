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
#: states, noise, mask of uniform choices (or None), context and memory -> what ``take_step`` returns
Step = Callable[[Tensor, Tensor, Tensor | None, Context | None, Any], tuple[Tensor, Tensor, Tensor]]


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
) -> tuple[Tensor, Tensor, Tensor]:
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
        The next states; actions, shape m, -1 after the end of a trajectory; a mask of the invalid choices.
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
    return after, torch.where(is_alive, action, -1), is_alive & ~check.isfinite()


def take_steps(
    environment: Environment,
    step: Step,
    states: Tensor,
    noise: Tensor,
    explores: Tensor | None,
    context: Context | None,
    memory: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Take K steps.

    Args:
        environment: the space.
        step: takes one.
        states: states, shape m x state_size.
        noise: random numbers, shape K x m x what ``noise_shape`` says.
        explores: mask of the steps that choose uniformly, shape K x m; None: none.
        context: context of each trajectory.
        memory: the policy's memory.

    Returns:
        States after each step, shape K x m x state_size; actions, shape K x m, -1 after the end of a trajectory; the
        numbers of unfinished trajectories, of invalid choices and of actions, shape 3.
    """
    after, taken, wrong = [], [], []
    for k in range(noise.shape[0]):
        own = None if explores is None else explores[k]
        states, action, is_wrong = step(states, noise[k], own, context, memory)
        after.append(states)
        taken.append(action)
        wrong.append(is_wrong)
    # sums over all trajectories are left to torch: a kernel compiled for few of them would be slow for many
    n_alive = (~environment.is_terminal(states)).sum()
    actions = torch.stack(taken)
    return torch.stack(after), actions, torch.stack([n_alive, torch.stack(wrong).sum(), (actions >= 0).sum()])


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
        self._chunks: list[tuple[Tensor, Tensor | None]] = []

    def of(self, number: int) -> tuple[Tensor, Tensor | None]:
        """Return the noise of a chunk, shape K x n x width, and the mask of uniform choices, K x n; None: no choice."""
        device = self._generator.device
        while len(self._chunks) <= number:
            noise = torch.rand(self._shape, generator=self._generator, dtype=self._dtype, device=device)
            explores: list[Tensor] | list[None] = [None] * len(noise)
            if self._epsilon > 0:
                uniform = torch.rand(self._shape[:3], generator=self._generator, device=device)
                explores = [*(uniform < self._epsilon)]
            self._chunks += zip(noise, explores, strict=True)
        return self._chunks[number]
