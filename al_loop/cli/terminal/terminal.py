"""What a campaign shows in a terminal, and what it writes to a log."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from al_loop.campaign.reporter import Phase, Reporter
from al_loop.ledger import Candidate
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.oracles.base import Objective

#: key of RoundSummary.seconds -> what it is called here, in the order of a round
_PHASES = {"fit": "fit", "train": "train", "select": "select", "evaluate": "oracle"}
_HEARTBEAT_S = 30.0


@dataclass(frozen=True)
class CampaignFacts:
    """What stands above the table of rounds.

    rounds: all of them, the random first batch included.
    calls: oracle calls of all rounds.
    done: answers that the ledger holds already.
    """

    name: str
    objectives: Sequence[Objective]
    rounds: int
    calls: int
    done: int
    run_dir: str

    @property
    def goal(self) -> str:
        """What is looked for, such as ``minimise gap in eV, maximise qed``."""
        return ", ".join(
            f"{o.goal} {o.name.replace('_', ' ')}{f' in {o.unit}' if o.unit else ''}" for o in self.objectives
        )

    @property
    def unit(self) -> str:
        """Of the values of one objective, with a blank before it."""
        return f" {self.objectives[0].unit}" if len(self.objectives) == 1 and self.objectives[0].unit else ""


class TerminalReporter(Reporter):
    """A reporter that also tells how a campaign begins and ends; a ``with`` block leaves the terminal as it was."""

    facts: CampaignFacts

    def begin(self, facts: CampaignFacts) -> None:
        """The campaign starts, or goes on."""
        self.facts = facts

    def end(self, calls: int, best: Sequence[tuple[str, tuple[float, ...]]], seconds: float) -> None:
        """The campaign is done.

        Args:
            calls: answers in all.
            best: the best objects with their values, best first; of several objectives those of best trade-offs.
            seconds: since this start.
        """

    def close(self) -> None:
        """Takes down whatever moves on the screen."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def make_reporter(*, quiet: bool, verbose: bool, console: Console | None = None) -> TerminalReporter:
    """Bars and a table on a terminal, log lines anywhere else and with ``quiet``."""
    console = console or Console(highlight=False)
    if quiet or not console.is_terminal:
        return PlainReporter(quiet=quiet, verbose=verbose)
    return RichReporter(console, verbose=verbose)


class _RichPhase(Phase):
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, detail: str = "") -> None:
        self._progress.update(self._task, advance=1, detail=detail)


class _Count(TextColumn):
    """Steps done of all, nothing where there is one step alone."""

    def __init__(self) -> None:
        super().__init__("{task.completed:.0f}/{task.total:.0f}")

    def render(self, task: Task) -> Text:
        return Text("") if task.total is None else super().render(task)


class _Left(TimeRemainingColumn):
    """The time that is left, and that it is that."""

    def render(self, task: Task) -> Text:
        left = super().render(task)
        return Text("") if task.total is None else left.append(" left")


