"""A sink that writes a file of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from al_loop.errors import ConfigError
from al_loop.sinks.base import Sink, Status
from al_loop.system.path_texts import PathText


class JSONLines(Sink):
    """A file of JSON lines, one per record: begin, metrics, note, end.

    Args:
        path: the file, to which records are appended; a relative path starts at the current folder.
    """

    kind = "jsonl"

    def __init__(self, path: PathText) -> None:
        self.path = Path(path).expanduser()
        self._run = ""

    def check(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8"):
                pass
        except OSError as error:
            raise ConfigError(
                f"sink jsonl cannot write to {self.path}: {error.strerror}; choose another path"
            ) from error

    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        self._run = run
        self._write("begin", name=name, config=config)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._write("metrics", step=step, metrics=metrics)

    def note(self, message: str) -> None:
        self._write("note", message=message)

    def end(self, status: Status) -> None:
        self._write("end", status=status)

    def _write(self, record: str, **content: Any) -> None:
        line = {"record": record, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "run": self._run}
        with self.path.open("a", encoding="utf-8") as file:  # reopened: the file may have been moved meanwhile
            file.write(json.dumps(line | content, ensure_ascii=False, default=str) + "\n")
