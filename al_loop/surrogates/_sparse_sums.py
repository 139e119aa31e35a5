"""Sums over the training data that summarise them for a sparse Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from al_loop.surrogates._gp_hyperparameters import Array, Fit, log_density
from al_loop.surrogates.kernels.elementary import Kernel, Rows

#: rows whose kernel with the inducing rows is in memory at once
_CHUNK = 4096


def project(kernel: Kernel, inducing: Rows, L: Tensor, rows: Rows) -> Tensor:
    """Return A = L^-1 T(inducing, rows): for a column a, a'a is k(x, x) less the conditional variance of x.

    Args:
        kernel: the kernel.
        inducing: m inducing rows.
        L: m x m Cholesky factor of their kernel matrix.
        rows: n rows.
    """
    A: Tensor = torch.linalg.solve_triangular(L, kernel.cross(inducing, rows), upper=False)
    return A


@dataclass(frozen=True)
class Reduced:
    """Weighted sums over the data, reduced by the part that the inducing rows explain.

    Args:
        log_det: log |I + B|.
        mean: the generalised least squares constant.
        residual: (z - mean)' R^-1 (z - mean).
    """

    log_det: float
    mean: float
    residual: float


@dataclass(frozen=True)
class Sums:
    """Sums over the data with weights w (one over the noise ratio), from which the model is fitted.

    Args:
        B: m x m sum of w a a'.
        Az: sum of w a z, m.
        A1: sum of w a, m.
        n11: sum of w.
        n1z: sum of w z.
        nzz: sum of w z².
    """

    B: Tensor
    Az: Tensor
    A1: Tensor
    n11: float
    n1z: float
    nzz: float

    @property
    def trace(self) -> float:
        """Return the trace of B, which is n11 where the inducing rows explain everything."""
        return float(self.B.diagonal().sum())

    @classmethod
    def of(cls, kernel: Kernel, inducing: Rows, L: Tensor, rows: Rows, z: Tensor, weights: Tensor) -> Sums:
        """Sum over all rows, in chunks.

        Args:
            kernel: the kernel.
            inducing: m inducing rows.
            L: m x m Cholesky factor of their kernel matrix.
            rows: n training rows.
            z: n targets.
            weights: n weights.
        """
        total = cls(torch.zeros_like(L), torch.zeros_like(L[0]), torch.zeros_like(L[0]), 0.0, 0.0, 0.0)
        for start in range(0, len(z), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            A = project(kernel, inducing, L, rows[chunk])
            total = total.plus(cls.of_projected(A, z[chunk], weights[chunk]))
        return total

    @classmethod
    def of_projected(cls, A: Tensor, z: Tensor, weights: Tensor) -> Sums:
        """Sum over the columns a (m x n), with n targets and weights."""
        W = A * weights
        n11, n1z, nzz = float(weights.sum()), float(weights @ z), float(weights @ z.square())
        return cls(W @ A.T, W @ z, W.sum(1), n11, n1z, nzz)

    def plus(self, other: Sums) -> Sums:
        """Return the sums over the rows of both."""
        return Sums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def scaled(self, factor: float) -> Sums:
        """Return the sums with all weights multiplied by a factor."""
        return Sums(*(getattr(self, name) * factor for name in self.__dataclass_fields__))

    def reduced(self) -> Reduced:
        """Return the sums without the part that the inducing rows explain."""
        factor = torch.linalg.cholesky(torch.eye(len(self.B), dtype=self.B.dtype, device=self.B.device) + self.B)
        both = torch.stack([self.A1, self.Az], dim=1)
        p1, pz = torch.linalg.solve_triangular(factor, both, upper=False).T
        q11, q1z, qzz = self.n11 - float(p1 @ p1), self.n1z - float(p1 @ pz), self.nzz - float(pz @ pz)
        return Reduced(2 * float(factor.diagonal().log().sum()), q1z / q11, qzz - q1z**2 / q11)


@dataclass(frozen=True)
class Spectrum:
    """Sums of unit weights in the eigenvectors of B, from which the bound follows for any noise ratio.

    Args:
        eigenvalues: of B, m.
        z: Az in the eigenvectors, m.
        ones: A1 in the eigenvectors, m.
        n11: as in ``Sums``.
        n1z: as in ``Sums``.
        nzz: as in ``Sums``.
    """

    eigenvalues: Array
    z: Array
    ones: Array
    n11: float
    n1z: float
    nzz: float

    @classmethod
    def of(cls, sums: Sums) -> Spectrum:
        """Diagonalise sums that have unit weights."""
        eigenvalues, V = torch.linalg.eigh(sums.B)
        z, ones = (V.T @ sums.Az).cpu().numpy(), (V.T @ sums.A1).cpu().numpy()
        return cls(eigenvalues.clamp_min(0).cpu().numpy(), z, ones, sums.n11, sums.n1z, sums.nzz)

    def at(self, log_ratio: float, log_prior: float) -> Fit:
        """Return the best constant and signal variance at a log noise ratio, and Titsias' bound with the priors."""
        n, ratio = self.n11, float(np.exp(log_ratio))
        spectrum = self.eigenvalues + ratio
        q11 = (n - float((self.ones**2 / spectrum).sum())) / ratio
        q1z = (self.n1z - float((self.ones * self.z / spectrum).sum())) / ratio
        qzz = (self.nzz - float((self.z**2 / spectrum).sum())) / ratio
        mean = q1z / q11
        residual = max(qzz - q1z * mean, 0.0)
        signal = (residual + 1) / (n + 1)
        log_det = float(np.log(spectrum).sum()) + (n - len(spectrum)) * log_ratio
        unexplained = (n - float(self.eigenvalues.sum())) / ratio
        density = log_density(round(n), residual, log_det, signal) - 0.5 * max(unexplained, 0.0)
        return Fit(mean, signal, ratio, density + log_prior)
