"""The base class of sinks, which receive a campaign's metrics while it runs."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from al_loop.errors import ConfigError

Status = Literal["finished", "stopped", "failed"]


class Sink(ABC):
    """A destination of one campaign's metrics.

    The methods are called from one thread at a time, in the order of the events. If one raises, this is reported once,
    and the campaign continues.
    """

    #: the name in a config and in messages; if empty, messages use the name of the class
    kind: ClassVar[str] = ""

    def check(self) -> None:  # noqa: B027  a sink without requirements has nothing to check
        """Check the requirements of the sink; called before the campaign starts.

        Raises:
            ConfigError: a library, key or permission is missing.
        """

    @abstractmethod
    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        """Prepare for a campaign that starts or resumes; called again after a pause if it raises.

        Args:
            name: the campaign's name.
            run: an identifier that is the same for all starts of one campaign, and different for other campaigns.
            config: the campaign's config, as plain JSON values.
        """

    @abstractmethod
    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics.

        Args:
            step: the number of the round, or, for a metric named ``series/name`` (``train/loss``), the step within that
                series.
            metrics: finite numbers by name.
        """

    def note(self, message: str) -> None:  # noqa: B027  a sink may record metrics only
        """Record a one-line message to the user."""

    def end(self, status: Status) -> None:  # noqa: B027
        """End after the campaign has finished, was stopped (and may be resumed), or failed."""


def import_library(module: str, extra: str) -> Any:
    """Import an optional library.

    Args:
        module: the module to import.
        extra: the extra of al-loop that installs it, which is also the kind of the sink.

    Raises:
        ConfigError: the library is not installed; the message gives the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"sink {extra} requires {module}: pip install 'al-loop[{extra}]' ({error})") from error
