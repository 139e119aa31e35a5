"""Kernels on feature rows, each one matrix product and a little arithmetic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_loop.errors import ConfigError

#: integers up to here, and their sums, are exact in float32
_EXACT_FLOAT32 = 2.0**24
#: the largest count that minmax supports: each is a level, with a matrix product of its own
_LARGEST_COUNT = 10_000


@dataclass(frozen=True)
class Rows:
    """Feature rows, ready for dot products.

    Args:
        values: ... x n x d, float32 if every dot product of two rows is exact in it (small integers: counts, bits,
            one-hot), else float64.
        squared_norms: ... x n, float64.
    """

    values: Tensor
    squared_norms: Tensor

    def grouped(self, shape: Sequence[int]) -> Rows:
        """Return flat rows in batches of a shape."""
        return Rows(self.values.reshape(*shape, self.values.shape[-1]), self.squared_norms.reshape(*shape))

    def take(self, indices: Tensor | NDArray[np.int64]) -> Rows:
        """Return the rows at some indices of flat rows."""
        return Rows(self.values[indices], self.squared_norms[indices])

    def followed_by(self, other: Rows) -> Rows:
        """Return flat rows with others of the same number type after them."""
        return Rows(torch.cat([self.values, other.values]), torch.cat([self.squared_norms, other.squared_norms]))

    def __getitem__(self, rows: slice) -> Rows:
        return Rows(self.values[..., rows, :], self.squared_norms[..., rows])


def prepare(X: Tensor, dtype: torch.dtype | None = None) -> Rows:
    """Return ... x n x d feature rows as ``Rows``.

    Args:
        X: ... x n x d features.
        dtype: number type of the values; None: the fastest exact one.
    """
    if dtype is None:
        values = X.to(torch.float32)
        squared = (values * values).sum(-1)
        # <x, y> <= |x| |y|, and partial sums of |x_i y_i| are not larger
        is_exact = bool((values == values.round()).all()) and bool((squared < _EXACT_FLOAT32).all())
        if is_exact and bool((values.double() == X).all()):
            return Rows(values, squared.double())
        dtype = torch.float64
    values = X.to(dtype)
    return Rows(values, (values * values).sum(-1).double())


class Kernel(ABC):
    """A positive semi-definite similarity of feature rows with k(x, x) = 1."""

    def __call__(self, X1: Tensor, X2: Tensor) -> Tensor:
        """Return the kernel matrix: ... x n1 x d, ... x n2 x d -> ... x n1 x n2, float64."""
        return self.cross(prepare(X1), prepare(X2))

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        """Return the kernel matrix of prepared rows: ... x n1 x n2, float64."""
        dtype = rows1.values.dtype if rows1.values.dtype == rows2.values.dtype else torch.float64
        dot = rows1.values.to(dtype) @ rows2.values.to(dtype).transpose(-1, -2)
        return self.of_dot(dot.double(), rows1.squared_norms, rows2.squared_norms)

    @abstractmethod
    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        """Return the kernel matrix from dot products.

        Args:
            dot: ... x n1 x n2 dot products, which may be overwritten.
            squared1: ... x n1 squared norms of the first rows.
            squared2: ... x n2 squared norms of the second rows.
        """

    def grid(self) -> Sequence[Kernel]:
        """Return the kernels among which a fit chooses: this one with each candidate for its hyperparameters."""
        return [self]

    def axes(self) -> Sequence[Sequence[Kernel]]:
        """Return the choices for each hyperparameter at a time: this kernel with each candidate for it."""
        grid = self.grid()
        return [grid] if len(grid) > 1 else []

    @property
    def log_prior(self) -> float:
        """Return the log prior density of the hyperparameters in ``axes``, up to a constant; 0 if it is flat."""
        return 0.0

    def trained(self, X: Tensor) -> Kernel:
        """Return the kernel adapted to n x d training rows, such as to the scale of each column.

        Raises:
            ConfigError: the kernel is not defined on such rows.
        """
        return self

    def adapted(self, rows: Rows, z: NDArray[np.float64]) -> Kernel:
        """Return the kernel with hyperparameters that a search by gradients found; by default there are none.

        Args:
            rows: n training rows.
            z: n standardised targets.
        """
        return self

    def hyperparameters(self) -> Mapping[str, float]:
        """Return the kernel's hyperparameters by name."""
        return {}


@dataclass(frozen=True)
class Tanimoto(Kernel):
    """T(x, y) = <x, y> / (|x|² + |y|² - <x, y>), and T(0, 0) = 1.

    On bits this is intersection over union. On counts it is the dot-product form, positive semi-definite too
    (Ralaivola et al. 2005; Tripp et al. 2023), and not the sum-of-minima form that ``similarity`` of the features uses.
    """

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        union = (squared1.unsqueeze(-1) + squared2.unsqueeze(-2)).sub_(dot)
        if bool((squared1 == 0).any()) and bool((squared2 == 0).any()):
            return torch.where(union == 0, 1.0, dot / union)
        return dot.div_(union)


