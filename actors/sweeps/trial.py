"""One campaign of a sweep, in a process of its own, and the process that supervises it.

The campaign's process reads what to run from its standard input and writes events to a pipe. When its standard input
ends, because the sweep stops it or has died, the campaign stops as cleanly as on Ctrl-C; one that has not stopped after
``STOP_WAIT_S`` is killed, by the sweep or by its own watchdog.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol, TextIO

from al_loop.campaign.answers_at_stop import ALL_SAFE
from al_loop.campaign.reporter import Reporter
from al_loop.config import CampaignConfig
from al_loop.errors import CampaignError, ConfigError, summary
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.outgoing import printable, redact
from al_loop.storage.bounded_log import BoundedLog
from al_loop.system.output import guard_output
from al_loop.system.processes import end_descendants, end_tree
from al_loop.system.stopping import FINISH_SIGNAL, Stopped, stop_on_signals

#: how long a campaign may take to stop (a fit ends first), before its processes are killed
STOP_WAIT_S = 60.0
_LONGEST_TAIL = 2**16  # of a process's output, in bytes, in which the reason of its end is looked for
_MEASURES = ("best", "top10_mean", "hypervolume")
_MAIN = "import sys; sys.path[:] = {path!r}; from al_loop.actors.sweeps.trial import main; main(int(sys.argv[1]))"


@dataclass(frozen=True)
class TrialEvent:
    """Something that a campaign reports.

    Attributes:
        kind: ``round``: a round has ended; ``done``: the campaign has finished; ``stopped``: it was stopped;
            ``failed``: it cannot go on.
        round: The number of the last closed round, where there is one.
        measures: That round's ``calls``, ``best``, ``top10_mean`` and ``hypervolume``; NaN where there is no value.
        reason: Why the campaign failed, in one line; or, where it was stopped, what became of answers that are not in
            the ledger.
    """

    kind: str
    round: int | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class ProcessContext:
    """The context that every campaign takes over from the process that started the sweep.

    Attributes:
        folder: The working directory.
        path: The import path.
        threads: The variable ``OMP_NUM_THREADS``, which Ray sets to a campaign's CPUs, so that oracles would compute
            differently; None where it is not set.
    """

    folder: Path
    path: Sequence[str]
    threads: str | None

    @classmethod
    def here(cls) -> ProcessContext:
        """Return the context of this process."""
        return cls(Path.cwd(), tuple(sys.path), os.environ.get("OMP_NUM_THREADS"))

    def environment(self, changes: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables of a campaign's process.

        Args:
            changes: Variables to set.
        """
        variables = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        threads = {} if self.threads is None else {"OMP_NUM_THREADS": self.threads}
        return {**variables, **threads, **changes}


class Trial(Protocol):
    """A campaign that runs somewhere."""

    def next_event(self) -> TrialEvent:
        """Wait for the next event of the campaign; the last one is not of the kind ``round``."""

    def stop(self, *, finish_calls: bool = False) -> None:
        """Have the campaign stop cleanly; called from another thread than ``next_event``.

        Args:
            finish_calls: Whether the calls of the oracle that run may finish first.
        """


# ---- the supervisor ----------------------------------------------------------------------------------------------


class TrialProcess:
    """A campaign in a process of its own, in a session of its own.

    Args:
        config: The campaign's configuration.
        run_dir: The campaign's run directory.
        context: The context of the process that started the sweep.
        variables: Further environment variables.
    """

    def __init__(
        self, config: CampaignConfig, run_dir: Path, context: ProcessContext, variables: Mapping[str, str] | None = None
    ) -> None:
        path = [*context.path, *(folder for folder in sys.path if folder not in context.path)]
        read, write = os.pipe()
        self._events = os.fdopen(read, encoding="utf-8")
        self._is_stopping = False
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  closed when the process has ended
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN.format(path=path), str(write)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            pass_fds=(write,),
            start_new_session=True,
            cwd=context.folder if context.folder.is_dir() else None,  # another machine may lack the folder
            env=context.environment(variables or {}),
        )
        os.close(write)
        with suppress(BrokenPipeError):  # it has died already, which the next event reports
            self._stdin.write(pickle.dumps((config, run_dir)))
            self._stdin.flush()

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def next_event(self) -> TrialEvent:
        for line in self._events:
            event = TrialEvent(**json.loads(line))
            if event.kind != "round":
                self._wait_for_exit()
                self._output.close()
            return event
        code = self._wait_for_exit()
        with self._output:
            size = self._output.seek(0, os.SEEK_END)
            self._output.seek(max(size - _LONGEST_TAIL, 0))
            lines = self._output.read().decode(errors="replace").strip().splitlines()
        if self._is_stopping:
            return TrialEvent("stopped")
        return TrialEvent("failed", reason=": ".join([f"its process ended with exit code {code}", *lines[-1:]])[:300])

    def stop(self, *, finish_calls: bool = False) -> None:
        self._is_stopping = True
        if finish_calls:
            with suppress(OSError, ValueError):
                self._stdin.write(b"f")
                self._stdin.flush()
            return
        with suppress(OSError):
            self._stdin.close()
        killer = threading.Timer(STOP_WAIT_S, self._kill)
        killer.daemon = True
        killer.start()

    def _wait_for_exit(self) -> int:
        """Return the exit code of the process, whose campaign has ended already; a thread of a user may keep it."""
        try:
            code = self._process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.wait()
        self._events.close()
        with suppress(OSError):
            self._stdin.close()
        return code

    def _kill(self) -> None:
        if self._process.poll() is None:
            end_tree(self._process.pid)


