"""A reporter with progress bars and a table of rounds, for terminals."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
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
from al_loop.cli.layout import cut
from al_loop.cli.terminal.base import CampaignOverview, CampaignResult, TerminalReporter
from al_loop.cli.terminal.columns import Column, best_so_far, columns_for, header_lines, remarks
from al_loop.cli.terminal.numbers import format_duration, format_number
from al_loop.errors import counted
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.outgoing import written_out
from al_loop.system.output import allow_cursor


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
        allow_cursor(True)
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
        title = Text.assemble((written_out(overview.name), "bold"), written_out(f": {overview.goal}"))
        plan = f"{counted(overview.n_rounds, 'round')}, {counted(overview.n_calls, 'oracle call')}, saved in "
        plan += overview.run_dir
        if overview.n_answers:
            plan += f"; resuming after {counted(overview.n_answers, 'answer')}"
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
                self._columns = columns_for(summary, self._console.width)
                for line in header_lines(self._columns):
                    self._console.print(Text(line, "bold"), soft_wrap=True)
            row = Text()
            for i, column in enumerate(self._columns):
                cell = column.cell(summary)
                is_better = column.is_record and not math.isnan(self._record) and best_so_far(summary) != self._record
                row.append("" if i == 0 else " " * column.gap)
                row.append(cell.rjust(column.width), "bold green" if is_better else "dim" if column.is_time else "")
            if text := remarks(summary):
                is_short = len(row) + 1 + len(text) <= self._console.width
                row.append(f"{' ' if is_short else chr(10) + ' ' * 6}{text}", "red")
            self._record = best_so_far(summary)
            self._console.print(row, soft_wrap=True)

    def note(self, message: str) -> None:
        """Print a note."""
        self._console.print(Text.assemble(("note: ", "yellow"), written_out(message)), soft_wrap=True)

    def detail(self, message: str) -> None:
        """Print a detail if ``verbose``."""
        if self._verbose:
            self._console.print(Text(written_out(message), "dim"), soft_wrap=True)

    def end(self, result: CampaignResult, seconds: float) -> None:
        """Print a summary of the campaign."""
        self.close()
        answers = counted(result.n_answers, "oracle answer")
        self._console.print()
        self._console.print(
            Text.assemble(("done", "bold green"), f": {answers}; {format_duration(seconds)} in this session")
        )
        self._console.print()
        self._print_best(result)
        self._console.print()
        self._console.print(Text(f"The run is saved in {self.overview.run_dir}. To inspect it:"), soft_wrap=True)
        for command in ("status", "export"):
            self._console.print(Text(f"  al-loop {command} {self.overview.run_dir}", "cyan"), soft_wrap=True)

    def _print_best(self, result: CampaignResult) -> None:
        """Print the best objects, or why there is none."""
        if not result.best:
            self._console.print(Text(written_out(result.no_best)), soft_wrap=True)
            return
        objectives, labels = self.overview.objectives, self.overview.labels
        heading = f"best {objectives[0].name.replace('_', ' ')}"
        heading += f" ({objectives[0].unit})" if objectives[0].unit else ""
        if labels:
            heading = f"{len(result.best)} of {counted(result.n_front or 0, 'best trade-off')}"
            if result.hypervolume is not None:
                heading += f", hypervolume {format_number(result.hypervolume)}"
            heading += f": {', '.join(labels)}"
        self._console.print(Text(written_out(heading), "bold"), soft_wrap=True)
        for name, values in result.best:
            cells = "".join(format_number(value).rjust(11) for value in values)
            name = cut(name, max(self._console.width - len(cells) - 2, 8))
            self._console.print(Text.assemble((cells, "green"), "  ", name), soft_wrap=True)

    def close(self) -> None:
        """Stop the progress bars."""
        self._progress.stop()
