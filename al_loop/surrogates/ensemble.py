"""A deep ensemble: many small networks, and the BoTorch model that they are together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from botorch.models.ensemble import EnsembleModel
from botorch.models.model import Model
from botorch.posteriors.ensemble import EnsemblePosterior
from gpytorch.distributions import MultivariateNormal
from linear_operator import to_linear_operator
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize
from torch import Tensor

from al_loop.features.row_layout import Layout
from al_loop.surrogates._ensemble_member import EnsembleMember
from al_loop.surrogates._network_utils import Network, batches
from al_loop.surrogates._standardise import shift_and_scale
from al_loop.surrogates.base import RowFunction, Surrogate, SurrogateModel, fit_each_target
from al_loop.surrogates.encoders.encoding import Encoding, Kind

Array = NDArray[np.float64]

_BATCH = 128
#: the fraction of the rows that a member is trained on
_TRAINED_ON = 0.75
#: passes (4 steps each) of a fit to so few rows that none can be held out
_EPOCHS_WITHOUT_HELD_OUT = 25
#: medians and spreads (of the logs) of the priors of the members' scale a² and of the noise variance
_SCALE_PRIOR = (1.0, 1.0)
_NOISE_PRIOR = (0.1, 1.5)
#: the least variance, as a fraction of the targets' variance
_LEAST_VARIANCE = 1e-9


class DeepEnsemble(Surrogate):
    """Deep ensemble of networks on the features, trained at once, for any number of measurements.

    Each member starts from weights of its own (Lakshminarayanan et al. 2017) and learns from its own three quarters of
    the rows. Training stops where the members' mean squared error on the rows that they were not shown was least: it
    ends ``patience`` passes after that, and the weights of that pass are taken. (Fewer than 3 rows: 100 steps.)

    What a member predicts is then pulled away from, or towards, the members' mean by a factor a, and a noise variance
    v is added to what is measured, such that the residuals r of the rows not shown, r ~ N(0, a² spread² + v), have the
    largest posterior density; the priors are weak: log a² ~ N(0, 1), log v ~ N(log 0.1, 1.5²), for targets of unit
    variance. So the spread of the members is the uncertainty of the function, calibrated on rows not trained on.

    Args:
        n_members: how many networks.
        encoder: see ``deep_kernel``. Of 500 words of TFBind8 the RMSE is .140 with mlp and .129 with cnn (.117 with
            reverse_complement); of 500 docking scores .51 with mlp and .45 with graph, in 100 s of one core, not 2.
        layout: how the rows are to be read; the campaign puts that of its features in its place.
        reverse_complement: whether a word of DNA or RNA is to be the same as its reverse complement.
        hidden: units of a layer.
        n_layers: hidden layers.
        max_epochs: passes over the data at most.
        patience: passes without a better one until training stops.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        seed: of weights, the members' rows and batches.
    """

    kind = "ensemble"

    def __init__(
        self,
        n_members: Annotated[int, Field(ge=2)] = 16,
        encoder: Kind = "auto",
        layout: Layout | None = None,
        reverse_complement: bool = False,
        hidden: Annotated[int, Field(ge=1)] = 64,
        n_layers: Annotated[int, Field(ge=1)] = 2,
        max_epochs: Annotated[int, Field(ge=1)] = 200,
        patience: Annotated[int, Field(ge=1)] = 8,
        learning_rate: Annotated[float, Field(gt=0)] = 1e-3,
        weight_decay: Annotated[float, Field(ge=0)] = 1e-2,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.n_members = n_members
        self._encoding = Encoding(encoder, layout, reverse_complement)
        self.hidden = hidden
        self.n_layers = n_layers
        self.max_epochs = max_epochs
        self.patience = patience
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fits each column of Y by itself: a ``DeepEnsembleModel``, or a ``ModelList`` of them where m > 1.

        Measurements of larger known noise Yvar weigh less, by 1 / (0.1 + Yvar) on targets of unit variance.
        """
        return fit_each_target(self._fit_column, X, Y, Yvar)

    def _fit_column(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> DeepEnsembleModel:
        generator = torch.Generator().manual_seed(self.seed)
        shift, scale = shift_and_scale(y)
        z = ((y - shift) / scale).float()
        zvar = torch.zeros_like(z) if yvar is None else (yvar / scale**2).float()
        n_rows = max(round(_TRAINED_ON * len(z)), 1)
        picks = [torch.randperm(len(z), generator=generator)[:n_rows] for _ in range(self.n_members)]
        is_trained_on = torch.zeros(self.n_members, len(z)).scatter_(1, torch.stack(picks), 1.0).to(z.device)
        precision = 1 / (_NOISE_PRIOR[0] + zvar)
        with torch.enable_grad():
            networks, epoch = self._train(X, z, is_trained_on, precision / precision.mean(), generator)
        residual, spread, asked = _left_out(networks.predict(X).double(), z.double(), is_trained_on == 0)
        factor, noise = _calibrate(residual.cpu().numpy(), spread.cpu().numpy(), zvar[asked].double().cpu().numpy())
        return DeepEnsembleModel(
            networks,
            factor * torch.eye(self.n_members),
            shift,
            scale,
            scale**2 * (noise + float(zvar.mean())),
            factor,
            epoch,
        )

    def _train(
        self, X: Tensor, z: Tensor, is_trained_on: Tensor, weights: Tensor, generator: torch.Generator
    ) -> tuple[Networks, int]:
        """Networks at their best pass, and which one that was."""
        networks = Networks(self._encoding, X, self.n_members, self.hidden, self.n_layers, generator).to(X.device)
        optimiser = torch.optim.AdamW(
            networks.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        inputs, n = X.float(), len(z)
        held_out = weights * (1 - is_trained_on)
        is_stopped_early = n >= 3 and bool((held_out > 0).any())
        epochs = self.max_epochs if is_stopped_early else _EPOCHS_WITHOUT_HELD_OUT
        best, best_epoch, best_weights = float("inf"), epochs, networks.copied()
        for epoch in range(1, epochs + 1):
            for rows in batches(n, _BATCH, generator):
                optimiser.zero_grad(set_to_none=True)
                error = (networks(inputs[rows]) - z[rows]).square()
                # the sum of the members' own losses
                loss = (error * (is_trained_on * weights)[:, rows]).sum() / len(rows)
                loss.backward()
                optimiser.step()
            if not is_stopped_early:
                continue
            error = (networks.predict(inputs) - z).square()
            left_out_error = float((error * held_out).sum() / held_out.sum())
            if left_out_error < best:
                best, best_epoch, best_weights = left_out_error, epoch, networks.copied()
            elif epoch >= best_epoch + self.patience:
                break
        if is_stopped_early:
            networks.load_state_dict(best_weights)
        return networks.requires_grad_(False), best_epoch


def _left_out(values: Tensor, z: Tensor, is_left_out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the rows that at least two members were not trained on (a mask): residuals and variances of these members."""
    count = is_left_out.sum(0)
    asked = count >= 2
    chosen, values, count = is_left_out[:, asked], values[:, asked], count[asked].double()
    mean = (values * chosen).sum(0) / count
    spread = ((values - mean).square() * chosen).sum(0) / (count - 1)
    return z[asked] - mean, spread, asked


def _calibrate(residual: Array, spread: Array, known: Array) -> tuple[float, float]:
    """The factor a and the noise variance v of the largest posterior density, see ``DeepEnsemble``."""

    def loss(logs: Array) -> float:
        log_scale, log_noise = np.clip(logs, -15, 15)
        variance = np.exp(log_scale) * spread + np.exp(log_noise) + known
        likelihood = -0.5 * (np.log(variance) + residual**2 / variance).sum()
        prior = ((log_scale - np.log(_SCALE_PRIOR[0])) / _SCALE_PRIOR[1]) ** 2
        prior += ((log_noise - np.log(_NOISE_PRIOR[0])) / _NOISE_PRIOR[1]) ** 2
        return float(0.5 * prior - likelihood)

    start = np.log(np.array([_SCALE_PRIOR[0], _NOISE_PRIOR[0]]))
    log_scale, log_noise = np.clip(minimize(loss, start, method="Nelder-Mead", tol=1e-6).x, -15, 15)
    return float(np.exp(log_scale / 2)), float(np.exp(log_noise))


class Networks(Network):
    """Networks side by side, in float32; at the start each is a small random function.

    Args:
        encoding: their form.
        X: rows like those that they will be given.
    """

    def __init__(
        self, encoding: Encoding, X: Tensor, n_members: int, hidden: int, n_layers: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.encoding = encoding
        self.trunk, _ = encoding.trunk(X, n_members, hidden, n_layers, generator)
        self.last = self.trunk.normal(n_members, hidden, 1, std=0.5 * hidden**-0.5)
        self.constant = torch.nn.Parameter(torch.zeros(n_members, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """What each member predicts: n x d float32 -> n_members x n."""
        strands = self.encoding.strands(inputs)
        values = sum(torch.bmm(self.trunk(x), self.last).squeeze(-1) for x in strands)
        predicted: Tensor = values / len(strands) + self.constant
        return predicted

    def predict(self, X: Tensor) -> Tensor:
        """As ``forward``, without gradients: n x d of any number type -> n_members x n."""
        return torch.cat(self.in_parts(X), dim=1)


class EnsembleGaussian(EnsemblePosterior):  # type: ignore[misc]  # BoTorch is untyped here
    """An ensemble's posterior that also is the normal distribution of the members' mean and covariance.

    Index samplers draw members. Normal samplers draw mean + sum_i w_i (value_i - mean) / sqrt(S - 1), w standard
    normal, the same w for all rows: jointly normal with the members' covariance, of however many rows.

    Args:
        values: ... x S x q x 1, S >= 2.
        noise: variances to be added, ... x q x 1 (or what broadcasts to it).
    """

    def __init__(self, values: Tensor, noise: Tensor) -> None:
        super().__init__(values)
        self.noise = noise.expand(values.shape[:-3] + values.shape[-2:])

    @property
    def variance(self) -> Tensor:
        """See the base class."""
        spread: Tensor = super().variance
        noisy: Tensor = spread + self.noise
        return noisy

    @property
    def deviations(self) -> Tensor:
        """Whose products are the covariances: ... x S x q."""
        deviations: Tensor = (self.values - self.mean.unsqueeze(-3)).squeeze(-1) / (self.ensemble_size - 1) ** 0.5
        return deviations

    @property
    def distribution(self) -> MultivariateNormal:
        """The normal distribution of the rows of each t-batch."""
        deviations, noise = self.deviations, self.noise.squeeze(-1)
        covariance = deviations.transpose(-1, -2) @ deviations
        jitter = 1e-8 * covariance.diagonal(dim1=-2, dim2=-1).amax(-1, keepdim=True)
        covariance = covariance + torch.diag_embed(noise + jitter)
        return MultivariateNormal(self.mean.squeeze(-1), to_linear_operator(covariance))

    @property
    def base_sample_shape(self) -> torch.Size:
        """Of normal samples: one of each member, and one of each row's noise."""
        return torch.Size([*self.batch_shape, self.ensemble_size + self.values.shape[-2]])

    @property
    def batch_range(self) -> tuple[int, int]:
        """The dimensions of the t-batches in ``base_sample_shape``."""
        return 0, -1

    def rsample_from_base_samples(self, sample_shape: torch.Size, base_samples: Tensor) -> Tensor:
        """Samples from indices of members, or from standard normal ones of ``base_sample_shape``."""
        if not base_samples.is_floating_point():
            chosen: Tensor = super().rsample_from_base_samples(sample_shape, base_samples)
            return chosen
        members, rows = base_samples.split([self.ensemble_size, self.values.shape[-2]], dim=-1)
        drawn = (members.unsqueeze(-2) @ self.deviations).squeeze(-2)
        samples: Tensor = self.mean + (drawn + rows * self.noise.squeeze(-1).sqrt()).unsqueeze(-1)
        return samples


class DeepEnsembleModel(SurrogateModel, EnsembleModel):  # type: ignore[misc]  # BoTorch is untyped here
    """A fitted ensemble. What member i predicts is shift + scale (mean + sum_j A_ij (member_j - mean)).

    Args:
        networks: the members, on targets of mean 0 and variance 1.
        mixing: A, S x S: a times the identity after a fit.
        shift: the targets' mean.
        scale: their standard deviation.
        noise_variance: of a measurement (the average where it is known one by one), in the target's unit squared.
        factor: a.
        epochs: passes that training took.
    """

    def __init__(
        self,
        networks: Networks,
        mixing: Tensor,
        shift: float,
        scale: float,
        noise_variance: float,
        factor: float,
        epochs: int,
    ) -> None:
        super().__init__()
        self._num_outputs = 1
        self.networks = networks
        self.shift, self.scale, self.noise_variance = shift, scale, noise_variance
        self.factor, self.epochs = factor, epochs
        self.register_buffer("mixing", mixing.double())

    def predictions(self, X: Tensor) -> Tensor:
        """What each member predicts, in the target's unit: n x d -> S x n."""
        values = self.networks.predict(X).double()
        mean = values.mean(0)
        mixed: Tensor = mean + self.mixing @ (values - mean)
        return self.shift + self.scale * mixed

    def forward(self, X: Tensor) -> Tensor:
        """What each member predicts: ... x q x d -> ... x S x q x 1. Not to be differentiated."""
        values = self.predictions(X.reshape(-1, X.shape[-1]))
        return values.T.reshape(*X.shape[:-1], len(values)).transpose(-1, -2).unsqueeze(-1)

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the function at each row by itself: n x d -> n, n, in the target's unit (squared)."""
        values = self.predictions(X)
        mean = values.mean(0)
        return mean, (values - mean).square().sum(0) / (len(values) - 1) + self._least_variance

    @property
    def _least_variance(self) -> float:
        return _LEAST_VARIANCE * self.scale**2

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
    ) -> Any:
        """The posterior at ... x q x d, ``EnsembleGaussian``, with the noise of measurements if asked for."""
        return self.ensemble_posterior(X, self.forward(X), observation_noise, posterior_transform)

    def ensemble_posterior(self, X: Tensor, values: Tensor, noise: bool | Tensor, transform: Any) -> Any:
        """Return the posterior with the members' values, ... x S x q x 1."""
        if isinstance(noise, Tensor):
            added = noise.to(values)
        else:
            added = values.new_tensor(self.noise_variance if noise else 0.0)
        posterior = EnsembleGaussian(values, added + self._least_variance)
        return posterior if transform is None else transform(posterior=posterior, X=X)

    def condition_on_pending(self, X_pending: Tensor) -> DeepEnsembleModel:
        """The model as if each pending row (p x d) had been measured at its mean: the members agree more near them.

        The mean stays what it is. With D the deviations of the members from it at the pending rows (S x p), the
        normal distribution of the members' weights is conditioned on D'w = 0 + noise, and A multiplied by the
        symmetric root of their covariance, (I + D D' / ((S - 1) noise))^-1: exact for normal samples.
        """
        values = self.predictions(X_pending)
        D = values - values.mean(0)
        noise = max(self.noise_variance, 1e-6 * self.scale**2)
        eigenvalues, V = torch.linalg.eigh(D @ D.T / ((len(D) - 1) * noise))
        root = (V * (1 + eigenvalues.clamp_min(0)).rsqrt()) @ V.T
        return DeepEnsembleModel(
            self.networks, root @ self.mixing, self.shift, self.scale, self.noise_variance, self.factor, self.epochs
        )

    def rescaled(self, factor: float) -> DeepEnsembleModel:
        """The model with all standard deviations multiplied, and the same means."""
        noise = self.noise_variance * factor**2
        return DeepEnsembleModel(
            self.networks, factor * self.mixing, self.shift, self.scale, noise, factor * self.factor, self.epochs
        )

    def jointly_with(self, X_pending: Tensor) -> PendingEnsemble:
        return PendingEnsemble(self, X_pending)

    def draw_function(self, n_features: int, seed: int) -> RowFunction:
        """Draw a member."""
        return EnsembleMember(self, seed)

    def describe(self) -> Mapping[str, float]:
        """Return mean and deviation of the targets, the factor a, the noise (target's unit) and passes trained."""
        return {
            "mean": self.shift,
            "target_std": self.scale,
            "spread_factor": self.factor,
            "noise_std": self.noise_variance**0.5,
            "epochs": float(self.epochs),
        }


class PendingEnsemble(EnsembleModel):  # type: ignore[misc]  # BoTorch is untyped here
    """An ensemble seen together with pending rows, whose predictions are computed once: what ``X_pending`` gives."""

    def __init__(self, model: DeepEnsembleModel, X_pending: Tensor) -> None:
        super().__init__()
        self._num_outputs = 1
        self.model = model
        self.register_buffer("_pending", model.forward(X_pending))

    @property
    def batch_shape(self) -> torch.Size:
        """As the model's."""
        return torch.Size()

    def forward(self, X: Tensor) -> Tensor:
        """What each member predicts: ... x q x d -> ... x S x (q + p) x 1."""
        values = self.model.forward(X)
        return torch.cat([values, self._pending.expand(*values.shape[:-2], *self._pending.shape[-2:])], dim=-2)

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
    ) -> Any:
        """The joint posterior of the rows of each t-batch, then the pending ones."""
        return self.model.ensemble_posterior(X, self.forward(X), observation_noise, posterior_transform)
