"""Kernels made of kernels: on some columns, on scaled columns, sums and products; and how they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from al_loop.errors import ConfigError
from al_loop.surrogates.kernels.elementary import KERNELS, RBF, Kernel, Matern, Rows, prepare

#: relative weights of a term of a sum among which a fit chooses
_WEIGHTS = (0.1, 0.3, 1.0, 3.0)
#: lengthscales of a kernel on scaled columns, in units of the usual distance of two rows
_LENGTHSCALES = (0.35, 0.7, 1.4, 2.8)
#: standard deviation of the priors of a log lengthscale (about the usual distance) and of a log weight (about 1)
_SPREAD = 0.35
_SWEEPS = 2


class _NotOfDots(Kernel):
    """A kernel that is more than a function of the whole rows' dot products."""

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        """Raises TypeError: call ``cross``."""
        raise TypeError(f"{type(self).__name__} is no function of dot products; call cross")


@dataclass(frozen=True)
class Columns(_NotOfDots):
    """Another kernel on some of the columns, from ``start`` up to ``stop`` (None: to the end).

    dtype: that these columns are multiplied in, as the training rows had it: others may be all that keeps counts from
    being exact in float32. None: of the rows at hand.
    """

    kernel: Kernel
    start: int = 0
    stop: int | None = None
    dtype: torch.dtype | None = None

    def rows(self, rows: Rows) -> Rows:
        """These columns of prepared rows."""
        values = rows.values[..., self.start : self.stop]
        return prepare(values, self.dtype if values.dtype == torch.float64 else values.dtype)

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        """See the base class."""
        return self.kernel.cross(self.rows(rows1), self.rows(rows2))

    def axes(self) -> Sequence[Sequence[Kernel]]:
        """See the base class."""
        return [[replace(self, kernel=k) for k in axis] for axis in self.kernel.axes()]

    @property
    def log_prior(self) -> float:
        """See the base class."""
        return self.kernel.log_prior

    def trained(self, X: Tensor) -> Kernel:
        """See the base class."""
        d = X.shape[-1]
        if max(self.start + 1, self.stop or 0) > d:
            wanted = f"{self.start}:{'' if self.stop is None else self.stop}"
            raise ConfigError(
                f"surrogate.kernel: the columns [{wanted}] are not there, the features have {d:,}; give columns of "
                f"[0:{d}], or leave the kernel out to have the natural one"
            )
        own = X[..., self.start : self.stop]
        return replace(self, kernel=self.kernel.trained(own), dtype=prepare(own).values.dtype)

    def hyperparameters(self) -> Mapping[str, float]:
        """See the base class."""
        return self.kernel.hyperparameters()


@dataclass(frozen=True, eq=False)
class Scaled(_NotOfDots):
    """An RBF or Matern kernel on columns brought to one scale: asinh(2 (x - median) / deviation) / (2 sqrt(d)).

    Median and deviation are those of the training rows, d is the number of columns that vary there. The inverse
    hyperbolic sine leaves what is usual nearly as it is, and keeps a few extreme values of skewed descriptors from
    deciding everything. The lengthscale is in units of sqrt(2), the usual distance of two rows.
    """

    kernel: RBF | Matern
    center: Tensor | None = None
    scale: Tensor | None = None

    def rows(self, rows: Rows) -> Rows:
        """The scaled rows."""
        if self.center is None or self.scale is None:
            raise ValueError("the kernel's columns have no scale yet: call trained")
        z = rows.values.double().sub(self.center).mul_(self.scale).asinh_()
        z = z.mul_(0.5 / math.sqrt(max(int((self.scale > 0).sum()), 1)))
        return Rows(z, z.square().sum(-1))

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        """See the base class."""
        return self.kernel.cross(self.rows(rows1), self.rows(rows2))

    def axes(self) -> Sequence[Sequence[Kernel]]:
        """See the base class."""
        options = [replace(self.kernel, lengthscale=s * math.sqrt(2)) for s in _LENGTHSCALES]
        return [[replace(self, kernel=kernel) for kernel in options]]

    @property
    def log_prior(self) -> float:
        """See the base class."""
        return _log_normal(self.kernel.lengthscale / math.sqrt(2))

    def trained(self, X: Tensor) -> Kernel:
        """See the base class."""
        X = X.double().reshape(-1, X.shape[-1])
        deviation = X.std(0, correction=0)
        varies = deviation > 1e-9 * X.abs().amax(0).clamp_min(1e-300)
        scale = torch.where(varies, 2 / deviation.clamp_min(1e-300), 0.0)
        kernel = replace(self.kernel, lengthscale=math.sqrt(2))
        return Scaled(kernel, X.median(0).values, scale)

    def hyperparameters(self) -> Mapping[str, float]:
        """See the base class."""
        return {"lengthscale": self.kernel.lengthscale}


def _log_normal(ratio: float) -> float:
    return -0.5 * (math.log(ratio) / _SPREAD) ** 2


