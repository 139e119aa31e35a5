"""Arrays of numbers in NumPy files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from al_loop.errors import ConfigError, summary

ARRAY_SUFFIX = ".npy"


def is_array_file(path: str | Path) -> bool:
    """Return whether a file is an array, by its suffix."""
    return Path(path).suffix.casefold() == ARRAY_SUFFIX


def read_array(path: str | Path) -> np.ndarray[Any, Any]:
    """Return the array in a ``.npy`` file.

    Raises:
        ConfigError: the file cannot be read, or is not such a file.
    """
    try:
        array: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or summary(error)}") from None
    except (ValueError, EOFError):  # NumPy's reasons recommend to unpickle
        raise ConfigError(
            f"cannot read {path}: it is truncated, or not an array of numbers or texts that numpy.save wrote"
        ) from None
    return array
