"""Helpers of the surrogates with neural networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

#: rows that go through a network at once: on a CPU, so few that what a layer returns stays in the cache
_CHUNK = 8192
_CHUNK_ON_CPU = 256


class Network(torch.nn.Module):
    """A network on feature rows that stays in float32, and whose weights can be copied."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # BoTorch's acquisition functions convert their model to the number type of X, and float64 is twice as slow
        super()._apply(lambda t: fn(t).to(t.dtype), recurse)  # type: ignore[no-untyped-call]
        return self

    @torch.no_grad()
    def in_parts(self, X: Tensor) -> list[Tensor]:
        """Return the outputs of n x d rows of any number type, in chunks; n may be 0."""
        size = _CHUNK_ON_CPU if X.device.type == "cpu" else _CHUNK
        return [self(chunk.float()) for chunk in X.split(size)]

    def copy_weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights."""
        return {name: value.detach().clone() for name, value in self.state_dict().items()}


def dot(inputs: Tensor, matrix: Tensor) -> Tensor:
    """Return inputs @ matrix, several times faster where few inputs are nonzero, as in fingerprints."""
    if inputs.device.type == "cpu" and not torch.is_grad_enabled() and 0 < _n_nonzero(inputs) < 0.1 * inputs.numel():
        with warnings.catch_warnings():  # PyTorch calls its CSR format a beta
            warnings.simplefilter("ignore", UserWarning)
            return inputs.to_sparse_csr() @ matrix
    return inputs @ matrix


def _n_nonzero(inputs: Tensor) -> int:
    return int(inputs.count_nonzero())


def batches(n: int, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return the rows of each step of a pass over n rows, in random order.

    There are at least 4 steps, so that few rows come several times.

    Args:
        n: number of rows.
        size: rows of a step.
        generator: of the order.
    """
    size = min(size, n)
    n_steps = max(-(-n // size), 4)
    orders = [torch.randperm(n, generator=generator) for _ in range(-(-n_steps * size // n))]
    return tuple(torch.cat(orders)[i * size : (i + 1) * size] for i in range(n_steps))
