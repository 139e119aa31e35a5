"""A Gaussian process on features that a neural network encodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from botorch.models.model import Model
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize
from torch import Tensor

from al_loop.features.row_layout import Layout
from al_loop.surrogates._deep_kernel_model import DeepKernelModel, Encoder
from al_loop.surrogates._gp_hyperparameters import (
    RATIO_BOUNDS,
    Fit,
    Gram,
    NoisePrior,
    choose_kernel,
    fit_beside_known_noise,
    fit_noise_ratio,
)
from al_loop.surrogates._gp_model import Hyperparameters, Training
from al_loop.surrogates._network_utils import batches
from al_loop.surrogates._standardise import shift_and_scale
from al_loop.surrogates.base import Surrogate, fit_each_target
from al_loop.surrogates.encoders.encoding import Encoding, Kind
from al_loop.surrogates.kernels.elementary import prepare
from al_loop.surrogates.kernels.expression import kernel_of
from al_loop.surrogates.kernels.mixture import Mixture, Pair, mixed
from al_loop.system import stopping

_BATCH = 256
#: the fraction of the rows that is held out, and the least number of measurements at which any are
_HELD_OUT, _FEWEST = 0.2, 20
#: rows that predict the held-out ones during training and while the hyperparameters are chosen
_SCORING_ROWS = 1024


class DeepKernel(Surrogate):
    """Gaussian process on features and on a network's encoding of them, for up to a few thousand measurements.

    Its kernel is the weighted mean of the one of ``gp`` on the features and of an RBF on encoded ones. Deep kernel
    learning (Wilson et al. 2016): a linear map plus a network (``encoder``) encodes the features, and is trained
    together with the constant, signal variance s, noise ratio r and weight w of the GP, by the marginal likelihood
    of random batches of 256 rows. Such a network can make the likelihood large by moving all data together, which
    predicts badly and with too much confidence (Ober et al. 2021). Against that: a fifth of the rows is held out;
    training stops where the density of these, given the others, was largest (``patience`` passes after it); s, r
    and w are then those of the largest density of the held-out rows with the priors of ``gp``; network weights decay.
    In the end the GP is conditioned on all rows. With fewer than 20 measurements none is held out, and it is ``gp``.

    RMSE of the encoders beside that of ``gp`` (means of two fits to 2,000 random objects of the shipped tables).
    TFBind8, gp .115: mlp .113, cnn .110, cnn with reverse_complement .105, transformer .116. Docking scores of
    Enamine10k, gp .388: mlp .388, graph .387 (of 500: .436, .432, gp .433). So the transformer is not worth its cost,
    nor are mlp and graph beside fingerprints.

    Args:
        kernel: of the features, as in ``gp``; by default the natural one of the campaign's features; ``none``: the
            learned one alone.
        encoder: ``mlp`` (perceptron, on any rows), ``cnn`` or ``transformer`` (features ``one_hot``), ``graph``
            (message passing, features ``graph``); ``auto`` is cnn on one_hot, graph on graph, else mlp.
        layout: structure of the rows, for the encoders other than mlp, which the campaign takes from its features.
        reverse_complement: whether a DNA or RNA word and its reverse complement are the same to the learned kernel.
        hidden: units of a hidden layer.
        n_layers: hidden layers.
        latent: dimensions that the GP works in.
        max_epochs: largest number of passes over the data.
        patience: passes without an improvement until training stops.
        learning_rate: of AdamW.
        weight_decay: of AdamW, for the network.
        noise_ratio: median of the prior of r, noise variance / signal variance.
        noise_spread: standard deviation of the prior of log r.
        seed: of weights, held-out rows and batches.
    """

    kind = "deep_kernel"

    def __init__(
        self,
        kernel: str = "none",
        encoder: Kind = "auto",
        layout: Layout | None = None,
        reverse_complement: bool = False,
        hidden: Annotated[int, Field(ge=1)] = 128,
        n_layers: Annotated[int, Field(ge=1)] = 2,
        latent: Annotated[int, Field(ge=1)] = 256,
        max_epochs: Annotated[int, Field(ge=1)] = 100,
        patience: Annotated[int, Field(ge=1)] = 8,
        learning_rate: Annotated[float, Field(gt=0)] = 1e-3,
        weight_decay: Annotated[float, Field(ge=0)] = 1e-2,
        noise_ratio: Annotated[float, Field(gt=0)] = 0.1,
        noise_spread: Annotated[float, Field(gt=0)] = 1.5,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        if kernel != "none":
            kernel_of(kernel)  # raises where it cannot be parsed
        self.kernel = kernel
        self._encoding = Encoding(encoder, layout, reverse_complement)
        self.hidden = hidden
        self.n_layers = n_layers
        self.latent = latent
        self.max_epochs = max_epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.noise_ratio = noise_ratio
        self.noise_spread = noise_spread
        self.seed = seed
        self._prior = NoisePrior(noise_ratio, noise_spread)

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fit each column of Y by itself, with a network of its own: a ``DeepKernelModel``, or a ``ModelList``.

        Yvar adds known noise to the fitted one.
        """
        return fit_each_target(self._fit_column, X, Y, Yvar)

    def _fit_column(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> DeepKernelModel:
        generator = torch.Generator().manual_seed(self.seed)
        shift, scale = shift_and_scale(y)
        z, n = (y - shift) / scale, len(y)
        zvar = torch.zeros_like(z) if yvar is None else yvar / scale**2
        encoder = Encoder(self._encoding, X, self.hidden, self.n_layers, self.latent, generator).to(X.device)
        order = torch.randperm(n, generator=generator).to(X.device)
        n_out = round(_HELD_OUT * n) if n >= _FEWEST else 0
        held_out, training_rows = order[:n_out], order[n_out:]
        kernel = self._untrained(encoder, X[training_rows], z[training_rows])
        if n_out:
            data = _Data(X, z, zvar)
            scorer = HeldOutScorer(kernel, data, training_rows[:_SCORING_ROWS], held_out[: _SCORING_ROWS // 2])
            with torch.enable_grad():
                fit, kernel, epochs = self._train(encoder, kernel, data, training_rows, scorer, generator)
            fit, kernel = self._best(scorer, encoder, fit, kernel)
        else:
            epochs, kernel = 0, kernel if kernel.plain is None else kernel.with_weight(0.0)
            gram, target = Gram.of(kernel, kernel.rows(encoder, X)), z.cpu().numpy()
            fit = fit_noise_ratio(gram, target, self._prior)
            if yvar is not None:
                fit = fit_beside_known_noise(gram, target, zvar.cpu().numpy(), self._prior, fit)
        rows = kernel.rows(encoder, X)
        noise = fit.ratio + zvar / fit.signal
        L = torch.linalg.cholesky(kernel.cross(rows, rows) + torch.diag(noise))
        solved = torch.cholesky_solve(torch.stack([torch.ones_like(z), z], dim=1), L)
        mean = float(solved[:, 1].sum() / solved[:, 0].sum())  # generalised least squares on all rows
        training = Training(rows, y, L, alpha=scale * (solved[:, 1] - mean * solved[:, 0]))
        hyperparameters = Hyperparameters(
            mean=shift + scale * mean,
            signal_variance=scale**2 * fit.signal,
            noise_variance=scale**2 * fit.signal * float(noise.mean()),
            log_density=fit.log_density,
        )
        return DeepKernelModel(kernel, training, hyperparameters, encoder.requires_grad_(False), epochs)

    def _untrained(self, encoder: Encoder, X: Tensor, z: Tensor) -> Mixture:
        """Return equal parts of the learned kernel and the features' own, with the hyperparameters fitted by ``gp``."""
        if self.kernel == "none":
            return Mixture(encoder.kernel)
        n_plain = self._encoding.n_flat(X)
        plain, rows = kernel_of(self.kernel).trained(X[:, :n_plain]), prepare(X[:, :n_plain])
        plain = choose_kernel(plain, rows, z.cpu().numpy(), self._prior)
        return Mixture(encoder.kernel, n_plain, plain, 0.5, rows.values.dtype)

    def _best(self, scorer: HeldOutScorer, encoder: Encoder, start: Fit, kernel: Mixture) -> tuple[Fit, Mixture]:
        """Return signal variance, noise ratio and weight of the largest density of held-out rows, with their priors."""
        plain, deep = scorer.plain, scorer.deep(encoder)
        lower, upper = np.log(RATIO_BOUNDS)

        def at(p: NDArray[np.float64]) -> tuple[Fit, float]:
            signal, ratio = float(np.exp(np.clip(p[0], -30, 30))), float(np.exp(np.clip(p[1], lower, upper)))
            weight = float(1 / (1 + np.exp(-np.clip(p[2], -9, 9)))) if plain is not None else 1.0
            mean, density = scorer.density(*mixed(plain, deep, weight), signal, ratio)
            density += float(self._prior.log_density(np.log(ratio))) - 0.5 * float(np.log(signal) + 1 / signal)
            if plain is not None:  # flat in the weight
                density += float(np.log(weight) + np.log1p(-weight))
            return Fit(mean, signal, ratio, density), weight

        def loss(p: NDArray[np.float64]) -> float:
            stopping.look()
            return -at(p)[0].log_density

        logits = [] if plain is None else [np.log(kernel.weight / (1 - kernel.weight))]
        x0 = np.array([np.log(start.signal), np.log(start.ratio), *logits])
        # SciPy's own steps from values near 0 are tiny, and the search would end where it began
        simplex = x0 + np.vstack([np.zeros(len(x0)), np.eye(len(x0))])
        options = {"xatol": 1e-2, "fatol": 1e-2, "initial_simplex": simplex}
        found = minimize(loss, x0=x0, method="Nelder-Mead", options=options)  # type: ignore[call-overload]
        fit, weight = at(found.x)
        return fit, kernel.with_weight(weight)

    def _train(
        self,
        encoder: Encoder,
        kernel: Mixture,
        data: _Data,
        training_rows: Tensor,
        scorer: HeldOutScorer,
        generator: torch.Generator,
    ) -> tuple[Fit, Mixture, int]:
        """Train the encoder, restore its best pass, and return the hyperparameters at that pass and its number."""
        initial = [0.0, 0.0, np.log(self.noise_ratio), 0.0]
        gp = torch.tensor(initial, device=data.X.device, dtype=torch.float64).requires_grad_()
        optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in encoder.parameters() if p.ndim], "weight_decay": self.weight_decay},
                {"params": [gp, encoder.log_size], "weight_decay": 0.0, "lr": 10 * self.learning_rate},
            ],
            lr=self.learning_rate,
        )
        inputs, plain = data.X.float(), scorer.plain

        def held_out_fit() -> tuple[Fit, float]:
            _, signal, ratio = gp.detach()[:3].exp().tolist()
            weight = float(gp.detach()[3].sigmoid()) if plain is not None else 1.0
            mean, density = scorer.density(*mixed(plain, scorer.deep(encoder), weight), signal, ratio)
            return Fit(mean, signal, ratio, density), weight

        (best, best_weight), best_epoch, best_weights = held_out_fit(), 0, encoder.copy_weights()
        for epoch in range(1, self.max_epochs + 1):
            for picked in batches(len(training_rows), _BATCH, generator):
                stopping.look()
                rows = training_rows[picked.to(training_rows.device)]
                optimiser.zero_grad(set_to_none=True)
                own = kernel.features(data.X[rows])
                T = None if own is None or kernel.plain is None else kernel.plain.cross(own, own)
                loss = self._loss(
                    encoder(inputs[rows]).double(), data.z[rows], data.zvar[rows], gp, len(training_rows), T
                )
                loss.backward()
                optimiser.step()
                with torch.no_grad():
                    gp[1].clamp_(-6, 6)
                    gp[2].clamp_(np.log(1e-4), np.log(1e2))
                    gp[3].clamp_(-4, 4)
            with torch.no_grad():
                fit, weight = held_out_fit()
            if fit.log_density > best.log_density:
                best, best_weight, best_epoch, best_weights = fit, weight, epoch, encoder.copy_weights()
            elif epoch >= best_epoch + self.patience:
                break
        encoder.load_state_dict(best_weights)
        encoder.requires_grad_(False)
        return best, kernel.with_weight(best_weight), best_epoch

    def _loss(self, e: Tensor, z: Tensor, zvar: Tensor, gp: Tensor, n: int, T: Tensor | None = None) -> Tensor:
        """Return the negative log marginal likelihood of a batch per row, with the priors' share of one of n rows.

        Args:
            e: b x latent encoded rows.
            z: b targets.
            zvar: b known noise variances.
            gp: constant, log signal variance, log noise ratio and logit of the learned kernel's weight.
            n: number of training rows.
            T: b x b kernel of the features, or None.
        """
        constant, log_signal, log_ratio = gp[:3]
        signal = log_signal.exp()
        squared = e.square().sum(-1)
        distance = (squared.unsqueeze(-1) + squared - 2 * e @ e.T).clamp_min(0)
        correlation = (distance / (-2 * e.shape[-1])).exp()
        if T is not None:
            correlation = T + gp[3].sigmoid() * (correlation - T)
        K = signal * correlation + torch.diag(signal * log_ratio.exp() + zvar)
        L = torch.linalg.cholesky(K)
        whitened = torch.linalg.solve_triangular(L, (z - constant).unsqueeze(-1), upper=False)
        likelihood = -0.5 * whitened.square().sum() - L.diagonal().log().sum()
        prior = -0.5 * (log_signal + 1 / signal)
        prior = prior - 0.5 * ((log_ratio - float(np.log(self.noise_ratio))) / self.noise_spread) ** 2
        loss: Tensor = -likelihood / len(z) - prior / n
        return loss


