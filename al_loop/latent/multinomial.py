"""Models whose parameters are tables of probabilities."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from al_loop.latent.base import LatentModel
from al_loop.system.checks import in_range

#: most latents that are counted at a time
_CHUNK = 20_000


class MultinomialModel(LatentModel):
    """A model whose log-joint is a sum of entries of tables of log-probabilities.

    The gradient of the log-joint with respect to a table counts how often each entry is used, and that of log p(x) how
    often it is expected to be used, so that one M-step serves sampled latents and exact inference alike.

    Args:
        smoothing: pseudo-count that the M-step adds to each entry, at least 0.
        arguments: the other arguments of the constructor.
    """

    def __init__(self, smoothing: float, **arguments: Any) -> None:
        super().__init__(smoothing=smoothing, **arguments)
        in_range("smoothing", smoothing, 0, 1e9)
        self._smoothing = smoothing

    @abstractmethod
    def tables(self) -> list[nn.Parameter]:
        """Return the tables of log-probabilities, each of which is normalised over its last dimension."""

    def maximise(self, x: Tensor, z: Tensor, weight: Tensor) -> None:
        counts: list[Tensor | None] = [None] * len(self.tables())
        with torch.enable_grad():
            for rows in zip(x.split(_CHUNK), z.split(_CHUNK), weight.split(_CHUNK), strict=True):
                total = (self.log_joint(*rows[:2]) * rows[2]).sum()
                parts = torch.autograd.grad(total, self.tables(), allow_unused=True)
                counts = [a if b is None else b if a is None else a + b for a, b in zip(counts, parts, strict=True)]
        self._set(counts)

    def exact_step(self, x: Tensor) -> float:
        """Make one step of exact expectation maximisation, and return the mean log-likelihood before it.

        Args:
            x: observations, shape n x width.
        """
        with torch.enable_grad():
            log_likelihood = self.log_evidence(x)
            self._set(torch.autograd.grad(log_likelihood.sum(), self.tables(), allow_unused=True))
        return float(log_likelihood.detach().mean())

    def _set(self, counts: Sequence[Tensor | None]) -> None:
        """Set the tables to frequencies, given how often each entry is used; None: that table is not used at all."""
        with torch.no_grad():
            for table, count in zip(self.tables(), counts, strict=True):
                if count is None:
                    continue
                count = count.clamp(min=0) + self._smoothing
                sum_ = count.sum(-1, keepdim=True)
                new = (count / sum_.clamp(min=1e-300)).clamp(min=1e-12).log()
                table.copy_(torch.where(sum_ > 0, new, table))  # what was never used stays as it was

    def randomise(self, generator: torch.Generator, concentration: float = 1.0) -> None:
        """Set the tables to random distributions.

        Args:
            generator: source of all randomness.
            concentration: how similar the entries of a distribution are, above 0.
        """
        with torch.no_grad():
            for table in self.tables():
                noise = torch.empty_like(table).exponential_(generator=generator)
                table.copy_((noise.log() / concentration).log_softmax(-1))
