"""Features of objects from the posterior of a latent-variable model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from al_loop.errors import ConfigError
from al_loop.latent.em import Alternation
from al_loop.latent.files import load
from al_loop.latent.posterior import Posterior
from al_loop.latent.settings import EM
from al_loop.seeding import derive_seed

_N_DRAWS = 64
_REFIT = EM(e_steps=20, batch_size=32, average=0.5, report_every=1_000_000)


class PosteriorFeatures:
    """Posterior means of what a model says of the latents of an object (``LatentModel.summaries``).

    Args:
        path: the file of the model.

    Raises:
        ConfigError: the file cannot be read, or its model is not one of texts.
    """

    def __init__(self, path: str | Path) -> None:
        self._posterior = load(path)
        if not self._posterior.model.reads_text:
            raise ConfigError(f"features.file: the model of {path} is not one of objects that are texts")

    @property
    def kind(self) -> str:
        """The kind of the model."""
        return self._posterior.model.kind

    @property
    def d(self) -> int:
        """Number of features."""
        model = self._posterior.model
        x, z = model.sample(1, torch.Generator().manual_seed(0))
        return model.summaries(x, z).shape[1]

    @torch.no_grad()
    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Return the features of n objects, shape n x d.

        Raises:
            ValueError: an object is not an observation of the model.
        """
        return posterior_means(self._posterior, self._posterior.model.read_text(objects))

    def refitted(self, objects: Sequence[str], rounds: int, seed: int) -> PosteriorFeatures:
        """Return features of the model after more rounds of EM on some objects, from the model of the file on.

        Args:
            objects: the objects.
            rounds: number of rounds.
            seed: source of all randomness.
        """
        other = copy.copy(self)
        model = copy.deepcopy(self._posterior.model)
        x, posterior = model.read_text(objects), self._posterior
        if model.has_closed_form and model.exact_summaries(x[:1]) is not None:  # the sampler is not used
            for _ in range(rounds):
                model.exact_step(x)
            weights = posterior.weights
        else:
            em = EM(**{**vars(_REFIT), "rounds": rounds, "hidden": posterior.hidden, "layers": posterior.layers,
                       "backward": posterior.backward})  # fmt: skip
            alternation = Alternation(model, x, em, derive_seed(seed, "refit"))
            alternation.learner.policy.load_state_dict(posterior.weights)
            for _ in range(rounds):
                alternation.round()
            weights = alternation.posterior.weights
        other._posterior = Posterior(model, weights, posterior.hidden, posterior.layers, posterior.backward)
        return other


@torch.no_grad()
def posterior_means(posterior: Posterior, x: Tensor) -> Tensor:
    """Return the posterior means of a model's summaries, shape n x d: exact where the model has them.

    Args:
        posterior: the posterior, with its model.
        x: observations, shape n x width.
    """
    model = posterior.model
    exact = model.exact_summaries(x)
    if exact is not None:
        return exact
    means = []
    for row in x.split(1):  # each by itself, so that its features do not depend on the others'
        drawn = posterior.draw(row, _N_DRAWS, seed=0)[0]
        means.append(model.summaries(row.expand(_N_DRAWS, -1), drawn).double().mean(0))
    return torch.stack(means)
