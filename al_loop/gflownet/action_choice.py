"""Random choices of allowed actions by their logits, for whole batches."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.gflownet.fixed_shapes import packs

_FEW_ACTIONS = 64
_NEVER = torch.tensor(-torch.inf)


def masked_log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Return log-probabilities, shape n x n_actions, over the allowed actions; -inf for the others.

    Args:
        logits: logits, shape n x n_actions.
        mask: allowed actions, shape n x n_actions.

    Raises:
        ValueError: the shapes differ, or the mask is not boolean.
    """
    if logits.shape != mask.shape or mask.dtype != torch.bool:
        got = f"got {tuple(logits.shape)} and {tuple(mask.shape)} of {mask.dtype}"
        raise ValueError(f"expected n x actions logits of the policy and a boolean mask of the environment, {got}")
    return logits.masked_fill(~mask, -torch.inf).log_softmax(-1)


def _gumbel(n: int, generator: torch.Generator) -> Tensor:
    """Return n values of Gumbel noise: a logit plus noise is the largest with its softmax probability."""
    uniform = torch.rand(n, generator=generator, device=generator.device)
    return uniform.clamp_(min=1e-38).log_().neg_().log_().neg_()


class GumbelNoise:
    """Gumbel noise, generated in blocks for many small draws."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator, self._supply, self._used = generator, torch.empty(0), 0

    def draw(self, n: int) -> Tensor:
        """Return n values."""
        if self._used + n > len(self._supply):
            self._supply, self._used = _gumbel(max(n, 4096), self._generator), 0
        self._used += n
        return self._supply[self._used - n : self._used]


def pick_actions(
    logits: Tensor | None, mask: Tensor, epsilon: float, generator: torch.Generator, noise: GumbelNoise | None = None
) -> tuple[Tensor, Tensor]:
    """Return a random action for each row, and a number that is finite if the row allows an action, shape n each.

    Args:
        logits: logits, shape n x n_actions; None: all 0.
        mask: allowed actions, shape n x n_actions.
        epsilon: share of uniform actions.
        generator: source of all randomness, on the device of the mask.
        noise: noise for few actions, from the same generator; None: it is drawn for this call.
    """
    if logits is not None and epsilon > 0:
        explores = torch.rand((len(mask), 1), generator=generator, device=mask.device) < epsilon
        logits = logits.masked_fill(explores, 0.0)
    if mask.shape[1] > _FEW_ACTIONS:
        return _invert(logits, mask, generator)
    gumbel = _gumbel(mask.numel(), generator) if noise is None else noise.draw(mask.numel())
    scores = gumbel.view(mask.shape) if logits is None else logits + gumbel.view(mask.shape)
    best, action = torch.where(mask, scores, _NEVER).max(-1)
    return action, best


def _invert(logits: Tensor | None, mask: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the result of ``pick_actions`` for many actions, by inverting the cumulative sum over all allowed ones.

    One sum over the allowed actions of all rows costs a tenth of ``torch.multinomial``; it is in double precision, so
    that thousands of actions add up accurately.
    """
    n, n_actions = mask.shape
    device = mask.device
    uniform = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
    if packs(device):
        index = mask.flatten().nonzero().squeeze(1)
        row, count = index // n_actions, mask.sum(1)
        values = None if logits is None else logits.flatten().index_select(0, index)
    else:  # every action, those that are not allowed with weight 0
        index = torch.arange(n * n_actions, device=device)
        row, count = index // n_actions, torch.full((n,), n_actions, device=device)
        values = (torch.zeros_like(mask, dtype=torch.float32) if logits is None else logits).masked_fill(
            ~mask, -torch.inf
        )
        values = values.flatten()
    if values is None:
        weights = torch.ones(len(index), dtype=torch.float64)
    else:
        top = torch.full((n,), -torch.inf, dtype=values.dtype, device=device).scatter_reduce(0, row, values, "amax")
        # NaN: the row allows no action, or a logit is not finite
        weights = (values - top[row]).double().exp().nan_to_num(0.0)
    cumulative = torch.nn.functional.pad(weights.cumsum(0), (1, 0))
    last = count.cumsum(0)
    before, after = cumulative[last - count], cumulative[last]
    total = after - before
    level = before + uniform * total
    position = torch.searchsorted(cumulative, level, right=True) - 1
    position = torch.minimum(torch.maximum(position, last - count), last - 1)  # rounding must not leave the row
    action = (
        index[position.clamp(min=0, max=max(len(index) - 1, 0))] % n_actions if len(index) else torch.zeros_like(last)
    )
    return torch.where(total > 0, action, 0), total.log()


def noise_shape(n_actions: int) -> tuple[int, torch.dtype]:
    """Return how many random numbers ``choose_actions`` requires for each row, and their dtype."""
    return (n_actions, torch.float32) if n_actions <= _FEW_ACTIONS else (1, torch.float64)


def choose_actions(logits: Tensor, mask: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Return the result of ``pick_actions`` for given random numbers, as a pure function with fixed shapes.

    Args:
        logits: logits, shape n x n_actions.
        mask: allowed actions, shape n x n_actions.
        uniform: numbers from 0 to 1, of the shape and the dtype that ``noise_shape`` returns.
    """
    if mask.shape[1] <= _FEW_ACTIONS:
        gumbel = -(-uniform.clamp(min=1e-38).log()).log()
        best, action = torch.where(mask, logits + gumbel, -torch.inf).max(-1)
        return action, best
    logits = torch.where(mask, logits, -torch.inf)
    # NaN: the row allows no action, or a logit is not finite
    weights = (logits - logits.amax(1, keepdim=True)).double().exp().nan_to_num(0.0)
    cumulative = weights.cumsum(1)
    total = cumulative[:, -1:]
    action = torch.searchsorted(cumulative, uniform * total, right=True)[:, 0]
    last = (mask * torch.arange(mask.shape[1], device=mask.device)).amax(1)  # rounding must not leave the allowed ones
    return torch.minimum(action, last), total[:, 0].log()