# ---- the campaign's process --------------------------------------------------------------------------------------


def main(events_fd: int) -> None:
    """Run the campaign that standard input describes.

    Args:
        events_fd: The file descriptor to write events to, one JSON object per line.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guard_output()
    os.set_inheritable(events_fd, False)  # a process that the campaign starts would keep the events from ending
    stdin = _detach_stdin()
    config, run_dir = pickle.load(stdin)
    threading.Thread(target=_stop_at_end_of_input, args=[stdin], daemon=True).start()
    with stop_on_signals(), os.fdopen(events_fd, "w", encoding="utf-8", buffering=1) as events:
        event = _run(config, run_dir, _TrialReporter(run_dir / "logs" / "campaign.log", events))
        with suppress(BrokenPipeError):
            _write(events, event)


def _detach_stdin() -> IO[bytes]:
    """Return standard input; this process and those that it starts have an empty one from now on."""
    stdin = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return stdin


def _stop_at_end_of_input(stdin: IO[bytes]) -> None:
    """Interrupt the campaign when standard input ends, and kill it where it does not stop in time.

    Args:
        stdin: Standard input, whose bytes ask to stop once the calls that run have finished. It is read without its
            buffer, whose lock would crash the end of this process.
    """
    while os.read(stdin.fileno(), 1):
        os.kill(os.getpid(), FINISH_SIGNAL)
    for _ in range(2):  # the second one stops faster
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_WAIT_S / 2)
    end_descendants()
    os.kill(os.getpid(), signal.SIGKILL)


def _run(config: CampaignConfig, run_dir: Path, reporter: _TrialReporter) -> TrialEvent:
    """Run a campaign, and return its last event."""
    from al_loop.campaign.campaign import Campaign

    try:
        with Campaign(config, run_dir, reporter=reporter) as campaign:
            campaign.run()
    except KeyboardInterrupt as error:
        answers = error.answers if isinstance(error, Stopped) else ""
        return TrialEvent("stopped", *_last_round(config, run_dir), "" if answers.startswith(ALL_SAFE) else answers)
    except BaseException as error:
        reporter.note("".join(traceback.format_exception(error)).rstrip())
        if isinstance(error, CampaignError | ConfigError):
            return TrialEvent("failed", reason=summary(error))
        where = "" if isinstance(error, Exception) else " in the campaign"
        return TrialEvent("failed", reason=f"{type(error).__name__}{where}: {summary(error)}")
    return TrialEvent("done", *_last_round(config, run_dir))


def _last_round(config: CampaignConfig, run_dir: Path) -> tuple[int | None, dict[str, float]]:
    """Return the number and the measures of the last closed round in the ledger."""
    from al_loop.analysis import open_run
    from al_loop.campaign.campaign import ledger_url

    with suppress(ConfigError), open_run(ledger_url(config, run_dir)) as run:
        for row in reversed(run.ledger.rounds()):
            if row.metrics is not None:
                return row.number, _measures(row.metrics)
    return None, {}


class _TrialReporter(Reporter):
    """Writes rounds as events, and everything else to the run's log."""

    def __init__(self, log: Path, events: TextIO) -> None:
        self._log, self._events = BoundedLog(log), events
        self._lock = threading.Lock()

    def round(self, summary: RoundSummary) -> None:
        with self._lock, suppress(BrokenPipeError):  # the sweep has died; this process is being stopped
            _write(self._events, TrialEvent("round", summary.number, _measures(vars(summary))))

    def note(self, message: str) -> None:
        line = f"{datetime.now():%Y-%m-%d %H:%M:%S} {printable(redact(message))}\n"
        with self._lock:
            self._log.append(line.encode("utf-8", "backslashreplace"))


def _measures(metrics: Mapping[str, Any]) -> dict[str, float]:
    values = {name: math.nan if metrics.get(name) is None else float(metrics[name]) for name in _MEASURES}
    return {**values, "calls": int(metrics["calls"])}


def _write(events: TextIO, event: TrialEvent) -> None:
    events.write(json.dumps(vars(event)) + "\n")