@dataclass(frozen=True)
class _Data:
    """Measurements: n x d features, n targets of mean 0 and variance 1, and their n known noise variances."""

    X: Tensor
    z: Tensor
    zvar: Tensor


class HeldOutScorer:
    """The density of held-out rows, predicted from some of the training rows.

    Args:
        kernel: whose plain part is computed once.
        data: all measurements.
        training_rows: indices of the rows that predict.
        held_out: indices of the rows that are predicted.
    """

    def __init__(self, kernel: Mixture, data: _Data, training_rows: Tensor, held_out: Tensor) -> None:
        self._X, self._z, self._zvar = data.X[training_rows], data.z[training_rows], data.zvar[training_rows]
        self._X_out, self._z_out, self._zvar_out = data.X[held_out], data.z[held_out], data.zvar[held_out]
        rows, out_rows = kernel.features(self._X), kernel.features(self._X_out)
        #: as ``deep``, for the features' own kernel, if there is one
        self.plain: Pair | None = None
        if kernel.plain is not None and rows is not None and out_rows is not None:
            self.plain = kernel.plain.cross(rows, rows), kernel.plain.cross(out_rows, rows)

    @torch.no_grad()
    def deep(self, encoder: Encoder) -> Pair:
        """Return the learned kernel of the training rows with each other, and of the held-out ones with them."""
        rows, out_rows = encoder.rows(self._X), encoder.rows(self._X_out)
        return encoder.kernel.cross(rows, rows), encoder.kernel.cross(out_rows, rows)

    @torch.no_grad()
    def density(self, T: Tensor, t: Tensor, signal: float, ratio: float) -> tuple[float, float]:
        """Return the constant, and the log density of the held-out targets, each by itself, given the others.

        Args:
            T: kernel of the training rows with each other.
            t: kernel of the held-out rows with the training rows.
            signal: signal variance.
            ratio: noise ratio.
        """
        L = torch.linalg.cholesky(T + torch.diag(ratio + self._zvar / signal))
        sides = torch.cat([torch.ones_like(self._z).unsqueeze(-1), self._z.unsqueeze(-1), t.T], dim=1)
        ones, target, whitened = torch.linalg.solve_triangular(L, sides, upper=False).split([1, 1, len(t)], dim=1)
        mean = float((ones * target).sum() / ones.square().sum())
        predicted = mean + (whitened.T @ (target - mean * ones)).squeeze(-1)
        explained = whitened.square().sum(0)
        variance = signal * ((1 - explained).clamp_min(0) + ratio) + self._zvar_out
        residual = self._z_out - predicted
        density = -0.5 * ((2 * np.pi * variance).log() + residual.square() / variance).sum()
        return mean, float(density)
