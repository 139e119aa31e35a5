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
    """

    head: tuple[str, str]
    width: int
    cell: Callable[[RoundSummary], str]
    gap: int = 2
    is_time: bool = False
    is_record: bool = False


def best_so_far(summary: RoundSummary) -> float:
    """Return the best value (or hypervolume) so far, which decides whether a round is marked as a record."""
    return summary.best if summary.hypervolume is None else summary.hypervolume


def columns_for(summary: RoundSummary) -> list[Column]:
    """Return the columns for a campaign, given the summary of its first round."""
    columns = [
        Column(("", "round"), 5, lambda s: str(s.number)),
        Column(("", "calls"), 6, lambda s: str(s.calls), gap=1),
    ]
    if summary.hypervolume is None:
        columns += [
            Column(("best", "so far"), 9, lambda s: format_number(s.best), gap=1, is_record=True),
            Column(("top-10", "mean"), 9, lambda s: format_number(s.top10_mean), gap=1),
        ]
    else:
        columns += [
            Column(("hyper-", "volume"), 9, lambda s: format_number(best_so_far(s)), gap=1, is_record=True),
            Column(("on the", "front"), 6, lambda s: str(s.front), gap=1),
        ]
    columns.append(Column(("batch", "diversity"), 9, lambda s: two_decimals(s.diversity), gap=1))
    if summary.new_scaffolds is not None:
        columns.append(Column(("new", "scaff."), 6, lambda s: str(s.new_scaffolds), gap=1))
    columns.append(Column(("rank", "corr."), 5, lambda s: two_decimals(s.rank_correlation), gap=1))
    columns.append(Column(("in", "80 %"), 4, lambda s: two_decimals(s.coverage), gap=1))
    for i, (key, name) in enumerate(PHASES.items()):
        head = ("seconds" if i == 0 else "", name)
        columns.append(Column(head, 7 if i == 0 else 6, _time_cell(key), gap=2 if i == 0 else 1, is_time=True))
    return columns


def _time_cell(key: str) -> Callable[[RoundSummary], str]:
    return lambda s: format_seconds(s.seconds[key]) if key in s.seconds else "–"


def header_lines(columns: Sequence[Column]) -> list[str]:
    """Return the two lines above the table."""
    lines = []
    for line in range(2):
        cells = [("" if i == 0 else " " * c.gap) + c.head[line].rjust(c.width) for i, c in enumerate(columns)]
        lines.append("".join(cells).rstrip())
    return lines
