"""Functions drawn from the prior of a Gaussian process, fixed by a seed wherever they are evaluated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from al_loop.seeding import derive_seed
from al_loop.surrogates.kernels.elementary import RBF, Hamming, Kernel, Matern, Rows, Tanimoto
from al_loop.surrogates.kernels.expression import Columns, Scaled, Sum
from al_loop.surrogates.kernels.positions import WeightedHamming

#: number of rates of the mixture from which the Tanimoto kernel's inverse scales are drawn
_N_RATES = 32


class PriorPath(ABC):
    """A function drawn from GP(0, k), approximately: w'phi(x) with standard normal weights w and |phi(x)| = 1.

    Its variance is 1 everywhere, as k(x, x) is; its correlations are k's up to about 1 / sqrt(n_features). Random
    numbers are generated from the seed where they are needed, so that nothing large is pickled.

    Args:
        n_features: number of random features.
        seed: of features and weights.
    """

    def __init__(self, n_features: int, seed: int) -> None:
        self.n_features = n_features
        self.seed = seed
        self._numbers: tuple[Tensor, ...] | None = None

    def __call__(self, rows: Rows) -> Tensor:
        """Return the function's values at n rows: n, float64."""
        if self._numbers is None or self._numbers[0].device != rows.values.device:
            generator = torch.Generator().manual_seed(self.seed)
            numbers = self._draw(rows.values.shape[-1], generator)
            self._numbers = tuple(part.to(rows.values.device) for part in numbers)
        return self._evaluate(rows, self._numbers)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_numbers": None}

    @abstractmethod
    def _draw(self, d: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw the random numbers that define the function on rows of d columns."""

    @abstractmethod
    def _evaluate(self, rows: Rows, numbers: tuple[Tensor, ...]) -> Tensor:
        """Return the function's values at n rows: n, float64."""


class HammingPath(PriorPath):
    """A path of the Hamming kernel exp(-h / lengthscale), from random parities.

    phi_m(x) = (-1)^(b_m'x) / sqrt(M) with independent bits b that are 1 with probability p. Two one-hot rows share the
    columns where they agree, and each of the h L positions at which they differ adds two independent bits, of mean
    sign (1 - 2p)²: so E phi(x)'phi(x') = (1 - 2p)^(2 h L). p is such that this is the kernel.

    Args:
        kernel: the kernel.
        rows: any rows, from which L, the number of positions, is read.
        n_features: M.
        seed: of the bits and weights.
    """

    def __init__(self, kernel: Hamming, rows: Rows, n_features: int, seed: int) -> None:
        super().__init__(n_features, seed)
        n_positions = float(rows.squared_norms.double().mean())
        agreement = torch.tensor(-0.5 / (kernel.lengthscale * n_positions), dtype=torch.float64)
        self._p: float | Tensor = float(-torch.expm1(agreement) / 2)

    def _draw(self, d: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        bits = torch.rand(d, self.n_features, generator=generator) < self._p
        weights = torch.randn(self.n_features, generator=generator, dtype=torch.float64)
        return bits.float(), weights / self.n_features**0.5

    def _evaluate(self, rows: Rows, numbers: tuple[Tensor, ...]) -> Tensor:
        bits, weights = numbers
        parity = torch.remainder(rows.values.float() @ bits, 2.0)
        return (1 - 2 * parity.double()) @ weights


class WeightedHammingPath(HammingPath):
    """A path of the Hamming kernel with a weight w for each position, of which p = (1 - exp(-w / 2)) / 2.

    Args:
        kernel: the kernel, trained.
        rows: any rows, from which the number of columns of a position is read.
        n_features: M.
        seed: of the bits and weights.
    """

    def __init__(self, kernel: WeightedHamming, rows: Rows, n_features: int, seed: int) -> None:
        PriorPath.__init__(self, n_features, seed)
        weights = kernel.weights_of(rows).cpu()
        per_position = rows.values.shape[-1] // len(weights)
        self._p = (-torch.expm1(-weights / 2) / 2).repeat_interleave(per_position)[:, None]


class TanimotoPath(PriorPath):
    """A path of the Tanimoto kernel, from random features of an integral (other ones: Tripp et al. 2023).

    The kernel is <x, y> / (|x|² + |y|² - <x, y>). Since 1 / c is the integral of exp(-t c) over t > 0, and
    |x|² + |y|² - <x, y> = (|x|² + |y|² + |x - y|²) / 2, it is the integral of
    <x, y> exp(-t |x|² / 2) exp(-t |y|² / 2) exp(-t |x - y|² / 2). The first factor is the mean of (s'x)(s'y) over
    random signs s, and the last that of cos(sqrt(t) w'(x - y)) over normal w. t is drawn, evenly, from a density q, a
    mixture of exponentials whose rates span the norms of the rows and those around them, and weighted with 1 / q(t).
    Features are divided by their norm, which makes the variance exactly 1.

    Args:
        rows: examples of the rows on which the function will be evaluated.
        n_features: twice the number of (t, s, w).
        seed: of (s, w) and the weights.
    """

    def __init__(self, rows: Rows, n_features: int, seed: int) -> None:
        super().__init__(n_features, seed)
        norms = rows.squared_norms[rows.squared_norms > 0].double().cpu()
        norms = norms if len(norms) else torch.ones(1, dtype=torch.float64)
        usual = torch.quantile(norms, torch.linspace(0, 1, _N_RATES // 2, dtype=torch.float64))
        low, high = (norms.min() / 8).log2(), (norms.max() * 8).log2()
        self._rates = torch.cat([usual, 2 ** torch.linspace(float(low), float(high), _N_RATES // 2)]).double()
        m = torch.arange(n_features // 2)
        index = m % _N_RATES
        per_rate = torch.bincount(index, minlength=_N_RATES)[index]
        level = (torch.div(m, _N_RATES, rounding_mode="floor") + 0.5) / per_rate.double()  # even quantiles
        self._t = -torch.log1p(-level) / self._rates[index]
        self._log_q = torch.logsumexp(self._rates.log() - self._t[:, None] * self._rates, dim=-1)

    def _draw(self, d: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        m = len(self._t)
        t, log_q = self._t.cpu(), self._log_q.cpu()  # a model may have been moved since
        frequencies = torch.randn(d, m, generator=generator) * t.sqrt().float()
        signs = torch.randint(0, 2, (d, m), generator=generator).float() * 2 - 1
        weights = torch.randn(2, m, generator=generator, dtype=torch.float64)
        at_zero = torch.randn(1, generator=generator, dtype=torch.float64)
        return torch.cat([frequencies, signs], dim=1), weights, at_zero, t, log_q

    def _evaluate(self, rows: Rows, numbers: tuple[Tensor, ...]) -> Tensor:
        projections, weights, at_zero, t, log_q = numbers
        projected = _dot(rows.values.float(), projections).double()
        phase, sign = projected.chunk(2, dim=1)
        squared = rows.squared_norms.unsqueeze(-1)
        log_size = -0.5 * (t * squared + log_q)
        size = sign * (log_size - log_size.max(dim=1, keepdim=True).values).exp()  # up to a factor, which the norm has
        value = (size * (weights[0] * phase.cos() + weights[1] * phase.sin())).sum(-1)
        norm = size.square().sum(-1).sqrt()
        # T(0, 0) = 1 and T(0, x) = 0: the empty row has a value of its own
        return torch.where(norm > 0, value / norm.clamp_min(1e-300), at_zero)


def _dot(rows: Tensor, matrix: Tensor) -> Tensor:
    """Return rows @ matrix, faster where few entries are nonzero, as in fingerprints."""
    if rows.device.type == "cpu" and rows.numel() and rows.count_nonzero() < 0.1 * rows.numel():
        import warnings

        with warnings.catch_warnings():  # PyTorch calls its CSR format a beta
            warnings.simplefilter("ignore", UserWarning)
            return rows.to_sparse_csr() @ matrix
    return rows @ matrix


class FourierPath(PriorPath):
    """A path of an RBF or Matern kernel, from random Fourier features (Rahimi & Recht 2007).

    The features are sqrt(2 / M) cos(w'x + b) with w from the kernel's spectral density: w times the lengthscale is
    normal for RBF, and for Matern of smoothness nu it is Student's t with 2 nu degrees of freedom.

    Args:
        kernel: the kernel.
        n_features: M.
        seed: of (w, b) and the weights.
    """

    def __init__(self, kernel: RBF | Matern, n_features: int, seed: int) -> None:
        super().__init__(n_features, seed)
        self._lengthscale = kernel.lengthscale
        self._degrees = kernel.twice_nu if isinstance(kernel, Matern) else None

    def _draw(self, d: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        m = self.n_features // 2
        frequencies = torch.randn(d, m, generator=generator, dtype=torch.float64)
        if self._degrees is not None:
            parts = torch.randn(self._degrees, m, generator=generator, dtype=torch.float64)
            frequencies /= (parts.square().sum(0) / self._degrees).sqrt()
        weights = torch.randn(2, m, generator=generator, dtype=torch.float64)
        return frequencies / self._lengthscale, weights / m**0.5

    def _evaluate(self, rows: Rows, numbers: tuple[Tensor, ...]) -> Tensor:
        frequencies, weights = numbers
        phase = rows.values.double() @ frequencies
        return phase.cos() @ weights[0] + phase.sin() @ weights[1]


class PathOn:
    """A path on some columns of the rows, or on scaled columns, as a kernel prescribes."""

    def __init__(self, kernel: Columns | Scaled, path: Path) -> None:
        self._kernel, self._path = kernel, path

    def __call__(self, rows: Rows) -> Tensor:
        """Return the function's values at n rows: n, float64."""
        return self._path(self._kernel.rows(rows))


class SumOfPaths:
    """Independent paths, each with its share of the variance."""

    def __init__(self, shares: Sequence[float], paths: Sequence[Path]) -> None:
        self._shares, self._paths = tuple(shares), tuple(paths)

    def __call__(self, rows: Rows) -> Tensor:
        """Return the function's values at n rows: n, float64."""
        parts = [share**0.5 * path(rows) for share, path in zip(self._shares, self._paths, strict=True)]
        return torch.stack(parts).sum(0)


#: a function on prepared rows: n -> n, float64
Path = Callable[[Rows], Tensor]


def draw_prior(kernel: Kernel, rows: Rows, n_features: int, seed: int) -> Path:
    """Draw a function from GP(0, kernel).

    Args:
        kernel: the kernel.
        rows: examples of the rows on which the function will be evaluated.
        n_features: number of random features.
        seed: of the draw.

    Raises:
        NotImplementedError: no random features of the kernel are known.
    """
    if isinstance(kernel, Tanimoto):
        return TanimotoPath(rows, n_features, seed)
    if isinstance(kernel, Hamming):
        return HammingPath(kernel, rows, n_features, seed)
    if isinstance(kernel, WeightedHamming):
        return WeightedHammingPath(kernel, rows, n_features, seed)
    if isinstance(kernel, RBF | Matern):
        return FourierPath(kernel, n_features, seed)
    if isinstance(kernel, Columns | Scaled):
        return PathOn(kernel, draw_prior(kernel.kernel, kernel.rows(rows), n_features, seed))
    if isinstance(kernel, Sum):
        parts = [draw_prior(part, rows, n_features, derive_seed(seed, i)) for i, part in enumerate(kernel.parts)]
        return SumOfPaths(kernel.shares, parts)
    raise NotImplementedError(
        f"functions can be drawn for tanimoto, hamming, rbf and matern kernels and their sums, not for "
        f"{type(kernel).__name__}"
    )
