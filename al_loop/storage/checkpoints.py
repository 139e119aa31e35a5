"""The learner's checkpoints, in a folder or an object store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from al_loop.errors import ConfigError, summary
from al_loop.outgoing import redact, resolved
from al_loop.storage.files import retry_write, write_whole

_SEAL = b"\nal-loop sha256 "  # stands between the content of a checkpoint and its hash


class Checkpoints:
    """The learner's state after each round, in ``<location>/round-00007.pt``; the last two are kept.

    Args:
        location: a folder, or a URL that fsspec supports, such as ``s3://bucket/folder``.
        uid: the campaign's unique id, which guards against mixing campaigns.
        patience_s: how long a failing write is retried, in seconds.
        on_wait: receives one message when a write has to be retried.

    Raises:
        ConfigError: the location is not writable, or has the checkpoints of another campaign.
    """

    def __init__(
        self, location: str, uid: str, patience_s: float = 0.0, on_wait: Callable[[str], None] = lambda message: None
    ) -> None:
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        self.location, self._patience_s, self._on_wait = location.rstrip("/"), patience_s, on_wait
        self._shown = redact(self.location)
        try:
            is_url = "://" in self.location  # a path may have characters that mean something in a URL
            folder = str(Path(self.location).expanduser().absolute())
            self._files: Any
            self._root: str
            place = resolved(self.location, quoted=True) if is_url else folder
            self._files, self._root = url_to_fs(place) if is_url else (LocalFileSystem(), folder)
            self._is_local = isinstance(self._files, LocalFileSystem)
            self._files.makedirs(self._root, exist_ok=True)
            owner_file = f"{self._root}/campaign"
            owner = None
            if self._files.exists(owner_file):
                owner = self._files.cat_file(owner_file).decode(errors="replace").strip()
            if owner is not None and re.fullmatch("[0-9a-zA-Z_-]+", owner) is None:
                on_wait(f"checkpoints: the file {owner_file} is damaged; it is written again")
                owner = None
            if owner is None:
                self._write(owner_file, uid.encode())
        except Exception as error:  # each kind of storage raises its own errors
            raise ConfigError(f"checkpoints: {location} is not usable: {summary(error)}") from error
        if owner not in (None, uid):
            raise ConfigError(f"checkpoints: {location} belongs to another campaign; choose another folder")

    def name(self, number: int) -> str:
        """Return the location of the checkpoint of a round."""
        return f"{self._shown}/{self._file(number)}"

    def _file(self, number: int) -> str:
        return f"round-{number:05d}.pt"

    def _write(self, path: str, content: bytes) -> None:
        if self._is_local:
            write_whole(Path(path), content)
        else:
            self._files.pipe_file(f"{path}.part", content)
            self._files.mv(f"{path}.part", path)

    def save(self, number: int, content: bytes) -> None:
        """Write the checkpoint of a round, whole or not at all, and remove all but the last two.

        Args:
            number: the round.
            content: the serialised state.

        Raises:
            CampaignError: no attempt to write succeeded within ``patience_s``.
        """
        path = f"{self._root}/{self._file(number)}"
        content += _SEAL + hashlib.sha256(content).hexdigest().encode()
        retry_write(lambda: self._write(path, content), self.name(number), self._patience_s, self._on_wait)
        with suppress(Exception):  # an extra file is harmless
            for old in self._files.ls(self._root, detail=False):  # no glob: the folder's name may contain brackets
                if re.fullmatch(r"round-\d+\.pt", name := Path(old).name) and name < self._file(number - 1):
                    self._files.rm_file(old)

    def keep_aside(self, number: int) -> str:
        """Copy a checkpoint that cannot be used, before another one takes its name.

        Returns:
            The location of the copy; empty if there is none.
        """
        copy = f"{self._file(number)}.unused"
        try:
            self._write(f"{self._root}/{copy}", self._files.cat_file(f"{self._root}/{self._file(number)}"))
        except Exception:  # each kind of storage raises its own errors
            return ""
        return f"{self._shown}/{copy}"

    def load(self, number: int) -> bytes:
        """Return the checkpoint of a round.

        Raises:
            Exception: there is no such checkpoint, or it is not readable, or it is damaged; the type depends on the
                kind of storage.
        """
        sealed: bytes = self._files.cat_file(f"{self._root}/{self._file(number)}")
        return unsealed(sealed)


def unsealed(sealed: bytes) -> bytes:
    """Return the content of a checkpoint, once it agrees with its SHA-256.

    Args:
        sealed: the content of the file; one of an earlier version has no SHA-256.

    Raises:
        ValueError: it was changed after it was written.
    """
    content, seal, digest = sealed.rpartition(_SEAL)
    if not seal:  # of an earlier version, or damaged within the seal, which its reader finds out
        return sealed
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError("its content differs from what was written")
    return content
