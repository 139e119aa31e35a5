"""A Gaussian process on what a neural network makes of the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from botorch.models.model import Model
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize
from torch import Tensor

from al_loop.features.row_layout import Layout
from al_loop.surrogates._network_utils import Network, batches, dot
from al_loop.surrogates._standardise import shift_and_scale
from al_loop.surrogates.base import Surrogate, fit_each_target
from al_loop.surrogates.encoders.encoding import Encoding, Kind
from al_loop.surrogates.gp import _RATIO_BOUNDS, ExactGP, ExactGPModel, Fit, Gram
from al_loop.surrogates.kernels.elementary import RBF, Rows, prepare
from al_loop.surrogates.kernels.expression import kernel_of
from al_loop.surrogates.kernels.mixture import Mixture, Pair, mixed

_BATCH = 256
#: the fraction of the rows that is held out, and the fewest measurements of which any are
_HELD_OUT, _FEWEST = 0.2, 20
#: rows that predict the held-out ones while training and while the hyperparameters are chosen
_JUDGES = 1024


class DeepKernel(Surrogate):
    """Gaussian process on the features and on what a network learns of them, for up to a few thousand measurements.

    Its kernel is the weighted mean of the one of ``gp`` on the features and of an RBF on encoded ones. Deep kernel
    learning (Wilson et al. 2016): a linear map plus a network (``encoder``) encodes the features, and is trained
    together with the constant, signal variance s, noise ratio r and weight w of the GP, by the marginal likelihood
    of random batches of 256 rows. Such a network can make the likelihood large by moving all data together, which
    predicts badly and with too much confidence (Ober et al. 2021). Against that: a fifth of the rows is held out;
    training stops where the density of these, given the others, was largest (``patience`` passes after it); s, r
    and w are then those of the largest density of the held-out rows with the priors of ``gp``; network weights decay.
    In the end the GP is conditioned on all rows. Of fewer than 20 measurements none is held out, and it is ``gp``.

    What encoders pay, as RMSE beside that of ``gp`` (means of two fits to 2,000 random objects of the shipped tables).
    TFBind8, .115: mlp .113, cnn .110, cnn with reverse_complement .105, transformer .116, which does not pay. Docking
    scores of Enamine10k, .388: mlp .388, graph .387 (of 500: .436, .432, gp .433), so neither pays beside fingerprints.

    Args:
        kernel: of the features, as that of ``gp``; left out, the natural one of the campaign's features; ``none``: the
            learned one alone.
        encoder: ``mlp`` (perceptron, on any rows), ``cnn`` or ``transformer`` (features ``one_hot``), ``graph``
            (message passing, features ``graph``); ``auto`` is cnn on one_hot, graph on graph, else mlp.
        layout: how rows are to be read, for the encoders other than mlp; the campaign puts that of its features here.
        reverse_complement: whether a word of DNA or RNA is the same as its reverse complement, to the learned kernel.
        hidden: units of a hidden layer.
        n_layers: hidden layers.
        latent: dimensions that the GP works in.
        max_epochs: passes over the data at most.
        patience: passes without a better one until training stops.
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
            kernel_of(kernel)  # refuses what it cannot read
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

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fits each column of Y by itself, with a network of its own: a ``DeepKernelModel``, or a ``ModelList``.

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
        held_out, shown = order[:n_out], order[n_out:]
        kernel = self._untrained(encoder, X[shown], z[shown])
        if n_out:
            judged = HeldOutScorer(kernel, X, z, zvar, shown[:_JUDGES], held_out[: _JUDGES // 2])
            with torch.enable_grad():
                fit, kernel, epochs = self._train(encoder, kernel, X, z, zvar, shown, judged, generator)
            fit, kernel = self._best(judged, encoder, fit, kernel)
        else:
            exact = ExactGP(noise_ratio=self.noise_ratio, noise_spread=self.noise_spread)
            epochs, kernel = 0, kernel if kernel.plain is None else kernel.with_weight(0.0)
            gram, target = Gram.of(kernel, kernel.rows(encoder, X)), z.cpu().numpy()
            fit = exact._best_ratio(gram, target)
            if yvar is not None:
                fit = exact._with_known_noise(gram, target, zvar.cpu().numpy(), fit)
        rows = kernel.rows(encoder, X)
        noise = fit.ratio + zvar / fit.signal
        L = torch.linalg.cholesky(kernel.cross(rows, rows) + torch.diag(noise))
        solved = torch.cholesky_solve(torch.stack([torch.ones_like(z), z], dim=1), L)
        mean = float(solved[:, 1].sum() / solved[:, 0].sum())  # generalised least squares on all rows
        return DeepKernelModel(
            encoder=encoder.requires_grad_(False),
            epochs=epochs,
            kernel=kernel,
            rows=rows,
            targets=y,
            L=L,
            alpha=scale * (solved[:, 1] - mean * solved[:, 0]),
            mean=shift + scale * mean,
            signal_variance=scale**2 * fit.signal,
            noise_variance=scale**2 * fit.signal * float(noise.mean()),
            log_density=fit.log_density,
        )

    def _untrained(self, encoder: Encoder, X: Tensor, z: Tensor) -> Mixture:
        """Equal parts of the learned kernel and the features' own, with the hyperparameters that ``gp`` gives this."""
        if self.kernel == "none":
            return Mixture(encoder.kernel)
        n_plain = self._encoding.n_flat(X)
        plain, rows = kernel_of(self.kernel).trained(X[:, :n_plain]), prepare(X[:, :n_plain])
        exact = ExactGP(noise_ratio=self.noise_ratio, noise_spread=self.noise_spread)
        plain = exact.best_kernel(plain, rows, z.cpu().numpy())
        return Mixture(encoder.kernel, n_plain, plain, 0.5, rows.values.dtype)

    def _best(self, judged: HeldOutScorer, encoder: Encoder, start: Fit, kernel: Mixture) -> tuple[Fit, Mixture]:
        """Signal variance, noise ratio and weight of the largest density of the held-out rows, with their priors."""
        plain, deep = judged.plain, judged.deep(encoder)
        lower, upper = np.log(_RATIO_BOUNDS)

        def at(p: NDArray[np.float64]) -> tuple[Fit, float]:
            signal, ratio = float(np.exp(np.clip(p[0], -30, 30))), float(np.exp(np.clip(p[1], lower, upper)))
            weight = float(1 / (1 + np.exp(-np.clip(p[2], -9, 9)))) if plain is not None else 1.0
            mean, density = judged.density(*mixed(plain, deep, weight), signal, ratio)
            density += self._log_prior(ratio) - 0.5 * float(np.log(signal) + 1 / signal)
            if plain is not None:  # flat in the weight
                density += float(np.log(weight) + np.log1p(-weight))
            return Fit(mean, signal, ratio, density), weight

        def loss(p: NDArray[np.float64]) -> float:
            return -at(p)[0].log_density

        logits = [] if plain is None else [np.log(kernel.weight / (1 - kernel.weight))]
        x0 = np.array([np.log(start.signal), np.log(start.ratio), *logits])
        # SciPy's own steps from values near 0 are tiny, and the search would end where it began
        simplex = x0 + np.vstack([np.zeros(len(x0)), np.eye(len(x0))])
        options = {"xatol": 1e-2, "fatol": 1e-2, "initial_simplex": simplex}
        found = minimize(loss, x0=x0, method="Nelder-Mead", options=options)  # type: ignore[call-overload]
        fit, weight = at(found.x)
        return fit, kernel.with_weight(weight)

    def _log_prior(self, ratio: float) -> float:
        return float(-0.5 * ((np.log(ratio) - np.log(self.noise_ratio)) / self.noise_spread) ** 2)

    def _train(
        self,
        encoder: Encoder,
        kernel: Mixture,
        X: Tensor,
        z: Tensor,
        zvar: Tensor,
        shown: Tensor,
        judged: HeldOutScorer,
        generator: torch.Generator,
    ) -> tuple[Fit, Mixture, int]:
        """Brings the encoder to its best pass: the hyperparameters at that time, and which pass it was."""
        initial = [0.0, 0.0, np.log(self.noise_ratio), 0.0]
        gp = torch.tensor(initial, device=X.device, dtype=torch.float64).requires_grad_()
        optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in encoder.parameters() if p.ndim], "weight_decay": self.weight_decay},
                {"params": [gp, encoder.log_size], "weight_decay": 0.0, "lr": 10 * self.learning_rate},
            ],
            lr=self.learning_rate,
        )
        inputs, plain = X.float(), judged.plain

        def judge() -> tuple[Fit, float]:
            _, signal, ratio = gp.detach()[:3].exp().tolist()
            weight = float(gp.detach()[3].sigmoid()) if plain is not None else 1.0
            mean, density = judged.density(*mixed(plain, judged.deep(encoder), weight), signal, ratio)
            return Fit(mean, signal, ratio, density), weight

        (best, best_weight), best_epoch, best_weights = judge(), 0, encoder.copied()
        for epoch in range(1, self.max_epochs + 1):
            for picked in batches(len(shown), _BATCH, generator):
                rows = shown[picked.to(shown.device)]
                optimiser.zero_grad(set_to_none=True)
                own = kernel.features(X[rows])
                T = None if own is None or kernel.plain is None else kernel.plain.cross(own, own)
                loss = self._loss(encoder(inputs[rows]).double(), z[rows], zvar[rows], gp, len(shown), T)
                loss.backward()
                optimiser.step()
                with torch.no_grad():
                    gp[1].clamp_(-6, 6)
                    gp[2].clamp_(np.log(1e-4), np.log(1e2))
                    gp[3].clamp_(-4, 4)
            with torch.no_grad():
                found, weight = judge()
            if found.log_density > best.log_density:
                best, best_weight, best_epoch, best_weights = found, weight, epoch, encoder.copied()
            elif epoch >= best_epoch + self.patience:
                break
        encoder.load_state_dict(best_weights)
        encoder.requires_grad_(False)
        return best, kernel.with_weight(best_weight), best_epoch

    def _loss(self, e: Tensor, z: Tensor, zvar: Tensor, gp: Tensor, n: int, T: Tensor | None = None) -> Tensor:
        """Negative log marginal likelihood of a batch, a row, and the priors, shared among all n rows."""
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


