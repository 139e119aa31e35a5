"""Composite kernels (on some columns, on scaled columns, sums, products) and the expressions that denote them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from al_loop.errors import ConfigError
from al_loop.surrogates.kernels.elementary import KERNELS, RBF, Kernel, Matern, Rows, prepare
from al_loop.surrogates.kernels.positions import WeightedHamming
from al_loop.surrogates.kernels.sparse import SPARSE_KERNELS
from al_loop.system import stopping

_NAMED = {**KERNELS, **SPARSE_KERNELS, "weighted_hamming": WeightedHamming()}
#: relative weights of a term of a sum among which a fit chooses
_WEIGHTS = (0.1, 0.3, 1.0, 3.0)
#: lengthscales of a kernel on scaled columns, in units of the usual distance of two rows
_LENGTHSCALES = (0.35, 0.7, 1.4, 2.8)
#: standard deviation of the priors of a log lengthscale (about the usual distance) and of a log weight (about 1)
_SPREAD = 0.35
_SWEEPS = 2


class _NotOfDots(Kernel):
    """A kernel that is not a function of the whole rows' dot products."""

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        """Raise a TypeError: the kernel is not a function of dot products.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{type(self).__name__} is not a function of dot products; call cross")


@dataclass(frozen=True)
class Columns(_NotOfDots):
    """Another kernel on some of the columns.

    Args:
        kernel: the other kernel.
        start: first column.
        stop: column after the last; None: to the end.
        dtype: number type in which these columns are multiplied, as for the training rows: the other columns alone may
            require float64. None: that of the given rows.
    """

    kernel: Kernel
    start: int = 0
    stop: int | None = None
    dtype: torch.dtype | None = None

    def rows(self, rows: Rows) -> Rows:
        """Return these columns of prepared rows."""
        values = rows.values[..., self.start : self.stop]
        return prepare(values, self.dtype if values.dtype == torch.float64 else values.dtype)

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        return self.kernel.cross(self.rows(rows1), self.rows(rows2))

    def axes(self) -> Sequence[Sequence[Kernel]]:
        return [[replace(self, kernel=k) for k in axis] for axis in self.kernel.axes()]

    @property
    def log_prior(self) -> float:
        return self.kernel.log_prior

    def trained(self, X: Tensor) -> Kernel:
        d = X.shape[-1]
        if max(self.start + 1, self.stop or 0) > d:
            columns = f"{self.start}:{'' if self.stop is None else self.stop}"
            raise ConfigError(
                f"surrogate.kernel: the columns [{columns}] are out of range, the features have {d:,}; use columns of "
                f"[0:{d}], or omit the kernel for the natural one"
            )
        own = X[..., self.start : self.stop]
        return replace(self, kernel=self.kernel.trained(own), dtype=prepare(own).values.dtype)

    def hyperparameters(self) -> Mapping[str, float]:
        return self.kernel.hyperparameters()


@dataclass(frozen=True, eq=False)
class Scaled(_NotOfDots):
    """An RBF or Matern kernel on columns brought to one scale: asinh(2 (x - median) / deviation) / (2 sqrt(d)).

    Median and deviation are those of the training rows, d is the number of columns that vary there. The inverse
    hyperbolic sine nearly preserves usual values, and keeps a few extreme values of skewed descriptors from dominating.
    The lengthscale is in units of sqrt(2), the usual distance of two rows.
    """

    kernel: RBF | Matern
    center: Tensor | None = None
    scale: Tensor | None = None

    def rows(self, rows: Rows) -> Rows:
        """Return the scaled rows."""
        if self.center is None or self.scale is None:
            raise ValueError("the kernel's columns have no scale yet; call trained first")
        z = rows.values.double().sub(self.center).mul_(self.scale).asinh_()
        z = z.mul_(0.5 / math.sqrt(max(int((self.scale > 0).sum()), 1)))
        return Rows(z, z.square().sum(-1))

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        return self.kernel.cross(self.rows(rows1), self.rows(rows2))

    def axes(self) -> Sequence[Sequence[Kernel]]:
        options = [replace(self.kernel, lengthscale=s * math.sqrt(2)) for s in _LENGTHSCALES]
        return [[replace(self, kernel=kernel) for kernel in options]]

    @property
    def log_prior(self) -> float:
        return _log_normal(self.kernel.lengthscale / math.sqrt(2))

    def trained(self, X: Tensor) -> Kernel:
        X = X.double().reshape(-1, X.shape[-1])
        deviation = X.std(0, correction=0)
        varies = deviation > 1e-9 * X.abs().amax(0).clamp_min(1e-300)
        scale = torch.where(varies, 2 / deviation.clamp_min(1e-300), 0.0)
        kernel = replace(self.kernel, lengthscale=math.sqrt(2))
        return Scaled(kernel, X.median(0).values, scale)

    def hyperparameters(self) -> Mapping[str, float]:
        return {"lengthscale": self.kernel.lengthscale}


def _log_normal(ratio: float) -> float:
    return -0.5 * (math.log(ratio) / _SPREAD) ** 2


def _numbered(kernels: Sequence[Kernel]) -> dict[str, float]:
    return {f"{name}_{i}": value for i, k in enumerate(kernels) for name, value in k.hyperparameters().items()}


def _with(parts: tuple[Kernel, ...], i: int, kernel: Kernel) -> tuple[Kernel, ...]:
    return (*parts[:i], kernel, *parts[i + 1 :])


@dataclass(frozen=True, eq=False)
class Sum(_NotOfDots):
    """The weighted mean of kernels, by default with equal weights: the kernel of a sum of independent functions."""

    parts: tuple[Kernel, ...]
    weights: tuple[float, ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the weights, normalised to a sum of 1."""
        weights = self.weights or (1.0,) * len(self.parts)
        return tuple(w / sum(weights) for w in weights)

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        total: Tensor | None = None
        for share, part in zip(self.shares, self.parts, strict=True):
            one = part.cross(rows1, rows2).mul_(share)
            total = one if total is None else total.add_(one)
        assert total is not None
        return total

    def axes(self) -> Sequence[Sequence[Kernel]]:
        weights = self.weights or (1.0,) * len(self.parts)
        axes: list[Sequence[Kernel]] = []
        for i, part in enumerate(self.parts):
            axes += [[replace(self, parts=_with(self.parts, i, k)) for k in axis] for axis in part.axes()]
            options = [(*weights[:i], w, *weights[i + 1 :]) for w in _WEIGHTS]
            axes.append([replace(self, weights=option) for option in options])
        return axes

    @property
    def log_prior(self) -> float:
        return sum(map(_log_normal, self.weights)) + sum(part.log_prior for part in self.parts)

    def trained(self, X: Tensor) -> Kernel:
        return replace(self, parts=tuple(part.trained(X) for part in self.parts))

    def hyperparameters(self) -> Mapping[str, float]:
        return {**{f"share_{i}": share for i, share in enumerate(self.shares)}, **_numbered(self.parts)}


