"""An exact Gaussian process for a few thousand measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from botorch.models.model import Model, ModelList
from pydantic import Field
from torch import Tensor

from al_loop.surrogates._censored import PseudoTargets, pseudo_targets, truncated_mean
from al_loop.surrogates._gp_hyperparameters import (
    RATIO_BOUNDS,
    Array,
    Fit,
    Gram,
    NoisePrior,
    choose_kernel,
    fit_beside_known_noise,
    fit_noise_ratio,
)
from al_loop.surrogates._gp_model import ExactGPModel, Hyperparameters, Training
from al_loop.surrogates._gp_posterior import Scales, draw_kernels
from al_loop.surrogates._standardise import shift_and_scale
from al_loop.surrogates._subset import informative_rows
from al_loop.surrogates.base import Surrogate, check_data
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare
from al_loop.surrogates.kernels.expression import kernel_of

#: times that the hyperparameters are fitted to expected values in place of bounds
_CENSORED_FITS = 2
#: different kernels among draws of hyperparameters
_N_KERNELS = 8


@dataclass(frozen=True)
class Belief:
    """What a Gaussian process believes of a function: y = c + f(x) + noise, f ~ GP(0, s T), noise ~ N(0, s r).

    Args:
        kernel: T.
        mean: c.
        signal_variance: s.
        noise_ratio: r.
    """

    kernel: Kernel
    mean: float
    signal_variance: float
    noise_ratio: float


class ExactGP(Surrogate):
    """Exact Gaussian process on fingerprints, sequences or descriptors, for up to a few thousand measurements.

    On standardised targets: y = c + f(x) + noise, f ~ GP(0, s T), noise ~ N(0, s r), with T the kernel. For each noise
    ratio r the constant c (generalised least squares) and the signal variance s are in closed form once T is
    diagonalised, so that one eigendecomposition and a line search find the maximum of the posterior density of
    (c, log s, log r). The priors are weak: c flat; r log-normal; s scaled inverse chi-squared with one degree of
    freedom and scale 1, which counts as much as one more measurement and keeps s positive on equal targets.

    BoTorch's ``SingleTaskGP`` has no such search; benchmarks/surrogates/surrogates_cost.py compares the costs.

    Args:
        kernel: by default the natural one of the campaign's features. Else names joined by + and *, each with the
            columns that it applies to where not all: ``tanimoto``, ``minmax`` (counts), ``hamming`` (one-hot letters),
            ``weighted_hamming`` (letters, with a weight for each position), ``rbf``, ``matern12``, ``matern32``,
            ``matern52`` (descriptors, which are brought to one scale); such as ``tanimoto[0:2048] +
            matern52[2048:2256]``. Lengthscales and weights are fitted.
        noise_ratio: median of the prior of r, noise variance / signal variance.
        noise_spread: standard deviation of the prior of log r.
        signal_weight: number of measurements that the prior of s counts as. More keep the uncertainty about new objects
            from vanishing where many measured values are equal.
        max_rows: largest number of measurements that are used: of more, half are the best ones, and half are taken
            evenly from all others; None: all.
    """

    kind = "gp"

    def __init__(
        self,
        kernel: str = "tanimoto",
        noise_ratio: Annotated[float, Field(gt=0)] = 0.1,
        noise_spread: Annotated[float, Field(gt=0)] = 1.5,
        signal_weight: Annotated[float, Field(gt=0)] = 1.0,
        max_rows: Annotated[int, Field(ge=2)] | None = None,
    ) -> None:
        kernel_of(kernel)  # raises where it cannot be parsed
        self.kernel = kernel
        self.noise_ratio = noise_ratio
        self.noise_spread = noise_spread
        self.signal_weight = signal_weight
        self.max_rows = max_rows

    @property
    def _prior(self) -> NoisePrior:
        return NoisePrior(self.noise_ratio, self.noise_spread, self.signal_weight)

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fit each column of Y by itself: an ``ExactGPModel``, or a ``ModelList`` of them where m > 1.

        Yvar adds known noise to the fitted one (then s and r are searched for together).
        """
        check_data(X, Y, Yvar)
        return self._fit(X, Y, Yvar, torch.zeros_like(Y[:, 0]))

    def fit_censored(self, X: Tensor, Y: Tensor, Yvar: Tensor | None, sides: Tensor) -> Model:
        """Fit targets of which some are bounds, by expectation propagation (Groot and Lucas 2012).

        The hyperparameters are fitted to the targets with each bound replaced by its expected value beyond the bound,
        twice; given them, the posterior is that of the Tobit likelihood.
        """
        check_data(X, Y, Yvar)
        return self._fit(X, Y, Yvar, sides)

    def draw_hyperparameters(self, X: Tensor, y: Tensor, n_draws: int, seed: int) -> list[Belief]:
        """Draw hyperparameters from their posterior, in place of the most likely ones that ``fit`` finds.

        The kernel's own hyperparameters are drawn by Gibbs sampling over the choices of a fit, and the others from
        their exact posterior given the kernel.

        Args:
            X: n x d features.
            y: n targets.
            n_draws: their number.
            seed: of the draws.

        Raises:
            ValueError: the data are unusable.
        """
        return [belief for _, belief in self.draw_scales(X, y[:, None], np.zeros(1), n_draws, seed)]

    def draw_scales(
        self, X: Tensor, Y: Tensor, log_densities: Array, n_draws: int, seed: int
    ) -> list[tuple[int, Belief]]:
        """Draw the scale on which the targets are normal, and hyperparameters, from their joint posterior.

        Args:
            X: n x d features.
            Y: the same n targets on k scales, n x k.
            log_densities: log prior density of each scale plus the log of the slopes of its targets, k.
            n_draws: number of draws.
            seed: of the draws.

        Returns:
            The scale and the hyperparameters of each draw.

        Raises:
            ValueError: the data are unusable.
        """
        check_data(X, Y, None)
        prior, rng = self._prior, np.random.default_rng(seed)
        shifts, spreads = (np.array(each) for each in zip(*map(shift_and_scale, Y.T), strict=True))
        Z = (Y.double().T.numpy() - shifts[:, None]) / spreads[:, None]
        scales, rows = Scales(Z, log_densities - len(X) * np.log(spreads)), prepare(X)
        likely = int(scales.log_densities.argmax())
        best = choose_kernel(kernel_of(self.kernel).trained(X), rows, Y[:, likely].double().numpy(), prior)
        kernels = draw_kernels(best, rows, scales, prior, min(n_draws, _N_KERNELS), rng)
        posteriors = [scales.posteriors(Gram.of(kernel, rows), prior) for kernel in kernels]
        draws = []
        for i in range(n_draws):
            own, weights = posteriors[i % len(kernels)]
            k = int(rng.choice(len(weights), p=weights))
            fit = own[k].draw(rng)
            mean, signal_variance = float(shifts[k] + spreads[k] * fit.mean), float(spreads[k] ** 2 * fit.signal)
            draws.append((k, Belief(kernels[i % len(kernels)], mean, signal_variance, fit.ratio)))
        return draws

    def likely_hyperparameters(self, X: Tensor, y: Tensor) -> Belief:
        """Return the most likely hyperparameters, as ``fit`` finds them, for n x d features and n targets."""
        model = self.fit(X, y[:, None])
        assert isinstance(model, ExactGPModel)
        ratio = model.noise_variance / model.signal_variance
        return Belief(model.kernel, model.mean, model.signal_variance, ratio)

    def draw_prior(self, X: Tensor, n_draws: int, seed: int) -> list[Belief]:
        """Draw hyperparameters from their prior, for a function of mean 0 and signal variance 1.

        Args:
            X: n x d features of objects of the space, which set the scale of lengthscales.
            n_draws: their number.
            seed: of the draws.
        """
        prior, rng = self._prior, np.random.default_rng(seed)
        kernel, n_kernels = kernel_of(self.kernel).trained(X), min(n_draws, _N_KERNELS)
        kernels = draw_kernels(kernel, prepare(X[:0]), Scales(np.empty((1, 0)), np.zeros(1)), prior, n_kernels, rng)
        ratios = np.exp(rng.normal(np.log(self.noise_ratio), self.noise_spread, n_draws)).clip(*RATIO_BOUNDS)
        return [Belief(kernels[i % len(kernels)], 0.0, 1.0, float(ratio)) for i, ratio in enumerate(ratios)]

    def _fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None, sides: Tensor) -> Model:
        if self.max_rows is not None and len(X) > self.max_rows:
            chosen_rows = informative_rows(Y.cpu(), self.max_rows).to(X.device)
            X, Y, sides = X[chosen_rows], Y[chosen_rows], sides[chosen_rows]
            Yvar = None if Yvar is None else Yvar[chosen_rows]
        prior, rows, kernel = self._prior, prepare(X), kernel_of(self.kernel).trained(X)
        grams: dict[int, Gram] = {}
        models = []
        for column in range(Y.shape[1]):
            y = Y[:, column].double().cpu().numpy()
            yvar = None if Yvar is None else Yvar[:, column].double().cpu().numpy()
            chosen = choose_kernel(kernel, rows, y, prior, yvar)
            if id(chosen) not in grams:  # which keeps the kernel alive, and its id its own
                grams[id(chosen)] = Gram.of(chosen, rows)
            models.append(_fit_column(grams[id(chosen)], rows, y, yvar, prior, sides.double().cpu().numpy()))
        return models[0] if len(models) == 1 else ModelList(*models)