class HeldOutScorer:
    """Held-out rows, and those of the shown ones that predict them.

    Args:
        kernel: whose plain part is computed once.
        X: all features.
        z: all targets, of mean 0 and variance 1.
        zvar: known noise variances of these.
        shown: indices of the rows that predict.
        held_out: indices of the rows that are predicted.
    """

    def __init__(self, kernel: Mixture, X: Tensor, z: Tensor, zvar: Tensor, shown: Tensor, held_out: Tensor) -> None:
        self._X, self._z, self._zvar = X[shown], z[shown], zvar[shown]
        self._X_out, self._z_out, self._zvar_out = X[held_out], z[held_out], zvar[held_out]
        shown_rows, out_rows = kernel.features(self._X), kernel.features(self._X_out)
        #: as ``deep``, of the features' own kernel, if there is one
        self.plain: Pair | None = None
        if kernel.plain is not None and shown_rows is not None and out_rows is not None:
            self.plain = kernel.plain.cross(shown_rows, shown_rows), kernel.plain.cross(out_rows, shown_rows)

    @torch.no_grad()
    def deep(self, encoder: Encoder) -> Pair:
        """The learned kernel of the shown rows with each other, and of the held-out ones with them."""
        shown, held_out = encoder.rows(self._X), encoder.rows(self._X_out)
        return encoder.kernel.cross(shown, shown), encoder.kernel.cross(held_out, shown)

    @torch.no_grad()
    def density(self, T: Tensor, t: Tensor, signal: float, ratio: float) -> tuple[float, float]:
        """The constant, and the log density of the held-out targets, each by itself, given the shown ones."""
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


