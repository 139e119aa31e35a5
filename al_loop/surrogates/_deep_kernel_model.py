"""A Gaussian process on encoded features, and the network that encodes them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from al_loop.surrogates._gp_model import ExactGPModel, Hyperparameters, Training
from al_loop.surrogates._network_utils import Network, dot
from al_loop.surrogates.encoders.encoding import Encoding
from al_loop.surrogates.kernels.elementary import RBF, Rows, prepare
from al_loop.surrogates.kernels.mixture import Mixture


class Encoder(Network):
    """A linear map of the features to a few dimensions, plus a network, of a learned size.

    Before training the network is small and the linear map random, which nearly preserves the distances of the rows
    (Johnson & Lindenstrauss 1984): so training begins with an RBF kernel on the features.

    Args:
        encoding: the network's form.
        X: example rows.
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
        #: with a lengthscale at which rows that have nothing in common are nearly unrelated before training
        self.kernel = RBF(latent**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return encoded rows: n x d, float32 -> n x latent."""
        strands, seen = self.encoding.strands(inputs), self.encoding.inputs_of(self.trunk, inputs)
        linear = sum(dot(x, self.linear) for x in strands) / len(strands)
        encoded: Tensor = linear + sum(self.trunk(x)[0] @ self.last for x in seen) / len(seen)
        return self.log_size.exp() * encoded

    def rows(self, X: Tensor) -> Rows:
        """Return encoded n x d feature rows, for the kernel."""
        return prepare(torch.cat(self.in_parts(X)), torch.float64)


class DeepKernelModel(ExactGPModel):
    """An exact Gaussian process on encoded features; its ``train_inputs`` are encoded, too.

    Args:
        kernel: of encoded rows.
        training: the encoded training rows.
        hyperparameters: the constant and variances.
        encoder: the network.
        epochs: passes that it was trained for.
    """

    def __init__(
        self, kernel: Mixture, training: Training, hyperparameters: Hyperparameters, encoder: Encoder, epochs: int
    ) -> None:
        super().__init__(kernel, training, hyperparameters)
        self._mixture = kernel
        self.encoder = encoder
        self.epochs = epochs

    def prepare(self, X: Tensor) -> Rows:
        """Return encoded feature rows, flattened: ... x d -> n."""
        return self._mixture.rows(self.encoder, X.reshape(-1, X.shape[-1]))

    def with_training(self, training: Training) -> DeepKernelModel:
        """Return the model on other (encoded) training rows, with the same network and hyperparameters."""
        return DeepKernelModel(self._mixture, training, self.hyperparameters, self.encoder, self.epochs)

    def describe(self) -> Mapping[str, float]:
        """Return what ``gp`` does (the density is that of the held-out rows), and the passes of training."""
        return {**super().describe(), "epochs": float(self.epochs)}