class RichReporter(TerminalReporter):
    """Progress bars below a table that grows by a row a round."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console, self._verbose = console, verbose
        self._lock = threading.Lock()
        self._columns: list[_Column] | None = None
        self._record = math.nan
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            _Count(),
            TimeElapsedColumn(),
            _Left(compact=True),
            TextColumn("[dim]{task.fields[detail]}"),
            console=console,
            transient=True,
        )

    def begin(self, facts: CampaignFacts) -> None:
        """Says what is about to be done."""
        super().begin(facts)
        title = Text.assemble((facts.name, "bold"), f": {facts.goal}")
        plan = f"{facts.rounds} rounds, {facts.calls} oracle calls, kept in {facts.run_dir}"
        if facts.done:
            plan += f"; going on after {facts.done}"
        self._console.print()
        self._console.print(title, soft_wrap=True)
        self._console.print(Text(plan, "dim"), soft_wrap=True)
        self._console.print()
        self._progress.start()

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        """Shows a phase while it lasts."""
        description = f"round {round_number}: {name}"
        task = self._progress.add_task(description, total=total if total > 1 else None, detail="")
        try:
            yield _RichPhase(self._progress, task)
        finally:
            self._progress.remove_task(task)

    def round(self, summary: RoundSummary) -> None:
        """Adds the row of a round."""
        with self._lock:
            if self._columns is None:
                self._columns = _columns(summary)
                for line in _header(self._columns):
                    self._console.print(Text(line, "bold"), soft_wrap=True)
            row = Text()
            for i, column in enumerate(self._columns):
                cell = column.cell(summary)
                is_better = column.is_record and not math.isnan(self._record) and _record(summary) != self._record
                row.append("" if i == 0 else " " * column.gap)
                row.append(cell.rjust(column.width), "bold green" if is_better else "dim" if column.is_time else "")
            if summary.failures:
                row.append(f" {summary.failures} failed", "red")
            self._record = _record(summary)
            self._console.print(row, soft_wrap=True)

    def note(self, message: str) -> None:
        """Says it."""
        self._console.print(Text.assemble(("note: ", "yellow"), message), soft_wrap=True)

    def detail(self, message: str) -> None:
        """Says it with ``verbose``."""
        if self._verbose:
            self._console.print(Text(message, "dim"), soft_wrap=True)

    def end(self, calls: int, best: Sequence[tuple[str, tuple[float, ...]]], seconds: float) -> None:
        """Sums the campaign up."""
        self.close()
        names = ", ".join(
            f"{o.name.replace('_', ' ')}{f' ({o.unit})' if o.unit else ''}" for o in self.facts.objectives
        )
        heading = f"best {names}" if len(self.facts.objectives) == 1 else f"best trade-offs of {names}"
        self._console.print()
        self._console.print(
            Text.assemble(("done", "bold green"), f": {calls} oracle answers; {_duration(seconds)} this time")
        )
        if best:
            self._console.print()
            self._console.print(Text(heading, "bold"))
            for name, values in best:
                shown = "".join(number(value).rjust(11) for value in values)
                self._console.print(Text.assemble((shown, "green"), "  ", name), soft_wrap=True)
        self._console.print()
        self._console.print(Text(f"The run lies in {self.facts.run_dir}. To look at it:"), soft_wrap=True)
        for command in ("status", "export"):
            self._console.print(Text(f"  al-loop {command} {self.facts.run_dir}", "cyan"), soft_wrap=True)

    def close(self) -> None:
        """Takes the bars down."""
        self._progress.stop()


class _PlainPhase(Phase):
    """Says now and then how far it is, for those who watch a log."""

    def __init__(self, label: str, total: int, say: Callable[[str], None], heartbeat_s: float) -> None:
        self._label, self._total, self._say, self._heartbeat_s = label, total, say, heartbeat_s
        self._done = 0
        self._said = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, detail: str = "") -> None:
        with self._lock:
            self._done += 1
            if time.monotonic() - self._said < self._heartbeat_s:
                return
            self._said = time.monotonic()
            done = self._done
        self._say(f"{self._label} {done}/{self._total}{f' | {detail}' if detail else ''}")


class PlainReporter(TerminalReporter):
    """A line for each thing that is said, with the time of day.

    Args:
        quiet: rounds, notes and the end alone.
        verbose: details, too.
        heartbeat_s: how often a long phase says how far it is, in seconds.
        write: where a line goes; left out: standard output.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        verbose: bool = False,
        heartbeat_s: float = _HEARTBEAT_S,
        write: Callable[[str], None] | None = None,
    ) -> None:
        self._quiet, self._verbose, self._heartbeat_s = quiet, verbose, heartbeat_s
        self._write = write or (lambda line: print(line, flush=True))
        self._lock = threading.Lock()
        self._where = ""  # round and phase

    def _say(self, message: str) -> None:
        with self._lock:
            self._write(f"{datetime.now():%H:%M:%S} {message}")

    def begin(self, facts: CampaignFacts) -> None:
        """Says what is about to be done."""
        super().begin(facts)
        if self._quiet:
            return
        going_on = f" | going on after {facts.done}" if facts.done else ""
        self._say(
            f"{facts.name} | {facts.goal} | {facts.rounds} rounds, {facts.calls} calls | {facts.run_dir}{going_on}"
        )

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        """Shows a phase while it lasts."""
        self._where = f"round {round_number} | {name}"
        self.detail("begins")
        if self._quiet:
            yield Phase()
        else:
            yield _PlainPhase(self._where, total, self._say, self._heartbeat_s)

    def round(self, summary: RoundSummary) -> None:
        """Adds the row of a round."""
        unit = self.facts.unit
        found = [f"best {number(summary.best)}{unit}", f"top-10 mean {number(summary.top10_mean)}{unit}"]
        if summary.hypervolume is not None:
            found = [f"hypervolume {number(summary.hypervolume)}", f"on the front {summary.front}"]
        parts = [
            f"round {summary.number}",
            f"calls {summary.calls}",
            *found,
            f"diversity {summary.diversity:.2f}",
        ]
        if summary.new_scaffolds is not None:
            parts.append(f"new scaffolds {summary.new_scaffolds}")
        if not math.isnan(summary.rank_correlation):
            parts.append(f"rank correlation {summary.rank_correlation:.2f}")
        if not math.isnan(summary.coverage):
            parts.append(f"{summary.coverage:.0%} of the answers within the predicted 80 %")
        seconds = [f"{_PHASES.get(k, k)} {_seconds(v)} s" for k, v in summary.seconds.items()]
        if seconds:
            parts.append(", ".join(seconds))
        if summary.failures:
            parts.append(f"{summary.failures} failed")
        self._say(" | ".join(parts))

    def note(self, message: str) -> None:
        """Says it."""
        message = message.removeprefix(f"{self._where.partition(' | ')[0]}: ")
        self._say(self._placed(f"note: {message}"))

    def detail(self, message: str) -> None:
        """Says it with ``verbose``."""
        if self._verbose:
            self._say(self._placed(message))

    def _placed(self, message: str) -> str:
        """A message with the round and the phase in which it was said."""
        return f"{self._where} | {message}" if self._where else message

    def end(self, calls: int, best: Sequence[tuple[str, tuple[float, ...]]], seconds: float) -> None:
        """Sums the campaign up."""
        unit = self.facts.unit
        if not self._quiet:
            for place, (name, values) in enumerate(best, 1):
                self._say(f"best {place} | {', '.join(map(number, values))}{unit} | {name}")
            run_dir = self.facts.run_dir
            self._say(f"to look at it: al-loop status {run_dir}, or al-loop export {run_dir}")
        found = "nothing measured"
        if best:
            found = f"best {', '.join(map(number, best[0][1]))}{unit} {best[0][0]}"
        self._say(f"done | calls {calls} | {found} | {_duration(seconds)} | {self.facts.run_dir}")


