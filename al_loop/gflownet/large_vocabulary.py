"""Log-probabilities of chosen actions among very many, without holding the logits of all states at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from al_loop.gflownet.action_choice import masked_log_softmax

#: most logits that are held at a time, as 4-byte numbers
_LOGITS_AT_ONCE = 1 << 24


def chosen_log_probs(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    mask: Callable[[Tensor], Tensor],
    states: Tensor,
    actions: Tensor,
    n_actions: int,
    at_once: int = _LOGITS_AT_ONCE,
) -> tuple[Tensor, Tensor]:
    """Return the log-probabilities of one action and of the last action (stop) in each state, shape m each, float32.

    The logits are computed in float32 and in chunks; for the gradient, they are computed again.

    Args:
        hidden: what the head reads, shape m x width.
        head: hidden states -> logits, n x n_actions.
        mask: states -> allowed actions, n x n_actions.
        states: states, shape m x state_size.
        actions: actions, shape m.
        n_actions: number of actions.
        at_once: most logits to hold at a time.
    """

    def part(hidden: Tensor, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(hidden.device.type, enabled=False):
            log_p = masked_log_softmax(head(hidden.float()), mask(states))
        return log_p.gather(1, actions[:, None])[:, 0], log_p[:, -1]

    size = max(at_once // n_actions, 1)
    if len(hidden) <= size:
        return part(hidden, states, actions)
    chunks = zip(hidden.split(size), states.split(size), actions.split(size), strict=True)
    keeps_graph = torch.is_grad_enabled()
    parts = [checkpoint(part, *chunk, use_reentrant=False) if keeps_graph else part(*chunk) for chunk in chunks]
    return torch.cat([log_p for log_p, _ in parts]), torch.cat([stop for _, stop in parts])
