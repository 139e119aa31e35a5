"""The directory of a run: its lock, its pointer to the ledger, its checkpoints, logs and artifacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

from al_loop.errors import ConfigError
from al_loop.storage.files import acquire_lock, open_lock, retry_write, write_whole
from al_loop.system.private_files import make_private_folder


class RunDirectory:
    """The directory of a run, locked by this process until ``close``.

    It is created for this user alone if it does not exist.

    Args:
        path: the directory.
        patience_s: how long a write that fails is retried, in seconds.
        on_wait: receives a message when a write has to be retried.

    Raises:
        ConfigError: the directory cannot be written to, or another process holds its lock.
    """

    def __init__(
        self, path: Path, patience_s: float = 0.0, on_wait: Callable[[str], None] = lambda message: None
    ) -> None:
        self.path, self._patience_s, self._on_wait = path, patience_s, on_wait
        try:
            for folder in (path, self.checkpoints, self.logs):
                make_private_folder(folder)
            self._lock: IO[str] = open_lock(path / "lock")
        except OSError as error:
            raise ConfigError(
                f"cannot write to the run directory {path}: {error.strerror}; choose another with --run-dir"
            ) from None
        acquire_lock(self._lock, f"the campaign in {path}")

    @property
    def checkpoints(self) -> Path:
        """Folder of the learner's state after each round."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """Folder of the output of the oracle workers."""
        return self.path / "logs"

    @property
    def artifacts(self) -> Path:
        """Folder of the files that the oracle returned with its values."""
        return self.path / "artifacts"

    def write(self, path: Path, content: bytes) -> None:
        """Write a file completely or not at all.

        Args:
            path: the file, in this directory.
            content: its new content.

        Raises:
            CampaignError: no attempt to write succeeded within ``patience_s``.
        """
        retry_write(lambda: write_whole(path, content), path, self._patience_s, self._on_wait)

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()
