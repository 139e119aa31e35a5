"""Autoencoders with a grid of discrete codes."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot, softplus

from al_loop.environments.assignment import Assignments
from al_loop.environments.base import Environment
from al_loop.latent.base import LatentModel
from al_loop.latent.numbers import numbered, read_numbers
from al_loop.system.checks import whole_number


class DiscreteVAE(LatentModel):
    """Binary images, decoded by a network from a grid of codes; the sampler is the encoder.

    Unlike in a VAE, the codes of an image need not be independent given the image. Both the decoder and the
    probabilities of the codes of each place are learned by gradient steps.

    Args:
        height: rows of an image.
        width: columns of an image.
        grid: rows and columns of the grid of codes.
        codes: number of codes to choose from in each place.
        hidden: width of the decoder, which has two hidden layers.
        sampler: kind of the sampler's network: ``masked_autoregressive`` reads an image once for all of its codes, and
            learns many of them in less time; ``mlp`` reads it again for each code.

    Raises:
        ValueError: a size is below 1, or there is no such sampler.
    """

    kind = "discrete_vae"
    has_closed_form: ClassVar[bool] = False

    def __init__(
        self,
        height: Annotated[int, Field(ge=1)] = 8,
        width: Annotated[int, Field(ge=1)] = 8,
        grid: Annotated[int, Field(ge=1)] = 2,
        codes: Annotated[int, Field(ge=1)] = 4,
        hidden: Annotated[int, Field(ge=1)] = 128,
        sampler: Literal["mlp", "masked_autoregressive"] = "mlp",
    ) -> None:
        arguments: dict[str, Any] = {} if sampler == "mlp" else {"sampler": sampler}
        super().__init__(height=height, width=width, grid=grid, codes=codes, hidden=hidden, **arguments)
        for name, size in self.arguments.items():
            if name != "sampler":
                whole_number(name, size, 1)
        if sampler not in ("mlp", "masked_autoregressive"):
            raise ValueError(f"sampler: {sampler!r} is not one of mlp, masked_autoregressive")
        self._sampler = sampler
        self._shape, self._n_places, self._n_codes = (height, width), grid * grid, codes
        self.prior = nn.Parameter(torch.zeros(grid * grid, codes))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.decoder = nn.Sequential(
                nn.Linear(grid * grid * codes, hidden),
                nn.LeakyReLU(),
                nn.Linear(hidden, hidden),
                nn.LeakyReLU(),
                nn.Linear(hidden, height * width),
            )

    def latents(self) -> Environment:
        space = Assignments(numbered(self._n_codes), self._n_places, order="left_to_right")
        space.default_policy = self._sampler  # type: ignore[misc]
        return space

    def read(self, data: Any) -> Tensor:
        images = read_numbers(data, "images of zeros and ones").float()
        height, width = self._shape
        if images.ndim == 3 and images.shape[1:] == self._shape:
            images = images.flatten(1)
        if images.ndim != 2 or images.shape[1] != height * width or not len(images):
            raise ValueError(f"expected images of {height} x {width} pixels, got the shape {tuple(images.shape)}")
        bad = (~((images == 0) | (images == 1)).all(1)).nonzero()
        if len(bad):
            raise ValueError(f"image {int(bad[0]) + 1} has pixels other than 0 and 1; apply a threshold first")
        return images

    def checked(self, x: Tensor) -> Tensor:
        return self.read(x)

    def _prior_of(self, z: Tensor) -> Tensor:
        return self.prior.log_softmax(1)[torch.arange(self._n_places, device=z.device), z].sum(1)

    def decode(self, z: Tensor) -> Tensor:
        """Return the log-odds of the pixels, shape n x (height * width).

        Args:
            z: codes, shape n x (grid * grid).
        """
        return self.decoder(one_hot(z, self._n_codes).flatten(1).float())  # type: ignore[no-any-return]

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        loss = binary_cross_entropy_with_logits(self.decode(z), x, reduction="none")
        return self._prior_of(z) - loss.sum(1)

    def log_joints(self, x: Tensor) -> Tensor:
        """Return log p(x, z) of each image with every code, shape n x n_codes; each code is decoded once."""
        codes = self.codes
        logits = self.decode(codes)
        return x @ logits.T - softplus(logits).sum(1) + self._prior_of(codes)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            z = torch.multinomial(self.prior.softmax(1), n, replacement=True, generator=generator).T.contiguous()
            probability = self.decode(z).sigmoid()
            return (torch.rand(probability.shape, generator=generator) < probability).float(), z

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Draw new weights, and set the last layer's biases to the log-odds of the mean image."""
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
            self.prior.zero_()
            for layer in self.decoder:
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()
                    last = layer
            mean = x.mean(0).clamp(0.01, 0.99)
            last.bias.copy_((mean / (1 - mean)).log())

    def exact_step(self, x: Tensor) -> float:
        """Refuse a closed step: the decoder follows the gradient of ``log_evidence`` instead.

        Args:
            x: observations, shape n x width.
        """
        raise ValueError("a decoder has no exact M-step; follow the gradient of log_evidence")
