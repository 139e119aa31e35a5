"""Fitting a model to data in one call."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from al_loop.gflownet.pipeline import SamplerGroup
from al_loop.latent.base import LatentModel
from al_loop.latent.checkpoint import Checkpoint
from al_loop.latent.em import Alternation, Result, Round
from al_loop.latent.settings import EM
from al_loop.seeding import derive_seed
from al_loop.system import stopping


def fit(
    model: LatentModel,
    data: Any,
    em: EM | None = None,
    *,
    seed: int = 0,
    initialise: bool = True,
    samplers: SamplerGroup | None = None,
    on_round: Callable[[Round], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Result:
    """Fit a model with discrete latents to data by GFlowNet-EM.

    >>> from al_loop.latent import EM, Mixture, fit
    >>> points = [[1.7, 0.7], [0.7, 1.7], [-1.7, -0.7], [-0.7, -1.7]] * 10
    >>> result = fit(Mixture(groups=2, petals=4), points, EM(rounds=2, e_steps=5), seed=0)
    >>> result.model.log_likelihood(points).shape
    torch.Size([40])
    >>> result.posterior.draw(points[:5], n=3).shape
    torch.Size([5, 3, 2])

    Args:
        model: the model, which is modified.
        data: observations that the model reads.
        em: the settings; None: the defaults.
        seed: seed of all randomness.
        initialise: whether to set the model's parameters to random values that suit the data first.
        samplers: the samplers that draw trajectories for E-steps; None: one in this process.
        on_round: called after each round.
        checkpoint: a file for the state after each round; a fit that was interrupted resumes there, bit for bit, and
            its result lists the rounds since. It is removed in the end.

    Raises:
        ValueError: the data are not observations of the model, or the settings do not suit it.
        ConfigError: the checkpoint belongs to another fit, or cannot be written.
    """
    x, em = model.read(data), em or EM()
    if initialise:
        model.initialise(x, torch.Generator().manual_seed(derive_seed(seed, "model")))
    alternation = Alternation(model, x, em, seed, samplers)
    saved = None if checkpoint is None else Checkpoint(checkpoint, _fingerprint(model, em, seed, initialise), x)
    if saved is not None:
        saved.load(alternation)
    rounds = []
    while alternation.n_rounds < em.rounds:
        stopping.look()
        rounds.append(alternation.round())
        if saved is not None:
            saved.save(alternation)
        if on_round is not None:
            on_round(rounds[-1])
    if saved is not None:
        saved.path.unlink(missing_ok=True)
    return Result(model, alternation.posterior, rounds)


def _fingerprint(model: LatentModel, em: EM, seed: int, initialise: bool) -> str:
    """Return a hash of what a fit depends on beside the data: settings, and the parameters that are not set anew."""
    content = repr([type(model).__name__, sorted(model.arguments.items()), em, seed])
    key = hashlib.sha256(content.encode())
    if not initialise:
        for name, value in model.state_dict().items():
            key.update(name.encode() + value.cpu().numpy().tobytes())
    return key.hexdigest()[:16]
