"""The base class of sinks, which receive a campaign's metrics while it runs."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from al_loop.errors import ConfigError

Status = Literal["finished", "stopped", "failed"]


class Sink(ABC):
    """Receives the metrics of one campaign.

    The methods are called from one thread at a time, in the order of the events. If one raises, the user is told once,
    and the campaign continues.
    """

    #: the name in a config and in messages; of a sink without one, messages use the name of the class
    kind: ClassVar[str] = ""

    def check(self) -> None:  # noqa: B027  a sink that needs nothing has nothing to check
        """Check that everything the sink needs is there; called before the campaign starts.

        Raises:
            ConfigError: something is missing.
        """

    @abstractmethod
    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        """Prepare for a campaign that starts or resumes; if this raises, it is called again after a while.

        Args:
            name: the campaign's name.
            run: an identifier that is the same for all starts of one campaign, and different for other campaigns.
            config: the campaign's config, as plain JSON values.
        """

    @abstractmethod
    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics.

        Args:
            step: the number of the round; for a metric named ``series/name`` (``train/loss``) the step within that
                series.
            metrics: finite numbers by name.
        """

    def note(self, message: str) -> None:  # noqa: B027  a sink for metrics alone needs no notes
        """Record a message to the user, of one line."""

    def end(self, status: Status) -> None:  # noqa: B027
        """Finish after the campaign has finished, was stopped (and may be resumed), or failed."""


def import_library(module: str, extra: str) -> Any:
    """Import an optional library.

    Args:
        module: the module to import.
        extra: the extra of al-loop that installs it, which is also the kind of the sink.

    Raises:
        ConfigError: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"sink {extra} needs {module}: pip install 'al-loop[{extra}]' ({error})") from error
