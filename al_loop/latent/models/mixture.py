"""Mixtures of Gaussians with compositional codes."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from al_loop.environments.assignment import Assignments
from al_loop.environments.base import Environment
from al_loop.latent.base import LatentModel, log_normal
from al_loop.latent.numbers import numbered, read_numbers
from al_loop.system.checks import in_range, whole_number


class Mixture(LatentModel):
    """Groups of Gaussian petals: x = centre[z_1] + petal[z_2] + noise, of which the centres are learned.

    The codes (z_1, z_2) are uniform, and the petals lie on a circle around each centre. This is the mixture of Hu et
    al. (2023), where a factorised posterior fails: the two parts of a code explain the same point together.

    Args:
        groups: number of centres.
        petals: number of petals of each.
        radius: distance of the petals from their centre.
        sigma: standard deviation of the noise in each of the two dimensions.
    """

    kind = "mixture"
    petal: Tensor

    def __init__(
        self,
        groups: Annotated[int, Field(ge=1)] = 4,
        petals: Annotated[int, Field(ge=1)] = 4,
        radius: Annotated[float, Field(ge=0, le=1e9)] = 1.0,
        sigma: Annotated[float, Field(ge=1e-6, le=1e9)] = 0.25,
    ) -> None:
        super().__init__(groups=groups, petals=petals, radius=radius, sigma=sigma)
        whole_number("groups", groups, 1)
        whole_number("petals", petals, 1)
        in_range("sigma", sigma, 1e-6, 1e9)
        in_range("radius", radius, 0, 1e9)
        self._groups, self._petals, self._sigma = groups, petals, sigma
        angle = (torch.arange(petals, dtype=torch.float64) + 0.5) * 2 * math.pi / petals
        self.register_buffer("petal", radius * torch.stack([angle.cos(), angle.sin()], 1))
        self.centre = torch.nn.Parameter(torch.zeros(groups, 2, dtype=torch.float64))

    def latents(self) -> Environment:
        return Assignments(numbered(max(self._groups, self._petals)), 2, order="left_to_right")

    def allowed(self, x: Tensor, z: Tensor) -> Tensor | None:
        """Return the groups for the first letter, and the petals for the second."""
        if self._groups == self._petals:
            return None
        n_letters = max(self._groups, self._petals)
        n_choices = torch.where(z[:, 0] == n_letters, self._groups, self._petals)
        return torch.arange(n_letters, device=z.device) < n_choices[:, None]

    def read(self, data: Any) -> Tensor:
        points = read_numbers(data, "points in the plane")
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise ValueError(f"expected points in the plane, n x 2 numbers, got the shape {tuple(points.shape)}")
        return points

    def checked(self, x: Tensor) -> Tensor:
        return self.read(x)

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        group, petal = z[:, 0], z[:, 1]
        is_code = (group < self._groups) & (petal < self._petals)
        mean = self.centre[group.clamp(max=self._groups - 1)] + self.petal[petal.clamp(max=self._petals - 1)]
        log_p = log_normal(x, mean, self._sigma) - math.log(self._groups * self._petals)
        return torch.where(is_code, log_p, -torch.inf)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        z = torch.stack([torch.randint(k, (n,), generator=generator) for k in (self._groups, self._petals)], 1)
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        return (self.centre[z[:, 0]] + self.petal[z[:, 1]] + self._sigma * noise).detach(), z

    def initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Set the centres to random observations."""
        rows = torch.randint(len(x), (self._groups,), generator=generator)
        with torch.no_grad():
            self.centre.copy_(x[rows])

    @torch.no_grad()
    def maximise(self, x: Tensor, z: Tensor, weight: Tensor) -> None:
        """Set each centre to the mean of its points, less their petals; one without points stays where it is."""
        group, weight = z[:, 0].clamp(max=self._groups - 1), weight.double()
        total = torch.zeros_like(self.centre)
        total.index_add_(0, group, weight[:, None] * (x - self.petal[z[:, 1].clamp(max=self._petals - 1)]))
        count = torch.zeros_like(self.centre[:, 0]).index_add(0, group, weight)
        self.centre.copy_(torch.where(count[:, None] > 0, total / count.clamp(min=1e-300)[:, None], self.centre))

    def constants(self) -> dict[str, float]:
        """Return the offset of the toy log-likelihoods that Hu et al. (2023) print, in nats.

        Their code adds 2 log sigma + log 2 pi in each dimension where -log sigma - 1/2 log 2 pi is right.
        """
        return {"printed_in_the_paper": 2 * (3 * math.log(self._sigma) + 1.5 * math.log(2 * math.pi))}
