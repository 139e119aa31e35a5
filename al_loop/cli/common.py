"""Exit codes, arguments and printing that all commands share."""

from __future__ import annotations

import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from al_loop.errors import AlLoopError, ConfigError

EXIT_FAILURE, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143

ConfigArgument = Annotated[Path, typer.Argument(help="The campaign's YAML file.", show_default=False)]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the config, such as rounds.count=8.", show_default=False),
]
RunArgument = Annotated[str, typer.Argument(help="A run directory, a ledger file or a database URL.", metavar="RUN")]
JobArgument = Annotated[
    str,
    typer.Argument(
        help="The name of a campaign, for its most recent job, or the id of a job.", metavar="CAMPAIGN_OR_JOB"
    ),
]
RunDirOption = Annotated[
    Path | None, typer.Option(help="Directory of the run; default: runs/<name>.", show_default=False)
]
ServerOption = Annotated[str, typer.Option(help="The cluster's job server, http://HEAD:8265.", show_default=False)]
AcceptChangeOption = Annotated[
    str | None,
    typer.Option(
        metavar="REASON",
        help="Go on although the oracle's code or data changed: why its values remain comparable.",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str,
    typer.Option(help="local: this machine, without Ray; auto: start or join Ray; HOST:6379: that cluster."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print one line per round.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show details and full tracebacks.")]


class Terminated(KeyboardInterrupt):
    """The exception raised on SIGTERM, which stops a campaign as cleanly as Ctrl-C."""


@contextmanager
def exit_codes(*, verbose: bool = False, when_interrupted: str = "interrupted") -> Iterator[None]:
    """Turn any exception of a command into one clear message and an exit code.

    Args:
        verbose: whether to print the traceback of an al-loop error, too.
        when_interrupted: message after Ctrl-C; it starts with "interrupted".
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except AlLoopError as error:
        if verbose:
            traceback.print_exc()
        for line in str(error).splitlines():
            print_error(line)
        raise typer.Exit(EXIT_INPUT if isinstance(error, ConfigError) else EXIT_FAILURE) from None
    except Terminated:
        typer.echo(when_interrupted.replace("interrupted", "ended by SIGTERM", 1), err=True)
        raise typer.Exit(EXIT_TERMINATED) from None
    except KeyboardInterrupt:
        typer.echo(when_interrupted, err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:  # `al-loop list | head`
        raise typer.Exit(EXIT_FAILURE) from None
    except Exception as error:
        traceback.print_exc()
        print_error(
            f"{type(error).__name__}: this is a bug in al-loop, or in your own part if it appears in the traceback "
            "above; please report it with the traceback. All measurements are safe in the ledger"
        )
        raise typer.Exit(EXIT_FAILURE) from None


@contextmanager
def sigterm_as_exception() -> Iterator[None]:
    """Raise ``Terminated`` in the main thread on SIGTERM; in any other thread, do nothing."""

    def stop(*_: Any) -> None:
        raise Terminated

    try:
        previous = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread: the embedding program handles its own signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def resume_message() -> str:
    """Return the message of an interrupted campaign or sweep."""
    command = shlex.join(["al-loop", *sys.argv[1:]])
    return f"interrupted: every answer that arrived is safe; to resume, run the same command again: {command}"


def print_error(message: str) -> None:
    """Print an error message on standard error."""
    typer.secho("error:", fg=typer.colors.RED, bold=True, err=True, nl=False)
    typer.echo(f" {message}", err=True)


def print_fields(fields: Mapping[str, str]) -> None:
    """Print names and texts in two aligned columns."""
    width = max(map(len, fields))
    for name, text in fields.items():
        typer.secho(f"{name:<{width}}  ", bold=True, nl=False)
        typer.echo(text)
