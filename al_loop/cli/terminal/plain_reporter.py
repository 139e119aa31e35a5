"""A reporter of log lines, for files, batch systems and quiet terminals."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from al_loop.campaign.reporter import Phase
from al_loop.cli.terminal.base import CampaignOverview, CampaignResult, TerminalReporter
from al_loop.cli.terminal.columns import PHASES, remarks
from al_loop.cli.terminal.numbers import format_duration, format_number, format_seconds, format_values
from al_loop.errors import counted
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.outgoing import written_out

_HEARTBEAT_S = 30.0


class _PlainPhase(Phase):
    """A phase whose progress is printed at intervals, for readers of a log."""

    def __init__(self, label: str, total: int, print_line: Callable[[str], None], heartbeat_s: float) -> None:
        self._label, self._total, self._print, self._heartbeat_s = label, total, print_line, heartbeat_s
        self._done = 0
        self._last_time = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, detail: str = "") -> None:
        with self._lock:
            self._done += 1
            if time.monotonic() - self._last_time < self._heartbeat_s:
                return
            self._last_time = time.monotonic()
            done = self._done
        self._print(f"{self._label} {done}/{self._total}{f' | {detail}' if detail else ''}")


class PlainReporter(TerminalReporter):
    """A reporter that prints one line per message, with the time of day.

    Args:
        quiet: whether to print only rounds, notes and the end.
        verbose: whether to print details, too.
        heartbeat_s: seconds between progress reports of a long phase.
        write: prints a line; default: to standard output.
        now: returns the time of day.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        verbose: bool = False,
        heartbeat_s: float = _HEARTBEAT_S,
        write: Callable[[str], None] | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._quiet, self._verbose, self._heartbeat_s = quiet, verbose, heartbeat_s
        self._write = write or (lambda line: print(line, flush=True))
        self._now, self._first_day = now, now().date()
        self._lock = threading.Lock()
        self._context = ""  # round and phase

    def _print(self, message: str) -> None:
        time, message = self._now(), written_out(message)
        is_first_day = time.date() == self._first_day
        with self._lock:
            self._write(f"{time:%H:%M:%S} {message}" if is_first_day else f"{time:%Y-%m-%d %H:%M:%S} {message}")

    def begin(self, overview: CampaignOverview) -> None:
        """Print the goal and the plan."""
        super().begin(overview)
        if overview.started is not None:
            self._first_day = overview.started.astimezone().date()
        if self._quiet:
            return
        resumed = f" | resuming after {counted(overview.n_answers, 'answer')}" if overview.n_answers else ""
        plan = f"{counted(overview.n_rounds, 'round')}, {counted(overview.n_calls, 'call')}"
        self._print(f"{overview.name} | {overview.goal} | {plan} | {overview.run_dir}{resumed}")

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        """Report progress while a phase lasts."""
        self._context = f"round {round_number} | {name}"
        self.detail("begins")
        if self._quiet:
            yield Phase()
        else:
            yield _PlainPhase(self._context, total, self._print, self._heartbeat_s)

    def round(self, summary: RoundSummary) -> None:
        """Print the summary of a round."""
        unit = self.overview.unit
        best = [f"best {format_number(summary.best)}{unit}", f"top-10 mean {format_number(summary.top10_mean)}{unit}"]
        if summary.hypervolume is not None:
            best = [f"hypervolume {format_number(summary.hypervolume)}", f"front {summary.front}"]
        parts = [
            f"round {summary.number}",
            f"calls {summary.calls}",
            *best,
        ]
        if not math.isnan(summary.diversity):  # of fewer than two new objects
            parts.append(f"diversity {summary.diversity:.2f}")
        if summary.new_scaffolds is not None:
            parts.append(f"new scaffolds {summary.new_scaffolds}")
        if not math.isnan(summary.rank_correlation):
            parts.append(f"rank correlation {summary.rank_correlation:.2f}")
        if not math.isnan(summary.coverage):
            parts.append(f"{summary.coverage:.0%} of the answers within the 80 % interval")
        seconds = [f"{PHASES.get(k, k)} {format_seconds(v)} s" for k, v in summary.seconds.items()]
        if seconds:
            parts.append(", ".join(seconds))
        if text := remarks(summary):
            parts.append(text)
        self._print(" | ".join(parts))

    def note(self, message: str) -> None:
        """Print a note."""
        message = message.removeprefix(f"{self._context.partition(' | ')[0]}: ")
        self._print(self._with_context(f"note: {message}"))

    def detail(self, message: str) -> None:
        """Print a detail if ``verbose``."""
        if self._verbose:
            self._print(self._with_context(message))

    def _with_context(self, message: str) -> str:
        """Return a message prefixed with the current round and phase."""
        return f"{self._context} | {message}" if self._context else message

    def end(self, result: CampaignResult, seconds: float) -> None:
        """Print a summary of the campaign."""
        unit, labels = self.overview.unit, self.overview.labels
        if not self._quiet:
            for rank, (name, values) in enumerate(result.best, 1):
                self._print(f"best {rank} | {format_values(values, labels)}{unit} | {name}")
            run_dir = self.overview.run_dir
            self._print(f"to inspect it: al-loop report {run_dir} (a page), status, or export")
        best = result.no_best
        if result.n_front:
            best = f"front {result.n_front}"
            if result.hypervolume is not None:
                best = f"hypervolume {format_number(result.hypervolume)} | {best}"
        elif result.best:
            best = f"best {format_values(result.best[0][1])}{unit} {result.best[0][0]}"
        self._print(
            f"done | answers {result.n_answers} | {best} | {format_duration(seconds)} | {self.overview.run_dir}"
        )
