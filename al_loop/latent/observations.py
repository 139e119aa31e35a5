"""Environments whose conditions are the observations of a latent-variable model."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.gflownet.conditioned import Conditioned
from al_loop.latent.base import LatentModel


class Observations(Conditioned):
    """The latents of a model, conditioned on the observation whose row is the first column of a state.

    The last rows are places for *dreams*, observations that the model draws in the sleep phase; they are never among
    the starts of training.

    Args:
        model: the model.
        x: observations, shape n x width; there is at least one.
        n_dreams: number of places for dreams.
    """

    def __init__(self, model: LatentModel, x: Tensor, n_dreams: int = 0) -> None:
        rows = torch.cat([x, x[:1].expand(n_dreams, -1)])
        super().__init__(model.latents(), model.inputs(rows))
        self.default_policy = model.policy  # type: ignore[misc]
        self._model, self.n_observed = model, len(x)
        self.x, self._starts = rows, model.starts(rows)

    def start(self, index: Tensor) -> Tensor:
        return torch.cat([index[:, None], self._starts.to(index.device)[index]], 1)

    def forward_mask(self, states: Tensor) -> Tensor:
        mask = super().forward_mask(states)
        allowed = self._model.allowed(*self.observed(states))
        return mask if allowed is None else mask & allowed

    def sample_starts(self, n: int, repeats: int, generator: torch.Generator) -> Tensor:
        """Return initial states of observations drawn uniformly, each for ``repeats`` successive rows."""
        index = torch.randint(self.n_observed, (-(-n // repeats),), generator=generator, device=generator.device)
        return self.start(index.repeat_interleave(repeats)[:n])

    def dream(self, x: Tensor, z: Tensor) -> Tensor:
        """Write dreamed observations to their places, and return terminal states of their latents.

        Args:
            x: observations drawn by the model, shape n x width, at most as many as there are places.
            z: their latents, shape n x (columns of a latent state).
        """
        places = torch.arange(self.n_observed, self.n_observed + len(x), device=self.x.device)
        self.x[places], self._starts[places] = x.to(self.x), self._model.starts(x).to(self._starts)
        self.conditions[places] = self._model.inputs(x).to(self.conditions)
        return torch.cat([places[:, None], z.to(places)], 1)

    def observed(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the observation of each state, shape n x width, and the state of its latents."""
        if self.x.device != states.device:
            self.x = self.x.to(states.device)
        return self.x[states[:, 0]], states[:, 1:]
