"""Functions drawn from the prior of a Gaussian process, fixed by a seed wherever they are evaluated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from al_loop.seeding import derive_seed
from al_loop.surrogates.kernels.elementary import RBF, Hamming, Kernel, Matern, Rows, Tanimoto
from al_loop.surrogates.kernels.expression import Columns, Scaled, Sum

#: rates of the mixture that the Tanimoto kernel's inverse scales are drawn from
_N_RATES = 32


class PriorPath(ABC):
    """A function drawn from GP(0, k), approximately: w'phi(x) with standard normal weights w and |phi(x)| = 1.

    Its variance is 1 everywhere, as k(x, x) is; its correlations are k's up to about 1 / sqrt(n_features). Everything
    random comes from the seed and is made anew where it is needed, so that nothing large is pickled.
    """

    def __init__(self, n_features: int, seed: int) -> None:
        self.n_features = n_features
        self.seed = seed
        self._made: tuple[Tensor, ...] | None = None

    def __call__(self, rows: Rows) -> Tensor:
        """The function's values: n, float64."""
        if self._made is None or self._made[0].device != rows.values.device:
            generator = torch.Generator().manual_seed(self.seed)
            made = self._make(rows.values.shape[-1], generator)
            self._made = tuple(part.to(rows.values.device) for part in made)
        return self._evaluate(rows, self._made)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_made": None}

    @abstractmethod
    def _make(self, d: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """What the function is made of, for rows of d columns."""

    @abstractmethod
    def _evaluate(self, rows: Rows, made: tuple[Tensor, ...]) -> Tensor:
        """The function's values: n, float64."""


class HammingPath(PriorPath):
    """Of exp(-h / lengthscale): random parities.

    phi_m(x) = (-1)^(b_m'x) / sqrt(M) with independent bits b that are 1 with probability p. Two one-hot rows share the
    columns where they agree, and each of the h L positions at which they differ adds two independent bits, of mean
    sign (1 - 2p)²: so E phi(x)'phi(x') = (1 - 2p)^(2 h L). p is such that this is the kernel.

    Args:
        kernel: the kernel.
        rows: any rows; they tell L, the number of positions.
        n_features: M.
        seed: of the bits and weights.
    """

    def __init__(self, kernel: Hamming, rows: Rows, n_features: int, seed: int) -> None:
        super().__init__(n_features, seed)
        n_positions = float(rows.squared_norms.double().mean())
        agreement = torch.tensor(-0.5 / (kernel.lengthscale * n_positions), dtype=torch.float64)
        self._p = float(-torch.expm1(agreement) / 2)

    def _make(self, d: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        bits = torch.rand(d, self.n_features, generator=generator) < self._p
        weights = torch.randn(self.n_features, generator=generator, dtype=torch.float64)
        return bits.float(), weights / self.n_features**0.5

    def _evaluate(self, rows: Rows, made: tuple[Tensor, ...]) -> Tensor:
        bits, weights = made
        parity = torch.remainder(rows.values.float() @ bits, 2.0)
        return (1 - 2 * parity.double()) @ weights


class TanimotoPath(PriorPath):
    """Of <x, y> / (|x|² + |y|² - <x, y>): random features of an integral (other ones: Tripp et al. 2023).

    Since 1 / c is the integral of exp(-t c) over t > 0, and |x|² + |y|² - <x, y> = (|x|² + |y|² + |x - y|²) / 2, the
    kernel is the integral of <x, y> exp(-t |x|² / 2) exp(-t |y|² / 2) exp(-t |x - y|² / 2). The first factor is the
    mean of (s'x)(s'y) over random signs s, and the last that of cos(sqrt(t) w'(x - y)) over normal w. t is drawn,
    evenly, from a density q, a mixture of exponentials whose rates span the norms of the rows and those around
    them, and weighted with 1 / q(t). Features are divided by their norm, which makes the variance exactly 1.

    Args:
        rows: those that the function will mostly be evaluated on, or some like them.
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

    def _make(self, d: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        m = len(self._t)
        frequencies = torch.randn(d, m, generator=generator) * self._t.sqrt().float()
        signs = torch.randint(0, 2, (d, m), generator=generator).float() * 2 - 1
        weights = torch.randn(2, m, generator=generator, dtype=torch.float64)
        at_zero = torch.randn(1, generator=generator, dtype=torch.float64)
        return torch.cat([frequencies, signs], dim=1), weights, at_zero, self._t, self._log_q

    def _evaluate(self, rows: Rows, made: tuple[Tensor, ...]) -> Tensor:
        projections, weights, at_zero, t, log_q = made
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
    """Rows @ matrix, faster where few entries are not zero, as in fingerprints."""
    if rows.device.type == "cpu" and rows.numel() and rows.count_nonzero() < 0.1 * rows.numel():
        import warnings

        with warnings.catch_warnings():  # PyTorch calls its CSR format a beta
            warnings.simplefilter("ignore", UserWarning)
            return rows.to_sparse_csr() @ matrix
    return rows @ matrix


class FourierPath(PriorPath):
    """Of an RBF or Matern kernel: sqrt(2 / M) cos(w'x + b) with w from its spectral density (Rahimi & Recht 2007).

    w is normal for RBF, and for Matern of smoothness nu Student's t with 2 nu degrees of freedom, over the lengthscale.

    Args:
        kernel: the kernel.
        n_features: M.
        seed: of (w, b) and the weights.
    """

    def __init__(self, kernel: RBF | Matern, n_features: int, seed: int) -> None:
        super().__init__(n_features, seed)
        self._lengthscale = kernel.lengthscale
        self._degrees = kernel.twice_nu if isinstance(kernel, Matern) else None

    def _make(self, d: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        m = self.n_features // 2
        frequencies = torch.randn(d, m, generator=generator, dtype=torch.float64)
        if self._degrees is not None:
            parts = torch.randn(self._degrees, m, generator=generator, dtype=torch.float64)
            frequencies /= (parts.square().sum(0) / self._degrees).sqrt()
        weights = torch.randn(2, m, generator=generator, dtype=torch.float64)
        return frequencies / self._lengthscale, weights / m**0.5

    def _evaluate(self, rows: Rows, made: tuple[Tensor, ...]) -> Tensor:
        frequencies, weights = made
        phase = rows.values.double() @ frequencies
        return phase.cos() @ weights[0] + phase.sin() @ weights[1]


class PathOn:
    """A path on what a kernel makes of the rows: some columns, or scaled ones."""

    def __init__(self, kernel: Columns | Scaled, path: Path) -> None:
        self._kernel, self._path = kernel, path

    def __call__(self, rows: Rows) -> Tensor:
        """The function's values: n, float64."""
        return self._path(self._kernel.rows(rows))


class SumOfPaths:
    """Independent paths, each with its share of the variance."""

    def __init__(self, shares: Sequence[float], paths: Sequence[Path]) -> None:
        self._shares, self._paths = tuple(shares), tuple(paths)

    def __call__(self, rows: Rows) -> Tensor:
        """The function's values: n, float64."""
        parts = [share**0.5 * path(rows) for share, path in zip(self._shares, self._paths, strict=True)]
        return torch.stack(parts).sum(0)


#: a function on prepared rows: n -> n, float64
Path = Callable[[Rows], Tensor]


def draw_prior(kernel: Kernel, rows: Rows, n_features: int, seed: int) -> Path:
    """A function drawn from GP(0, kernel), to be evaluated on rows like these.

    Raises:
        NotImplementedError: no random features of the kernel are known.
    """
    if isinstance(kernel, Tanimoto):
        return TanimotoPath(rows, n_features, seed)
    if isinstance(kernel, Hamming):
        return HammingPath(kernel, rows, n_features, seed)
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