@dataclass(frozen=True)
class MinMax(Kernel):
    """Sum of minima / sum of maxima of counts, 1 for two empty rows: positive semi-definite (Ralaivola et al. 2005).

    The sum of minima is the sum over levels k = 1, 2, ... of the products of [x >= k] and [y >= k]; few columns reach
    the higher levels, so that all matrix products but the first are small. Rows must be non-negative integers.
    """

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        A, B = rows1.values.float(), rows2.values.float()
        total = A.double().sum(-1).unsqueeze(-1) + B.double().sum(-1).unsqueeze(-2)
        minima = torch.zeros(total.shape, device=total.device)
        level = 1
        while A.numel() and B.numel():
            at_a, at_b = level <= A, level <= B
            columns = at_a.flatten(0, -2).any(0) & at_b.flatten(0, -2).any(0)
            A, B, at_a, at_b = (part[..., columns] for part in (A, B, at_a, at_b))
            minima += at_a.float() @ at_b.float().transpose(-1, -2)
            level += 1
        shared = minima.double()
        maxima = total - shared
        return torch.where(maxima == 0, 1.0, shared / maxima)

    def trained(self, X: Tensor) -> Kernel:
        is_count = (X.round() == X) & (X >= 0) & (X <= _LARGEST_COUNT)
        if not bool(is_count.all()):
            raise ConfigError(
                f"surrogate.kernel: minmax requires counts (whole numbers from 0 to {_LARGEST_COUNT:,}), but a row has "
                f"{float(X[~is_count][0]):g}; limit it to columns of counts, such as 'minmax[0:2048]', or use matern52"
            )
        return self

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        """Raise a TypeError: the kernel is not a function of dot products.

        Raises:
            TypeError: always.
        """
        raise TypeError("the minmax kernel is not a function of dot products; call cross")


@dataclass(frozen=True)
class Hamming(Kernel):
    """exp(-h / lengthscale) on one-hot rows, h being the fraction of positions that differ.

    A product over the positions of kernels that are 1 where the letters agree and a constant in (0, 1) where they
    do not, hence positive semi-definite.
    """

    lengthscale: float = 0.5

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        length = (squared1.unsqueeze(-1) + squared2.unsqueeze(-2)).div_(2)  # both are the number of positions
        return dot.div_(length).sub_(1.0).div_(self.lengthscale).exp_()

    def trained(self, X: Tensor) -> Kernel:
        n_ones = X.sum(-1)
        if not bool(((X == 0) | (X == 1)).all()) or not bool(((n_ones == n_ones[..., :1]) & (n_ones > 0)).all()):
            raise ConfigError(
                "surrogate.kernel: hamming requires one-hot letters (0 and 1, as many ones in every row), and these "
                "rows are others; use features one_hot, limit it to such columns ('hamming[0:40]'), or use tanimoto"
            )
        return self

    def grid(self) -> Sequence[Kernel]:
        """Return lengthscales from one at which rows that differ in a tenth of the positions are nearly unrelated."""
        return [Hamming(lengthscale) for lengthscale in (0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0, 4.0)]

    def hyperparameters(self) -> Mapping[str, float]:
        return {"lengthscale": self.lengthscale}


@dataclass(frozen=True)
class RBF(Kernel):
    """exp(-|x - y|² / (2 lengthscale²)), for descriptors, with one lengthscale for all columns."""

    lengthscale: float = 1.0

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        squared = (squared1.unsqueeze(-1) + squared2.unsqueeze(-2)).sub_(dot, alpha=2).clamp_min_(0)
        return squared.div_(-2 * self.lengthscale**2).exp_()

    def grid(self) -> Sequence[Kernel]:
        """Return lengthscales from a tenth to thirty, each twice the one before."""
        return [RBF(0.1 * 2**i) for i in range(9)]

    def hyperparameters(self) -> Mapping[str, float]:
        return {"lengthscale": self.lengthscale}


@dataclass(frozen=True)
class Matern(Kernel):
    """The Matern kernel of smoothness nu = 1/2, 3/2 or 5/2 (Rasmussen & Williams 2006, eq. 4.14), one lengthscale.

    Args:
        twice_nu: 1, 3 or 5; functions are continuous, once or twice differentiable.
        lengthscale: in the common unit of the columns.
    """

    twice_nu: int = 5
    lengthscale: float = 1.0

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        squared = (squared1.unsqueeze(-1) + squared2.unsqueeze(-2)).sub_(dot, alpha=2).clamp_min_(0)
        r = squared.mul_(self.twice_nu).sqrt_().div_(self.lengthscale)
        decay = torch.exp(-r)
        if self.twice_nu == 1:
            return decay
        return decay.mul_(r.add(1) if self.twice_nu == 3 else r.square().div_(3).add_(r).add_(1))

    def grid(self) -> Sequence[Kernel]:
        """Return lengthscales from a tenth to thirty, each twice the one before."""
        return [Matern(self.twice_nu, 0.1 * 2**i) for i in range(9)]

    def hyperparameters(self) -> Mapping[str, float]:
        return {"lengthscale": self.lengthscale}


#: kernels by their names in ``surrogate.kernel`` and ``Features.kernel``
KERNELS: Mapping[str, Kernel] = {
    "tanimoto": Tanimoto(),
    "minmax": MinMax(),
    "hamming": Hamming(),
    "rbf": RBF(),
    "matern12": Matern(1),
    "matern32": Matern(3),
    "matern52": Matern(5),
}
