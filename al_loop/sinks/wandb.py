"""A sink for the experiment tracker Weights & Biases."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from al_loop.errors import ConfigError
from al_loop.sinks.base import Sink, Status, import_library

_MAX_ID_LENGTH = 64  # characters, W&B's limit
_MAX_NOTES_LENGTH = 5000
_KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
_FINISH_S = 60.0  # after this, a run that cannot be uploaded is left to ``wandb sync``


class WeightsAndBiases(Sink):
    """A run in Weights & Biases, continued by every start of the campaign.

    The API key comes from the environment (``WANDB_API_KEY``) or from ``wandb login``. Metrics are plotted
    against ``round``, metrics of a series such as ``train/loss`` against ``train/step``. W&B writes its files to
    ``WANDB_DIR``, or to ``./wandb``.

    Args:
        project: the project's name.
        entity: user or team; if omitted, the owner of the key.
        mode: ``offline`` keeps files for ``wandb sync``, ``disabled`` does nothing; if omitted,
            ``WANDB_MODE`` or online.
    """

    kind = "wandb"

    def __init__(
        self,
        project: str = "al-loop",
        entity: str | None = None,
        mode: Literal["online", "offline", "disabled"] | None = None,
    ) -> None:
        self.project, self.entity, self.mode = project, entity, mode
        self._run: Any = None
        self._notes: list[str] = []
        self._series: set[str] = set()  # series whose step metric is defined

    def check(self) -> None:
        import_library("wandb", "wandb")
        mode = self.mode or os.environ.get("WANDB_MODE", "online")
        if mode == "online" and not (any(os.environ.get(name) for name in _KEYS) or _has_logged_in()):
            raise ConfigError("sink wandb has no API key: set WANDB_API_KEY, run `wandb login`, or set mode: offline")

    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        wandb = import_library("wandb", "wandb")
        settings = wandb.Settings(silent=True, console="off", finish_timeout=_FINISH_S)
        wandb.setup(settings=settings)  # silent: never prompt for a key in the terminal
        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            id=re.sub(r"[^\w-]", "-", run, flags=re.ASCII)[:_MAX_ID_LENGTH],
            name=name,
            config=dict(config),
            allow_val_change=True,
            resume="allow",
            mode=self.mode,
            reinit="create_new",
            force=True,
            settings=settings,
        )
        self._run.define_metric("round", hidden=True)
        self._run.define_metric("*", step_metric="round")
        self._notes = (self._run.notes or "").splitlines()
        self._series = set()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        by_series: dict[str, dict[str, float]] = {}
        for name, value in metrics.items():
            by_series.setdefault(name.rpartition("/")[0], {})[name] = value
        for series, values in by_series.items():
            key = f"{series}/step" if series else "round"
            if series and series not in self._series:
                self._series.add(series)
                self._run.define_metric(key, hidden=True)
                self._run.define_metric(f"{series}/*", step_metric=key)
            self._run.log({key: step, **values})

    def note(self, message: str) -> None:
        self._notes.append(message)
        while len(self._notes) > 1 and sum(len(n) + 1 for n in self._notes) > _MAX_NOTES_LENGTH:
            del self._notes[0]
        self._run.notes = "\n".join(self._notes)[-_MAX_NOTES_LENGTH:]

    def end(self, status: Status) -> None:
        self._run.summary["status"] = status
        self._run.finish(exit_code=0 if status == "finished" else 1)


def _has_logged_in() -> bool:
    """Return whether a file exists in which ``wandb login`` stores keys."""
    netrc = os.environ.get("NETRC")
    files = [Path(netrc)] if netrc else [Path("~/.netrc"), Path("~/_netrc")]
    return any(file.expanduser().is_file() for file in files)