@dataclass(frozen=True, eq=False)
class Product(_NotOfDots):
    """The product of kernels: objects are similar only if all kernels find them similar."""

    parts: tuple[Kernel, ...]

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        total = self.parts[0].cross(rows1, rows2)
        for part in self.parts[1:]:
            total = total.mul_(part.cross(rows1, rows2))
        return total

    def axes(self) -> Sequence[Sequence[Kernel]]:
        return [
            [replace(self, parts=_with(self.parts, i, k)) for k in axis]
            for i, part in enumerate(self.parts)
            for axis in part.axes()
        ]

    @property
    def log_prior(self) -> float:
        return sum(part.log_prior for part in self.parts)

    def trained(self, X: Tensor) -> Kernel:
        return replace(self, parts=tuple(part.trained(X) for part in self.parts))

    def hyperparameters(self) -> Mapping[str, float]:
        return _numbered(self.parts)


_TERM = re.compile(r"\s*([a-z0-9_]+)\s*(?:\[\s*(\d*)\s*:\s*(\d*)\s*\])?\s*")


def kernel_of(text: str) -> Kernel:
    """Return the kernel that an expression such as ``tanimoto[0:2048] + matern52[2048:2256]`` denotes.

    Terms are names, each with the columns that it applies to where not all, joined by ``*`` and ``+`` (which binds
    less).

    Raises:
        ValueError: the expression is not of this form.
    """
    sums = [tuple(_term(term, text) for term in product.split("*")) for product in text.split("+")]
    products = tuple(parts[0] if len(parts) == 1 else Product(parts) for parts in sums)
    return products[0] if len(products) == 1 else Sum(products)


def _term(term: str, text: str) -> Kernel:
    match = _TERM.fullmatch(term)
    if match is None or match[1] not in _NAMED:
        raise ValueError(
            f"surrogate.kernel: {term.strip()!r} in {text!r} is not one of {', '.join(_NAMED)}; examples: "
            "'tanimoto', 'tanimoto + matern52' or 'tanimoto[0:2048] * rbf[2048:2100]'"
        )
    kernel = _NAMED[match[1]]
    if isinstance(kernel, RBF | Matern):
        kernel = Scaled(kernel)
    if match[2] is None and match[3] is None:
        return kernel
    start, stop = int(match[2] or 0), int(match[3]) if match[3] else None
    if stop is not None and stop <= start:
        raise ValueError(f"surrogate.kernel: {term.strip()!r} in {text!r} has no columns")
    return Columns(kernel, start, stop)


def best_kernel(kernel: Kernel, density: Callable[[Kernel], float]) -> Kernel:
    """Return the best of a kernel's choices, by two sweeps over its hyperparameters, one at a time.

    Args:
        kernel: where the search begins.
        density: log likelihood of the data under a kernel, to which its ``log_prior`` is added.
    """
    axes = kernel.axes()
    if not axes:
        return kernel
    best, value = kernel, density(kernel) + kernel.log_prior
    for _ in range(_SWEEPS if len(axes) > 1 else 1):
        before = value
        for i in range(len(axes)):
            for option in best.axes()[i]:
                stopping.look()
                if (option_value := density(option) + option.log_prior) > value:
                    best, value = option, option_value
        if value - before < 0.1:
            break
    return best
