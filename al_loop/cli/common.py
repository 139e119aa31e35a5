"""Exit codes, arguments and printing that all commands share."""

from __future__ import annotations

import shlex
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from al_loop import outgoing
from al_loop.errors import AlLoopError, ConfigError
from al_loop.outgoing import redact, written_out
from al_loop.system import stopping
from al_loop.system.output import is_pipe_broken, output_error, raise_broken_pipes
from al_loop.system.stopping import Stopped, StopRequest

EXIT_FAILURE, EXIT_INPUT, EXIT_INTERRUPTED = 1, 2, 130
EXIT_SIGNAL = 128  # plus the number of the signal that ended the command

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


@contextmanager
def exit_codes(
    *, verbose: bool = False, when_interrupted: str = "interrupted", needs_output: bool = False
) -> Iterator[None]:
    """Turn any exception of a command into one clear message and an exit code.

    Args:
        verbose: whether to print the traceback of an al-loop error, too.
        when_interrupted: message after a signal; it starts with "interrupted", and "{answers}" in it stands for what
            became of the answers.
        needs_output: whether the command exists for what it prints: it ends once nobody reads that any more, and fails
            if it cannot be written. Any other command does what it has to do, printed or not.
    """
    stopping.let_ctrl_c_interrupt()
    raise_broken_pipes(needs_output)
    try:
        yield
        _require_output(needs_output)
    except (typer.Exit, typer.Abort):
        raise
    except AlLoopError as error:
        if verbose:
            typer.echo(public_traceback(), err=True)
        for line in str(error).splitlines():
            print_error(line)
        raise typer.Exit(EXIT_INPUT if isinstance(error, ConfigError) else EXIT_FAILURE) from None
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, Stopped) else Stopped()
        number = signal.SIGINT if stopped.signal_number is None else signal.Signals(stopped.signal_number)
        answers = f": {stopped.answers}" if stopped.answers else ""
        message = when_interrupted.replace("{answers}", answers, 1)
        if number != signal.SIGINT:
            message = message.replace("interrupted", f"ended by {number.name}", 1)
        typer.echo(redact(message), err=True)
        raise typer.Exit(EXIT_SIGNAL + number) from None
    except Exception as error:
        if isinstance(error, BrokenPipeError) and is_pipe_broken():  # `al-loop list | head`
            raise typer.Exit from None
        if _is_out_of_memory(error):
            reason = (str(error) or type(error).__name__).splitlines()[0].rpartition("DefaultCPUAllocator: ")[2]
            message = f"out of memory: {reason}; smaller batches and networks need less"
        else:
            message = (
                f"{type(error).__name__}: this is a bug in al-loop, or in your own part if it appears in the traceback "
                "above; please report it with the traceback"
            )
        if verbose or not _is_out_of_memory(error):
            typer.echo(public_traceback(), err=True)
        print_error(f"{message}. What the ledger has recorded stays recorded")
        raise typer.Exit(EXIT_FAILURE) from None


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether Python, PyTorch on a CPU or a GPU, or an actor of Ray could not allocate memory."""
    is_named = "OutOfMemoryError" in type(error).__name__  # PyTorch's, which is not loaded for this
    return isinstance(error, MemoryError) or is_named or "can't allocate memory" in str(error)


def _require_output(is_needed: bool) -> None:
    """Say that standard output could not be written, and fail if it is needed."""
    error = output_error()
    if error is None or is_pipe_broken():
        return
    print_error(f"standard output could not be written ({error.strerror}); parts of it are missing")
    if is_needed:
        raise typer.Exit(EXIT_FAILURE)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Let SIGINT, SIGTERM, SIGHUP and SIGUSR1 stop a command cleanly; a stop that takes a while is announced."""
    with stopping.stop_on_signals(lambda message: typer.echo(message, err=True)) as request:
        yield request


def resume_message() -> str:
    """Return the message of an interrupted campaign or sweep."""
    command = shlex.join(["al-loop", *sys.argv[1:]])
    return f"interrupted{{answers}}; to resume, run the same command again: {command}"


def public_traceback() -> str:
    """Return the traceback of the present error, without secrets and control sequences."""
    return outgoing.written_out(redact(traceback.format_exc().rstrip("\n")))


def print_error(message: str) -> None:
    """Print an error message on standard error."""
    typer.secho("error:", fg=typer.colors.RED, bold=True, err=True, nl=False)
    typer.echo(f" {written_out(redact(message))}", err=True)
