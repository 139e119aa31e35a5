"""The clipped steps of proximal policy optimisation (Schulman et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from al_loop.gflownet.trajectories import Trajectories


def clipped_steps(
    policy: nn.Module,
    optimizer: torch.optim.Optimizer,
    log_probability: Callable[[Trajectories], Tensor],
    drawn: Trajectories,
    before: Tensor,
    advantage: Tensor,
    *,
    epochs: int = 4,
    clip: float = 0.2,
    max_norm: float = 10.0,
    counts: Tensor | None = None,
) -> None:
    """Raise the probabilities of what has an advantage, as long as they are within the clipping.

    Args:
        policy: whose gradients are clipped by their norm.
        optimizer: of its parameters.
        log_probability: the present log-probabilities of what was drawn, of any shape.
        drawn: by the policy as it was.
        before: those with which it was drawn, of the same shape.
        advantage: in a shape that broadcasts to it.
        epochs: number of steps.
        clip: largest change of the ratio of probabilities that is rewarded.
        max_norm: largest norm of the gradients.
        counts: which entries count, in the same shape; None: all.
    """
    for _ in range(epochs):
        ratio = (log_probability(drawn) - before).exp()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
        loss = -gain.mean() if counts is None else -(gain * counts).sum() / counts.sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(policy.parameters(), max_norm)
        optimizer.step()
