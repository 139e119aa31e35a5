"""A kernel on one-hot sequences in which positions matter more or less, as the data say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_loop.surrogates.kernels.elementary import Hamming, Kernel, Rows
from al_loop.system import stopping

#: steps of Adam and their size
_STEPS, _RATE = 40, 0.15
#: standard deviation of the priors of a log weight (about 1 / length) and of the log noise ratio (about 0.01)
_SPREAD, _NOISE_RATIO = 1.5, 0.01
#: numbers of the table of which rows differ where; more rows are thinned out
_MOST_NUMBERS = 6_000_000
#: the least noise ratio, for the factorisation
_JITTER = 1e-6


@dataclass(frozen=True, eq=False)
class WeightedHamming(Kernel):
    """exp(-sum of the weights of the positions that differ) on one-hot rows.

    That is a product over the positions of kernels as ``hamming`` has, each with a relevance of its own. The weights
    maximise the posterior density of the data; their priors are log-normal about 1 / length. Positions that do not
    matter get weights near 0, so that objects which differ there alone count as equal.

    Args:
        weights: one for each position; None: not fitted yet, all are 1 / length.
    """

    weights: Tensor | None = None

    def weights_of(self, rows: Rows) -> Tensor:
        """Return the weight of each position, of rows that have as many ones as positions."""
        if self.weights is not None:
            return self.weights.to(rows.values.device)
        length = round(float(rows.squared_norms.flatten()[0])) if rows.squared_norms.numel() else 1
        return torch.full((length,), 1 / length, dtype=torch.float64, device=rows.values.device)

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        weights = self.weights_of(rows1)
        columns = weights.repeat_interleave(rows1.values.shape[-1] // len(weights))
        shared = (rows1.values.double() * columns) @ rows2.values.double().transpose(-1, -2)
        return shared.sub_(weights.sum()).clamp_max_(0.0).exp_()

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        """Raise a TypeError: the kernel is not a function of dot products.

        Raises:
            TypeError: always.
        """
        raise TypeError("WeightedHamming is not a function of dot products; call cross")

    def trained(self, X: Tensor) -> Kernel:
        Hamming().trained(X)  # raises unless the rows are one-hot
        length = round(float(X.reshape(-1, X.shape[-1])[0].sum()))
        return replace(self, weights=torch.full((length,), 1 / length, dtype=torch.float64))

    def adapted(self, rows: Rows, z: NDArray[np.float64]) -> Kernel:
        assert self.weights is not None, "trained was called"
        length = len(self.weights)
        n_most = math.isqrt(_MOST_NUMBERS // length)
        if len(z) > n_most:
            chosen = np.linspace(0, len(z) - 1, n_most).round().astype(np.int64)
            rows, z = rows.take(chosen), z[chosen]
        words = rows.values.reshape(len(z), length, -1).argmax(-1)
        differs = (words[:, None, :] != words[None, :, :]).double()
        target = torch.from_numpy(z).to(differs)
        target = target - target.mean()
        eye = torch.eye(len(z), dtype=torch.float64, device=differs.device)
        with torch.enable_grad():
            usual = math.log(1 / length)
            logs = torch.full((length,), usual, dtype=torch.float64, device=differs.device, requires_grad=True)
            log_noise = torch.tensor(math.log(_NOISE_RATIO), dtype=torch.float64, requires_grad=True)
            optimiser = torch.optim.Adam([logs, log_noise], lr=_RATE)
            for _ in range(_STEPS):
                stopping.look()
                K = torch.exp(-(differs @ logs.exp()))
                L = torch.linalg.cholesky(K + (log_noise.exp() + _JITTER) * eye)
                residual = target @ torch.cholesky_solve(target[:, None], L)[:, 0]
                loss = 0.5 * (len(z) + 1) * (residual + 1).log() + L.diagonal().log().sum()
                loss = loss + 0.5 * ((logs - usual) / _SPREAD).square().sum()
                loss = loss + 0.5 * ((log_noise - math.log(_NOISE_RATIO)) / _SPREAD).square()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        return replace(self, weights=logs.detach().exp().cpu())

    def hyperparameters(self) -> Mapping[str, float]:
        return {} if self.weights is None else {f"weight_{i}": float(w) for i, w in enumerate(self.weights)}
