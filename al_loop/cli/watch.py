"""``al-loop watch``: a run that is followed in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from al_loop.cli.common import RunArgument, VerboseOption, exit_codes
from al_loop.outgoing import written_out

if TYPE_CHECKING:
    from rich.console import Group

    from al_loop.analysis.run import Run

_MOST_ROUNDS, _N_BEST = 12, 5
_BLOCKS = "▁▂▃▄▅▆▇█"
_ENDED = ("finished", "stopped")


def watch(
    run: RunArgument,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Follow a run in the terminal until it ends: rounds, forecasts, the best objects, alarms, and what comes next."""
    with exit_codes(verbose=verbose, needs_output=True, when_interrupted="stopped watching"):
        from rich.console import Console
        from rich.live import Live

        from al_loop.analysis import open_run
        from al_loop.system import stopping

        console = Console(highlight=False)
        is_live = sys.stdout.isatty() and not once
        with Live(console=console, auto_refresh=False, screen=False) if is_live else _Once(console) as live:
            while True:
                with open_run(run) as record:  # anew: an old ledger is read from a copy, which would not follow
                    view, state = picture(record)
                live.update(view, refresh=True)
                if not is_live or state in _ENDED:
                    return
                stopping.pause(interval)


class _Once:
    """Prints what it is given, where there is no terminal to draw on."""

    def __init__(self, console: Any) -> None:
        self._console = console

    def update(self, view: Any, *, refresh: bool) -> None:
        """Print a view."""
        self._console.print(view, soft_wrap=True)

    def __enter__(self) -> _Once:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def picture(run: Run) -> tuple[Group, str]:
    """Return what the terminal shows of a run, and its state.

    Args:
        run: the run.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from al_loop.analysis.against_plan import plan_standing
    from al_loop.analysis.facts_rounds import alarm_facts, round_facts
    from al_loop.analysis.outlook import outlook
    from al_loop.cli.terminal import format_number

    status = run.status()
    ahead, rounds = outlook(run, status), round_facts(run)
    planned = "" if status.planned_rounds is None else f" of {status.planned_rounds}"
    lines: list[Any] = [
        Text.assemble(
            (written_out(status.name), "bold"), f"  {status.state}", (f"  {written_out(status.process)}", "dim")
        ),
        Text(
            f"rounds {status.closed_rounds}{planned}   answers {status.answered} ({status.failed} failed)   "
            f"pending {status.pending} ({status.in_flight} in flight)   calls {status.calls}   cost {status.cost:.6g}"
        ),
        Text(""),
    ]
    values = [row["actual"] for row in rounds if row["actual"] is not None]
    if len(values) > 1:
        label = "hypervolume" if len(run.optimised) > 1 else f"best {written_out(run.objective.name)}"
        lines.append(Text.assemble(f"{label}  ", (sparkline(values), "green"), f"  {format_number(values[-1])}"))
    table = Table(box=None, pad_edge=False)
    for name in ("round", "answers", "failed", "forecast, 10 to 90 %", "chance", "came", "cost"):
        table.add_column(name, justify="right")
    for row in rounds[-_MOST_ROUNDS:]:
        forecast = row["forecast"] or {}
        low, high, chance = (forecast.get(name) for name in ("low", "high", "probability"))
        interval = "" if low is None else f"{format_number(low)} to {format_number(high)}"
        came = "open" if row["closed"] is None else "" if row["actual"] is None else format_number(row["actual"])
        share = "" if chance is None else f"{chance:.0%}"
        cells = (row["round"], row["answers"], row["failed"], interval, share, came, format_number(row["cost"] or 0.0))
        table.add_row(*map(str, cells))
    lines += [table, Text("")]
    for name, objects in run.best_objects(_N_BEST):
        lines.append(Text.assemble("".join(f"{format_number(v):>11}" for v in objects), f"  {written_out(name)}"))
    lines += [Text(""), Text(written_out(ahead.headline), "bold")]
    lines += [Text(f"  {written_out(reason)}") for reason in ahead.because]
    if (now := plan_standing(run, status)) is not None:
        lines += [Text(written_out(sentence)) for sentence in now.sentences]
    lines += [
        Text(f"alarm, round {alarm['round']}: {written_out(alarm['message'])}", "yellow")
        for alarm in alarm_facts(run)
        if alarm["recent"]
    ]
    return Group(*lines), status.state


def sparkline(values: list[float]) -> str:
    """Return a line of blocks whose heights are those of the values."""
    low, high = min(values), max(values)
    size = (high - low) or 1.0
    return "".join(_BLOCKS[round((value - low) / size * (len(_BLOCKS) - 1))] for value in values)