class Encoder(Network):
    """A linear map of the features to a few dimensions, plus a network, of a learned size.

    At the start the network is small and the linear map random, which nearly keeps the distances of the rows
    (Johnson & Lindenstrauss 1984): so what is trained begins as an RBF kernel on the features.

    Args:
        encoding: the network's form.
        X: rows like those that it will be given.
        hidden: units of a hidden layer.
        n_layers: hidden layers.
        latent: dimensions of its output.
        generator: of the weights.
    """

    def __init__(
        self, encoding: Encoding, X: Tensor, hidden: int, n_layers: int, latent: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.encoding = encoding
        self.trunk, norm = encoding.trunk(X, 1, hidden, n_layers, generator)
        self.linear = torch.nn.Parameter(torch.randn(X.shape[1], latent, generator=generator) / norm)
        self.last = torch.nn.Parameter(0.1 * hidden**-0.5 * torch.randn(hidden, latent, generator=generator))
        self.log_size = torch.nn.Parameter(torch.zeros(()))
        #: its lengthscale makes rows that have nothing in common rather unrelated at the start
        self.kernel = RBF(latent**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        """Encoded rows: n x d, float32 -> n x latent."""
        strands = self.encoding.strands(inputs)
        encoded = sum(dot(x, self.linear) + self.trunk(x)[0] @ self.last for x in strands)
        sized: Tensor = self.log_size.exp() * encoded / len(strands)
        return sized

    def rows(self, X: Tensor) -> Rows:
        """Feature rows, n x d, as rows for the kernel."""
        return prepare(torch.cat(self.in_parts(X)), torch.float64)


class DeepKernelModel(ExactGPModel):
    """An exact Gaussian process on encoded features; its ``train_inputs`` are encoded, too.

    Args:
        encoder: what encodes them.
        epochs: passes that it was trained for.
        arguments: those of ``ExactGPModel``, the rows encoded.
    """

    def __init__(self, *, encoder: Encoder, epochs: int, kernel: Mixture, **arguments: Any) -> None:
        super().__init__(kernel=kernel, **arguments)
        self._mixture = kernel
        self.encoder = encoder
        self.epochs = epochs

    def prepare(self, X: Tensor) -> Rows:
        """Feature rows, encoded and flattened: ... x d -> n."""
        return self._mixture.rows(self.encoder, X.reshape(-1, X.shape[-1]))

    def with_rows(self, rows: Rows, targets: Tensor, L: Tensor, alpha: Tensor) -> DeepKernelModel:
        """The model on other (encoded) training rows, with the same network and hyperparameters."""
        return DeepKernelModel(
            encoder=self.encoder,
            epochs=self.epochs,
            kernel=self._mixture,
            rows=rows,
            targets=targets,
            L=L,
            alpha=alpha,
            mean=self.mean,
            signal_variance=self.signal_variance,
            noise_variance=self.noise_variance,
            log_density=self.log_density,
        )

    def describe(self) -> Mapping[str, float]:
        """Return what ``gp`` does (the density is that of the held-out rows), and the passes that were trained."""
        return {**super().describe(), "epochs": float(self.epochs)}
