"""Files of trained models, each of which names its kind, and the interface of those that objects are drawn from."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from al_loop.errors import ConfigError
from al_loop.storage.files import write_whole

_KIND = "kind"


class DrawableModel(ABC):
    """A trained model that ``al-loop draw`` draws from, whatever its kind."""

    @abstractmethod
    def draw_table(self, n: int, *, seed: int, prompt: str | None = None) -> Mapping[str, Sequence[Any]]:
        """Draw n objects.

        Args:
            n: number of objects, at least 1.
            seed: source of all randomness.
            prompt: what the objects are to continue, or the observation that they are to explain; None: nothing.

        Returns:
            Columns of n values each, the first one being ``object``.

        Raises:
            ConfigError: the model requires a prompt, or has no use for one.
        """


def write_model(path: str | Path, kind: str, content: Mapping[str, Any]) -> None:
    """Write a model to a file, completely or not at all.

    Args:
        path: the file; an existing one is replaced.
        kind: the kind of model, by which ``al-loop draw`` finds its loader.
        content: tensors and plain values.

    Raises:
        ConfigError: the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({_KIND: kind, **content}, buffer)
    try:
        write_whole(Path(path), buffer.getvalue())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


def read_model(path: str | Path, kind: str | None = None) -> dict[str, Any]:
    """Return the content of a file that ``write_model`` wrote, on the CPU.

    Args:
        path: the file.
        kind: the kind that is expected; None: any.

    Raises:
        ConfigError: the file cannot be read, was written by something else, or is of another kind.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception:  # a corrupt file raises almost anything
        raise ConfigError(f"{path} is not a model of al-loop, or is corrupt") from None
    if not isinstance(content, dict) or not isinstance(content.get(_KIND), str):
        is_prior = isinstance(content, dict) and "weights" in content
        what = "a prior of `al-loop pretrain`, the weights of a sampler alone" if is_prior else "not a model of al-loop"
        raise ConfigError(f"{path} is {what}" + (f", not a model of kind {kind}" if kind else ""))
    if kind is not None and content[_KIND] != kind:
        raise ConfigError(f"{path} is a model of kind {content[_KIND]!r}, not {kind!r}")
    return content


def kind_of(content: Mapping[str, Any]) -> str:
    """Return the kind of a model from the content of its file."""
    return str(content[_KIND])