# ---- the table ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    """Two lines of heading, a width, and what stands in a row; gap: blanks to its left."""

    head: tuple[str, str]
    width: int
    cell: Callable[[RoundSummary], str]
    gap: int = 2
    is_time: bool = False
    is_record: bool = False


def _record(summary: RoundSummary) -> float:
    """What a campaign is after: a round with a better one is marked."""
    return summary.best if summary.hypervolume is None else summary.hypervolume


def _columns(summary: RoundSummary) -> list[_Column]:
    """The columns of a campaign, from its first row."""
    columns = [
        _Column(("", "round"), 5, lambda s: str(s.number)),
        _Column(("", "calls"), 6, lambda s: str(s.calls), gap=1),
    ]
    if summary.hypervolume is None:
        columns += [
            _Column(("best", "so far"), 9, lambda s: number(s.best), gap=1, is_record=True),
            _Column(("top-10", "mean"), 9, lambda s: number(s.top10_mean), gap=1),
        ]
    else:
        columns += [
            _Column(("hyper-", "volume"), 9, lambda s: number(_record(s)), gap=1, is_record=True),
            _Column(("on the", "front"), 6, lambda s: str(s.front), gap=1),
        ]
    columns.append(_Column(("batch", "diversity"), 9, lambda s: _two_digits(s.diversity), gap=1))
    if summary.new_scaffolds is not None:
        columns.append(_Column(("new", "scaff."), 6, lambda s: str(s.new_scaffolds), gap=1))
    columns.append(_Column(("rank", "corr."), 5, lambda s: _two_digits(s.rank_correlation), gap=1))
    columns.append(_Column(("in", "80 %"), 4, lambda s: _two_digits(s.coverage), gap=1))
    for i, (key, name) in enumerate(_PHASES.items()):
        head = ("seconds" if i == 0 else "", name)
        columns.append(_Column(head, 7 if i == 0 else 6, _time_cell(key), gap=2 if i == 0 else 1, is_time=True))
    return columns


def _time_cell(key: str) -> Callable[[RoundSummary], str]:
    return lambda s: _seconds(s.seconds[key]) if key in s.seconds else "–"


def _header(columns: Sequence[_Column]) -> list[str]:
    lines = []
    for line in range(2):
        cells = [("" if i == 0 else " " * c.gap) + c.head[line].rjust(c.width) for i, c in enumerate(columns)]
        lines.append("".join(cells).rstrip())
    return lines


def number(value: float) -> str:
    """A measured value, short: three decimals where they say enough."""
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if value == 0 or 0.1 <= abs(value) < 10_000 else f"{value:.4g}"


def _two_digits(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def show_batch(candidates: Sequence[Candidate], number: int) -> None:
    """The table of a batch that waits for a person."""
    console = Console()
    table = Table(title=f"round {number}: {len(candidates)} objects wait", title_justify="left", box=None)
    for heading in ("id", "predicted", "±", "origin"):
        table.add_column(heading, justify="left" if heading == "origin" else "right")
    has_fidelities = any(c.fidelity for c in candidates)
    if has_fidelities:
        table.add_column("fidelity")
    table.add_column("object", overflow="fold")
    for c in candidates:
        predicted = [number_or_dash(c.predicted_mean), number_or_dash(c.predicted_std)]
        table.add_row(str(c.id), *predicted, c.origin, *([c.fidelity] if has_fidelities else []), Text(c.object))
    console.print(table)


def number_or_dash(value: float | None) -> str:
    """A value, short, or a dash where there is none."""
    return number(math.nan if value is None else value)
