"""Checkpoints of fits."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from al_loop.errors import ConfigError
from al_loop.latent.em import Alternation
from al_loop.storage.files import write_whole


class Checkpoint:
    """The state of a fit after its last round, in a file.

    Args:
        path: the file.
        fingerprint: of the model and the settings; a checkpoint of others, or of other data, is refused.
        x: the observations.
    """

    def __init__(self, path: str | Path, fingerprint: str, x: Tensor) -> None:
        self.path = Path(path)
        self.key = f"{fingerprint}-{hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()[:16]}"

    def save(self, alternation: Alternation) -> None:
        """Write the state.

        Args:
            alternation: the fit.

        Raises:
            ConfigError: the file cannot be written.
        """
        buffer = io.BytesIO()
        torch.save({"key": self.key, "state": alternation.state_dict()}, buffer)
        try:
            write_whole(self.path, buffer.getvalue())
        except OSError as error:
            raise ConfigError(f"cannot write {self.path}: {error.strerror}") from None

    def load(self, alternation: Alternation) -> bool:
        """Restore the state, if there is one, and return whether there was.

        Args:
            alternation: the fit.

        Raises:
            ConfigError: the file is corrupt, belongs to another fit, or is of a later round than the fit has.
        """
        if not self.path.exists():
            return False
        try:
            content: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            is_same = content["key"] == self.key
        except Exception:  # a corrupt file raises almost anything
            raise ConfigError(f"{self.path} is not a checkpoint, or is corrupt; remove it to start anew") from None
        if not is_same:
            raise ConfigError(
                f"{self.path} belongs to a fit with another config or other data; remove it to start anew, or choose "
                "another output with -o"
            )
        n_done, n_rounds = content["state"]["n_rounds"], alternation.em.rounds
        if n_done > n_rounds:
            raise ConfigError(
                f"em.rounds: {self.path} is of round {n_done}, and the fit now has {n_rounds}; set it to at least "
                f"{n_done}, or remove the file to start anew"
            )
        alternation.load_state_dict(content["state"])
        return True
