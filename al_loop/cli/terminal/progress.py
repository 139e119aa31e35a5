"""A single progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(name: str, total: int) -> Iterator[Callable[..., None]]:
    """Show a progress bar on standard error if that is a terminal.

    Args:
        name: name of the task.
        total: number of steps.

    Yields:
        A function to call after each step, with an optional text to show beside the bar.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(
        *columns, TextColumn("{task.fields[detail]}"), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=total, detail="")
        yield lambda detail="": progress.update(task, advance=1, detail=detail)
