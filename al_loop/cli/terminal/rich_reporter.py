"""A reporter with progress bars and a table of rounds, for terminals."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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
from rich.text import Text

from al_loop.campaign.reporter import Phase
from al_loop.cli.terminal.base import CampaignOverview, TerminalReporter
from al_loop.cli.terminal.columns import Column, best_so_far, columns_for, header_lines
from al_loop.cli.terminal.numbers import format_duration, format_number
from al_loop.monitoring.round_summary import RoundSummary


class _RichPhase(Phase):
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, detail: str = "") -> None:
        self._progress.update(self._task, advance=1, detail=detail)


class _Count(TextColumn):
    """A column with the number of finished and of all steps; empty if there is only one step."""

    def __init__(self) -> None:
        super().__init__("{task.completed:.0f}/{task.total:.0f}")

    def render(self, task: Task) -> Text:
        return Text("") if task.total is None else super().render(task)


class _Remaining(TimeRemainingColumn):
    """A column with the remaining time, labelled as such."""

    def render(self, task: Task) -> Text:
        remaining = super().render(task)
        return Text("") if task.total is None else remaining.append(" left")


class RichReporter(TerminalReporter):
    """A reporter that shows progress bars below a table with one row per round."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console, self._verbose = console, verbose
        self._lock = threading.Lock()
        self._columns: list[Column] | None = None
        self._record = math.nan
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            _Count(),
            TimeElapsedColumn(),
            _Remaining(compact=True),
            TextColumn("[dim]{task.fields[detail]}"),
            console=console,
            transient=True,
        )

    def begin(self, overview: CampaignOverview) -> None:
        """Print the goal and the plan."""
        super().begin(overview)
        title = Text.assemble((overview.name, "bold"), f": {overview.goal}")
        plan = f"{overview.n_rounds} rounds, {overview.n_calls} oracle calls, saved in {overview.run_dir}"
        if overview.n_answers:
            plan += f"; resuming after {overview.n_answers} answers"
        self._console.print()
        self._console.print(title, soft_wrap=True)
        self._console.print(Text(plan, "dim"), soft_wrap=True)
        self._console.print()
        self._progress.start()

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        """Show progress while a phase lasts."""
        description = f"round {round_number}: {name}"
        task = self._progress.add_task(description, total=total if total > 1 else None, detail="")
        try:
            yield _RichPhase(self._progress, task)
        finally:
            self._progress.remove_task(task)

    def round(self, summary: RoundSummary) -> None:
        """Add the row of a round."""
        with self._lock:
            if self._columns is None:
                self._columns = columns_for(summary)
                for line in header_lines(self._columns):
                    self._console.print(Text(line, "bold"), soft_wrap=True)
            row = Text()
            for i, column in enumerate(self._columns):
                cell = column.cell(summary)
                is_better = column.is_record and not math.isnan(self._record) and best_so_far(summary) != self._record
                row.append("" if i == 0 else " " * column.gap)
                row.append(cell.rjust(column.width), "bold green" if is_better else "dim" if column.is_time else "")
            if summary.failures:
                row.append(f" {summary.failures} failed", "red")
            self._record = best_so_far(summary)
            self._console.print(row, soft_wrap=True)

    def note(self, message: str) -> None:
        """Print a note."""
        self._console.print(Text.assemble(("note: ", "yellow"), message), soft_wrap=True)

    def detail(self, message: str) -> None:
        """Print a detail if ``verbose``."""
        if self._verbose:
            self._console.print(Text(message, "dim"), soft_wrap=True)

    def end(self, n_answers: int, best: Sequence[tuple[str, tuple[float, ...]]], seconds: float) -> None:
        """Print a summary of the campaign."""
        self.close()
        names = ", ".join(
            f"{o.name.replace('_', ' ')}{f' ({o.unit})' if o.unit else ''}" for o in self.overview.objectives
        )
        heading = f"best {names}" if len(self.overview.objectives) == 1 else f"best trade-offs of {names}"
        self._console.print()
        self._console.print(
            Text.assemble(
                ("done", "bold green"), f": {n_answers} oracle answers; {format_duration(seconds)} in this session"
            )
        )
        if best:
            self._console.print()
            self._console.print(Text(heading, "bold"))
            for name, values in best:
                cells = "".join(format_number(value).rjust(11) for value in values)
                self._console.print(Text.assemble((cells, "green"), "  ", name), soft_wrap=True)
        self._console.print()
        self._console.print(Text(f"The run is saved in {self.overview.run_dir}. To inspect it:"), soft_wrap=True)
        for command in ("status", "export"):
            self._console.print(Text(f"  al-loop {command} {self.overview.run_dir}", "cyan"), soft_wrap=True)

    def close(self) -> None:
        """Stop the progress bars."""
        self._progress.stop()
