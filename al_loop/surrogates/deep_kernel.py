"""A Gaussian process on what a neural network makes of the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor
from torch.nn.functional import silu

from al_loop.surrogates.base import Surrogate
from al_loop.surrogates.columns import check_data, describe_each, fit_columns, shift_and_scale
from al_loop.surrogates.gp import ExactGP, ExactGPModel, Fit, Gram, best_signal_and_ratio
from al_loop.surrogates.kernels import RBF, Kernel, Rows, prepare
from al_loop.surrogates.networks import Network, batches, dot

_BATCH = 256
#: the fraction of the rows that is held out, and the fewest measurements of which any are
_HELD_OUT, _FEWEST = 0.2, 20
#: rows that predict the held-out ones while training and while the hyperparameters are chosen
_JUDGES = 1024


class DeepKernel(Surrogate):
    """Gaussian process with an RBF kernel on features that a network learns, for up to a few thousand measurements.

    Deep kernel learning (Wilson et al. 2016): a linear map plus a multilayer perceptron encodes the features, and is
    trained together with the constant, signal variance s and noise ratio r of a GP on them, by the marginal likelihood
    of random batches of 256 rows. Such a network can make the likelihood large by moving all data together, which
    predicts badly and with too much confidence (Ober et al. 2021). Against that: a fifth of the rows is held out;
    training stops where the density of these, given the others, was largest (``patience`` passes after it); s and r
    are then those of the largest density of the held-out rows with the priors of ``gp``; weights decay. In the end
    the GP is conditioned on all rows. Of fewer than 20 measurements none is held out: the network stays random, and
    the hyperparameters are those of ``gp``.

    Args:
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
        check_data(X, Y, Yvar)
        return fit_columns(self._fit_column, X, Y, Yvar)

    def _fit_column(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> DeepKernelModel:
        generator = torch.Generator().manual_seed(self.seed)
        shift, scale = shift_and_scale(y)
        z, n = (y - shift) / scale, len(y)
        zvar = torch.zeros_like(z) if yvar is None else yvar / scale**2
        norm = float(X.double().square().sum(-1).mean().sqrt()) or 1.0
        encoder = Encoder(X.shape[1], norm, self.hidden, self.n_layers, self.latent, generator).to(X.device)
        epochs = 0
        if n >= _FEWEST:
            order = torch.randperm(n, generator=generator).to(X.device)
            held_out, shown = order.split([round(_HELD_OUT * n), n - round(_HELD_OUT * n)])
            judged = Judged(X, z, zvar, shown[:_JUDGES], held_out[: _JUDGES // 2])
            with torch.enable_grad():
                start, epochs = self._train(encoder, X, z, zvar, shown, judged, generator)
            encoder.requires_grad_(False)
            T, t = judged.kernels(encoder)

            def at(signal: float, ratio: float) -> Fit:
                mean, density = judged.density(T, t, signal, ratio)
                prior = -0.5 * float(np.log(signal) + 1 / signal) + self._log_prior(ratio)
                return Fit(mean, signal, ratio, density + prior)

            fit = best_signal_and_ratio(at, start)
        else:
            exact = ExactGP(noise_ratio=self.noise_ratio, noise_spread=self.noise_spread)
            gram, target = Gram.of(encoder.kernel, encoder.rows(X)), z.cpu().numpy()
            fit = exact._best_ratio(gram, target)
            if yvar is not None:
                fit = exact._with_known_noise(gram, target, zvar.cpu().numpy(), fit)
        rows = encoder.rows(X)
        noise = fit.ratio + zvar / fit.signal
        L = torch.linalg.cholesky(encoder.kernel.cross(rows, rows) + torch.diag(noise))
        solved = torch.cholesky_solve(torch.stack([torch.ones_like(z), z], dim=1), L)
        mean = float(solved[:, 1].sum() / solved[:, 0].sum())  # generalised least squares on all rows
        return DeepKernelModel(
            encoder=encoder.requires_grad_(False),
            epochs=epochs,
            kernel=encoder.kernel,
            rows=rows,
            targets=y,
            L=L,
            alpha=scale * (solved[:, 1] - mean * solved[:, 0]),
            mean=shift + scale * mean,
            signal_variance=scale**2 * fit.signal,
            noise_variance=scale**2 * fit.signal * float(noise.mean()),
            log_density=fit.log_density,
        )

    def _log_prior(self, ratio: float) -> float:
        return float(-0.5 * ((np.log(ratio) - np.log(self.noise_ratio)) / self.noise_spread) ** 2)

    def _train(
        self,
        encoder: Encoder,
        X: Tensor,
        z: Tensor,
        zvar: Tensor,
        shown: Tensor,
        judged: Judged,
        generator: torch.Generator,
    ) -> tuple[Fit, int]:
        """Brings the encoder to its best pass: the hyperparameters at that time, and which pass it was."""
        gp = torch.tensor([0.0, 0.0, np.log(self.noise_ratio)], device=X.device, dtype=torch.float64).requires_grad_()
        optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in encoder.parameters() if p.ndim], "weight_decay": self.weight_decay},
                {"params": [gp, encoder.log_size], "weight_decay": 0.0, "lr": 10 * self.learning_rate},
            ],
            lr=self.learning_rate,
        )
        inputs = X.float()

        def judge() -> Fit:
            _, signal, ratio = gp.detach().exp().tolist()
            mean, density = judged.density(*judged.kernels(encoder), signal, ratio)
            return Fit(mean, signal, ratio, density)

        best, best_epoch, best_weights = judge(), 0, encoder.copied()
        for epoch in range(1, self.max_epochs + 1):
            for picked in batches(len(shown), _BATCH, generator):
                rows = shown[picked.to(shown.device)]
                optimiser.zero_grad(set_to_none=True)
                loss = self._loss(encoder(inputs[rows]).double(), z[rows], zvar[rows], gp, len(shown))
                loss.backward()
                optimiser.step()
                with torch.no_grad():
                    gp[1].clamp_(-6, 6)
                    gp[2].clamp_(np.log(1e-4), np.log(1e2))
            with torch.no_grad():
                found = judge()
            if found.log_density > best.log_density:
                best, best_epoch, best_weights = found, epoch, encoder.copied()
            elif epoch >= best_epoch + self.patience:
                break
        encoder.load_state_dict(best_weights)
        return best, best_epoch

    def _loss(self, e: Tensor, z: Tensor, zvar: Tensor, gp: Tensor, n: int) -> Tensor:
        """Negative log marginal likelihood of a batch, a row, and the priors, shared among all n rows."""
        constant, log_signal, log_ratio = gp
        signal = log_signal.exp()
        squared = e.square().sum(-1)
        distance = (squared.unsqueeze(-1) + squared - 2 * e @ e.T).clamp_min(0)
        K = signal * (distance / (-2 * e.shape[-1])).exp() + torch.diag(signal * log_ratio.exp() + zvar)
        L = torch.linalg.cholesky(K)
        whitened = torch.linalg.solve_triangular(L, (z - constant).unsqueeze(-1), upper=False)
        likelihood = -0.5 * whitened.square().sum() - L.diagonal().log().sum()
        prior = -0.5 * (log_signal + 1 / signal)
        prior = prior - 0.5 * ((log_ratio - float(np.log(self.noise_ratio))) / self.noise_spread) ** 2
        loss: Tensor = -likelihood / len(z) - prior / n
        return loss

    def describe(self, model: Model) -> Mapping[str, float]:
        """As of ``gp`` (the density is that of the held-out rows), and the passes that the network was trained for."""
        return describe_each(_describe, model)