def _fit_column(gram: Gram, rows: Rows, y: Array, yvar: Array | None, prior: NoisePrior, sides: Array) -> ExactGPModel:
    shift, scale = shift_and_scale(torch.from_numpy(y))
    z = (y - shift) / scale
    zvar = None if yvar is None else yvar / scale**2
    fit, noise = _hyperparameters(gram, z, zvar, prior)
    is_exact = sides == 0
    if not is_exact.all():
        bounds = z
        for _ in range(_CENSORED_FITS):
            pseudo = _pseudo_targets(gram, fit, bounds, noise, sides)
            spread = (pseudo.variances + fit.signal * torch.from_numpy(noise)).sqrt()
            expected = truncated_mean(pseudo.means, spread, torch.from_numpy(bounds), torch.from_numpy(sides))
            fit, noise = _hyperparameters(gram, np.where(is_exact, bounds, expected.numpy()), zvar, prior)
        pseudo = _pseudo_targets(gram, fit, bounds, noise, sides)
        z = np.where(is_exact, bounds, pseudo.targets.numpy())
        usual = float(noise[is_exact].mean()) if is_exact.any() else float(noise.mean())
        noise = np.where(is_exact, noise, pseudo.noise.numpy() / fit.signal)
    else:
        usual = float(noise.mean())
    R = gram.T.clone()
    R.diagonal().add_(torch.from_numpy(noise).to(R.device))
    L = torch.linalg.cholesky(R)
    residual = torch.from_numpy(scale * (z - fit.mean)).to(gram.T.device)
    training = Training(
        rows=rows,
        targets=torch.from_numpy(shift + scale * z if not is_exact.all() else y).to(gram.T.device),
        L=L,
        alpha=torch.cholesky_solve(residual.unsqueeze(-1), L).squeeze(-1),
    )
    hyperparameters = Hyperparameters(
        mean=shift + scale * fit.mean,
        signal_variance=scale**2 * fit.signal,
        noise_variance=scale**2 * fit.signal * usual,
        log_density=fit.log_density,
    )
    return ExactGPModel(gram.kernel, training, hyperparameters)


def _hyperparameters(gram: Gram, z: Array, zvar: Array | None, prior: NoisePrior) -> tuple[Fit, Array]:
    """Return the fitted hyperparameters, and the noise ratio of each of n standardised targets."""
    fit = fit_noise_ratio(gram, z, prior)
    if zvar is None:
        return fit, np.full(len(z), fit.ratio)
    fit = fit_beside_known_noise(gram, z, zvar, prior, fit)
    return fit, fit.ratio + zvar / fit.signal


def _pseudo_targets(gram: Gram, fit: Fit, z: Array, noise: Array, sides: Array) -> PseudoTargets:
    K = fit.signal * gram.T.double().cpu()
    variances = torch.from_numpy(fit.signal * noise)
    return pseudo_targets(K, fit.mean, torch.from_numpy(z), variances, torch.from_numpy(sides))
