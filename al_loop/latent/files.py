"""Files of fitted latent-variable models, and of the data that they are fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from al_loop.config.build import build
from al_loop.config.plugins import Part
from al_loop.datafiles.number_tables import read_array, read_numbers
from al_loop.datafiles.object_lists import read_objects
from al_loop.errors import ConfigError, summary
from al_loop.gflownet.saved_models import DrawableModel, read_model, write_model
from al_loop.latent.base import LatentModel
from al_loop.latent.posterior import Posterior

KIND = "latent"


def build_model(part: Part) -> LatentModel:
    """Build a model from a config.

    Args:
        part: the config's ``latent``.

    Raises:
        ConfigError: there is no such model, or it rejects its arguments.
    """
    model = build("latent", part)
    if not isinstance(model, LatentModel):
        raise ConfigError(f"latent: {part.name} is not a subclass of al_loop.latent.LatentModel")
    return model


def save(path: str | Path, posterior: Posterior, part: Part | None = None, metadata: Mapping[str, Any] = {}) -> None:
    """Write a model with its posterior to a file, completely or not at all.

    Args:
        path: the file; an existing one is replaced.
        posterior: the posterior, with its model.
        part: the model as a config names it; None: by its kind and arguments.
        metadata: plain values to store along.

    Raises:
        ConfigError: the file cannot be written, or the model is of a user's class and no part names it.
    """
    model = posterior.model
    if part is None:
        if not model.kind:
            raise ConfigError(
                f"{type(model).__name__} has no kind; pass part=Part(target='module:{type(model).__name__}')"
            )
        part = Part(kind=model.kind, **model.arguments)
    content = {
        "latent": part.model_dump(exclude_none=True),
        "model": model.state_dict(),
        "policy": posterior.weights,
        "network": {"hidden": posterior.hidden, "layers": posterior.layers, "backward": posterior.backward},
        "metadata": dict(metadata),
    }
    write_model(path, KIND, content)


def load(path: str | Path) -> Posterior:
    """Read a model with its posterior from a file.

    Args:
        path: the file, as ``save`` or ``al-loop fit-latent`` wrote it.

    Raises:
        ConfigError: the file cannot be read, or is not such a file.
    """
    content = read_model(path, KIND)
    try:
        model = build_model(Part.model_validate(content["latent"]))
        model.load_state_dict(content["model"])
        return Posterior(model, content["policy"], **content["network"])
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ConfigError(f"{path} does not fit this version of its model: {summary(error)}") from None


class _Drawable(DrawableModel):
    """Objects that a model dreams, or latents that explain an observation."""

    def __init__(self, posterior: Posterior) -> None:
        self._posterior = posterior

    def draw_table(self, n: int, *, seed: int, prompt: str | None = None) -> Mapping[str, Sequence[Any]]:
        """Draw observations with their latents from p(x, z), or latents of one observation from q(z|x).

        Args:
            n: number of draws.
            seed: source of all randomness.
            prompt: the observation; None: observations are drawn, too.
        """
        model = self._posterior.model
        if prompt is None:
            x, z = model.sample(n, torch.Generator().manual_seed(seed))
            return {"object": model.write(x), "latent": model.explain(x, z)}
        try:
            x = model.read_text([prompt])
        except ValueError as error:
            raise ConfigError(f"prompt: {error}") from None
        z = self._posterior.draw(x, n, seed=seed)[0]
        return {"object": model.explain(x.expand(n, -1), z), "observation": model.write(x) * n}


def load_drawable(path: Path) -> DrawableModel:
    """Read a model for ``al-loop draw``."""
    return _Drawable(load(path))


def read_data(path: str | Path, model: LatentModel) -> torch.Tensor:
    """Return the observations in a file.

    Args:
        path: an array (``.npy``); otherwise a table of numbers for models of numbers, and a list or table of objects
            for others.
        model: the model that they are for.

    Raises:
        ConfigError: the file cannot be read, or does not contain observations of the model.
    """
    is_array = Path(path).suffix.casefold() == ".npy"
    try:
        if not model.reads_text:
            return model.read(_array(path, "biuf", "numbers") if is_array else read_numbers(path))
        return model.read_text(_array(path, "U", "texts").reshape(-1).tolist() if is_array else read_objects(path))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def _array(path: str | Path, kinds: str, what: str) -> np.ndarray[Any, Any]:
    """Return the array in a file, of a kind that the model reads.

    Args:
        path: the file.
        kinds: the kinds of arrays that are accepted.
        what: what they contain, for the message.
    """
    array = read_array(path)
    if array.dtype.kind not in kinds:
        raise ConfigError(f"{path}: the model reads {what}, and the array has values of type {array.dtype}")
    return array