def _numbered(kernels: Sequence[Kernel]) -> dict[str, float]:
    return {f"{name}_{i}": value for i, k in enumerate(kernels) for name, value in k.hyperparameters().items()}


def _with(parts: tuple[Kernel, ...], i: int, kernel: Kernel) -> tuple[Kernel, ...]:
    return (*parts[:i], kernel, *parts[i + 1 :])


@dataclass(frozen=True, eq=False)
class Sum(_NotOfDots):
    """The weighted mean of kernels; weights left out are equal. A sum of functions, each with a kernel of its own."""

    parts: tuple[Kernel, ...]
    weights: tuple[float, ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights, with a sum of 1."""
        weights = self.weights or (1.0,) * len(self.parts)
        return tuple(w / sum(weights) for w in weights)

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        """See the base class."""
        total: Tensor | None = None
        for share, part in zip(self.shares, self.parts, strict=True):
            one = part.cross(rows1, rows2).mul_(share)
            total = one if total is None else total.add_(one)
        assert total is not None
        return total

    def axes(self) -> Sequence[Sequence[Kernel]]:
        """See the base class."""
        weights = self.weights or (1.0,) * len(self.parts)
        found: list[Sequence[Kernel]] = []
        for i, part in enumerate(self.parts):
            found += [[replace(self, parts=_with(self.parts, i, k)) for k in axis] for axis in part.axes()]
            options = [(*weights[:i], w, *weights[i + 1 :]) for w in _WEIGHTS]
            found.append([replace(self, weights=option) for option in options])
        return found

    @property
    def log_prior(self) -> float:
        """See the base class."""
        return sum(map(_log_normal, self.weights)) + sum(part.log_prior for part in self.parts)

    def trained(self, X: Tensor) -> Kernel:
        """See the base class."""
        return replace(self, parts=tuple(part.trained(X) for part in self.parts))

    def hyperparameters(self) -> Mapping[str, float]:
        """See the base class."""
        return {**{f"share_{i}": share for i, share in enumerate(self.shares)}, **_numbered(self.parts)}


@dataclass(frozen=True, eq=False)
class Product(_NotOfDots):
    """The product of kernels: objects are alike that are alike in every respect."""

    parts: tuple[Kernel, ...]

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        """See the base class."""
        total = self.parts[0].cross(rows1, rows2)
        for part in self.parts[1:]:
            total = total.mul_(part.cross(rows1, rows2))
        return total

    def axes(self) -> Sequence[Sequence[Kernel]]:
        """See the base class."""
        return [
            [replace(self, parts=_with(self.parts, i, k)) for k in axis]
            for i, part in enumerate(self.parts)
            for axis in part.axes()
        ]

    @property
    def log_prior(self) -> float:
        """See the base class."""
        return sum(part.log_prior for part in self.parts)

    def trained(self, X: Tensor) -> Kernel:
        """See the base class."""
        return replace(self, parts=tuple(part.trained(X) for part in self.parts))

    def hyperparameters(self) -> Mapping[str, float]:
        """See the base class."""
        return _numbered(self.parts)


_TERM = re.compile(r"\s*([a-z0-9_]+)\s*(?:\[\s*(\d*)\s*:\s*(\d*)\s*\])?\s*")


def kernel_of(text: str) -> Kernel:
    """The kernel that a text such as ``tanimoto[0:2048] + matern52[2048:2256]`` means.

    Terms are names, each with the columns that it looks at where not all, joined by ``*`` and ``+`` (which binds less).

    Raises:
        ValueError: it is not of this form.
    """
    sums = [tuple(_term(term, text) for term in product.split("*")) for product in text.split("+")]
    products = tuple(parts[0] if len(parts) == 1 else Product(parts) for parts in sums)
    return products[0] if len(products) == 1 else Sum(products)


def _term(term: str, text: str) -> Kernel:
    match = _TERM.fullmatch(term)
    if match is None or match[1] not in KERNELS:
        raise ValueError(
            f"surrogate.kernel: {term.strip()!r} in {text!r} is not one of {', '.join(KERNELS)}; write such as "
            "'tanimoto', 'tanimoto + matern52' or 'tanimoto[0:2048] * rbf[2048:2100]'"
        )
    kernel = KERNELS[match[1]]
    if isinstance(kernel, RBF | Matern):
        kernel = Scaled(kernel)
    if match[2] is None and match[3] is None:
        return kernel
    start, stop = int(match[2] or 0), int(match[3]) if match[3] else None
    if stop is not None and stop <= start:
        raise ValueError(f"surrogate.kernel: {term.strip()!r} in {text!r} has no columns")
    return Columns(kernel, start, stop)


def best_kernel(kernel: Kernel, density: Callable[[Kernel], float]) -> Kernel:
    """The best of a kernel's choices, by one hyperparameter after the other, twice over.

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
                if (found := density(option) + option.log_prior) > value:
                    best, value = option, found
        if value - before < 0.1:
            break
    return best