def _describe(model: Model) -> Mapping[str, float]:
    assert isinstance(model, DeepKernelModel)
    return {
        "mean": model.mean,
        "signal_std": model.signal_variance**0.5,
        "noise_std": model.noise_variance**0.5,
        "log_density": model.log_density,
        "epochs": float(model.epochs),
    }


class Judged:
    """Held-out rows, and those of the shown ones that predict them.

    Args:
        X: all features.
        z: all targets, of mean 0 and variance 1.
        zvar: known noise variances of these.
        shown: indices of the rows that predict.
        held_out: indices of the rows that are predicted.
    """

    def __init__(self, X: Tensor, z: Tensor, zvar: Tensor, shown: Tensor, held_out: Tensor) -> None:
        self._X, self._z, self._zvar = X[shown], z[shown], zvar[shown]
        self._X_out, self._z_out, self._zvar_out = X[held_out], z[held_out], zvar[held_out]

    def kernels(self, encoder: Encoder) -> tuple[Tensor, Tensor]:
        """The kernel of the shown rows with each other, and of the held-out ones with them."""
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
    """A linear map of the features to a few dimensions, plus a multilayer perceptron, of a learned size.

    At the start the perceptron is small and the linear map random, which nearly keeps the distances of the rows
    (Johnson & Lindenstrauss 1984): so what is trained begins as an RBF kernel on the features.

    Args:
        d: features.
        norm: the root mean square of the rows' norms, for the weights' size.
        hidden: units of a hidden layer.
        n_layers: hidden layers.
        latent: dimensions of its output.
        generator: of the weights.
    """

    def __init__(
        self, d: int, norm: float, hidden: int, n_layers: int, latent: int, generator: torch.Generator
    ) -> None:
        super().__init__()

        def normal(n_in: int, n_out: int, std: float) -> torch.nn.Parameter:
            return torch.nn.Parameter(std * torch.randn(n_in, n_out, generator=generator))

        self.linear = normal(d, latent, 1 / norm)
        self.first = normal(d, hidden, 2**0.5 / norm)
        self.layers = torch.nn.ParameterList(normal(hidden, hidden, (2 / hidden) ** 0.5) for _ in range(n_layers - 1))
        self.biases = torch.nn.ParameterList(torch.zeros(hidden) for _ in range(n_layers))
        self.last = normal(hidden, latent, 0.1 * hidden**-0.5)
        self.log_size = torch.nn.Parameter(torch.zeros(()))
        #: its lengthscale makes rows that have nothing in common rather unrelated at the start
        self.kernel: Kernel = RBF(latent**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        """Encoded rows: n x d, float32 -> n x latent."""
        h = silu(dot(inputs, self.first) + self.biases[0])
        for weight, bias in zip(self.layers, list(self.biases)[1:], strict=True):
            h = silu(h @ weight + bias)
        encoded: Tensor = self.log_size.exp() * (dot(inputs, self.linear) + h @ self.last)
        return encoded

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

    def __init__(self, *, encoder: Encoder, epochs: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.encoder = encoder
        self.epochs = epochs

    def prepare(self, X: Tensor) -> Rows:
        """Feature rows, encoded and flattened: ... x d -> n."""
        return self.encoder.rows(X.reshape(-1, X.shape[-1]))

    def with_rows(self, rows: Rows, targets: Tensor, L: Tensor, alpha: Tensor) -> DeepKernelModel:
        """The model on other (encoded) training rows, with the same network and hyperparameters."""
        return DeepKernelModel(
            encoder=self.encoder,
            epochs=self.epochs,
            kernel=self.kernel,
            rows=rows,
            targets=targets,
            L=L,
            alpha=alpha,
            mean=self.mean,
            signal_variance=self.signal_variance,
            noise_variance=self.noise_variance,
            log_density=self.log_density,
        )
