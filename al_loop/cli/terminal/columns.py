"""The columns of the table of rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from al_loop.cli.terminal.numbers import format_number, format_seconds, two_decimals
from al_loop.monitoring.round_summary import RoundSummary

#: key of RoundSummary.seconds -> its name in the table, in the order of a round
PHASES = {"fit": "fit", "train": "train", "select": "select", "evaluate": "oracle"}


@dataclass(frozen=True)
class Column:
    """A column of the table of rounds.

    Args:
        head: the two lines of the heading.
        width: the width in characters.
        cell: returns the text of a row.
        gap: number of blanks to its left.
        is_time: whether it contains seconds.
        is_record: whether it contains the best value so far.
        rank: the columns of the highest rank are the first that a narrow terminal does without.
    """

    head: tuple[str, str]
    width: int
    cell: Callable[[RoundSummary], str]
    gap: int = 2
    is_time: bool = False
    is_record: bool = False
    rank: int = 0


def best_so_far(summary: RoundSummary) -> float:
    """Return the best value (or hypervolume) so far, which decides whether a round is marked as a record."""
    return summary.best if summary.hypervolume is None else summary.hypervolume


#: columns that are left for the number of failures beside a row
_MARGIN = 10


def columns_for(summary: RoundSummary, width: int | None = None) -> list[Column]:
    """Return the columns for a campaign that fit the terminal.

    Args:
        summary: of the first round.
        width: columns of the terminal; None for any number.
    """
    columns = _all_columns(summary)
    if width is None:
        return columns
    while columns[-1].rank and sum(c.gap + c.width for c in columns[1:]) + columns[0].width + _MARGIN > width:
        rank = max(c.rank for c in columns)
        columns = [c for c in columns if c.rank < rank]
    return columns


def _all_columns(summary: RoundSummary) -> list[Column]:
    columns = [
        Column(("", "round"), 5, lambda s: str(s.number)),
        Column(("", "calls"), 6, lambda s: str(s.calls), gap=1),
    ]
    if summary.hypervolume is None:
        columns += [
            Column(("best", "so far"), 9, lambda s: format_number(s.best), gap=1, is_record=True),
            Column(("top-10", "mean"), 9, lambda s: format_number(s.top10_mean), gap=1, rank=1),
        ]
    else:
        columns += [
            Column(("hyper-", "volume"), 9, lambda s: format_number(best_so_far(s)), gap=1, is_record=True),
            Column(("on the", "front"), 6, lambda s: str(s.front), gap=1),
        ]
    columns.append(Column(("batch", "diversity"), 9, lambda s: two_decimals(s.diversity), gap=1, rank=2))
    if summary.new_scaffolds is not None:
        columns.append(Column(("new", "scaff."), 6, lambda s: str(s.new_scaffolds), gap=1, rank=3))
    columns.append(Column(("rank", "corr."), 5, lambda s: two_decimals(s.rank_correlation), gap=1, rank=4))
    columns.append(Column(("in", "80 %"), 4, lambda s: two_decimals(s.coverage), gap=1, rank=5))
    for i, (key, name) in enumerate(PHASES.items()):
        head = ("seconds" if i == 0 else "", name)
        columns.append(Column(head, 7 if i == 0 else 6, _time_cell(key), gap=2 if i == 0 else 1, is_time=True, rank=6))
    return columns


def _time_cell(key: str) -> Callable[[RoundSummary], str]:
    return lambda s: format_seconds(s.seconds[key]) if key in s.seconds else "–"


def remarks(summary: RoundSummary) -> str:
    """Return what is printed beside the row of a round: failures, and that no object can be the best yet."""
    parts = [f"{summary.failures} failed"] if summary.failures else []
    if summary.within_bounds == 0:
        parts.append("none keeps the bounds")
    return ", ".join(parts)


def header_lines(columns: Sequence[Column]) -> list[str]:
    """Return the two lines above the table."""
    lines = []
    for line in range(2):
        cells = [("" if i == 0 else " " * c.gap) + c.head[line].rjust(c.width) for i, c in enumerate(columns)]
        lines.append("".join(cells).rstrip())
    return lines
