"""The table of a batch that waits for review."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from al_loop.cli.layout import terminal_width
from al_loop.cli.terminal.numbers import format_number
from al_loop.errors import counted
from al_loop.ledger import Candidate
from al_loop.outgoing import written_out

_ANY_WIDTH = 10_000  # of a file or pipe, where no line may be cut


def show_batch(
    candidates: Sequence[Candidate], round_number: int, predicted: Sequence[tuple[str, Sequence[tuple[float, float]]]]
) -> None:
    """Print the candidates of a batch with their predicted values.

    Args:
        candidates: the candidates of the batch.
        round_number: the number of its round.
        predicted: for each optimised objective, its name and the mean and deviation predicted for each candidate.
    """
    console = Console() if terminal_width() else Console(width=_ANY_WIDTH)
    waiting = "waits" if len(candidates) == 1 else "wait"
    title = f"round {round_number}: {counted(len(candidates), 'object')} {waiting} for review"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("id", justify="right")
    for name, _ in predicted:
        label = "predicted" if len(predicted) == 1 else f"predicted {name}"
        table.add_column(Text(label), justify="right")
        table.add_column("±", justify="right")
    table.add_column("origin")
    has_fidelities = any(c.fidelity for c in candidates)
    if has_fidelities:
        table.add_column("fidelity")
    table.add_column("object", no_wrap=True, overflow="ellipsis")
    for i, c in enumerate(candidates):
        cells = [format_number(value) for _, pairs in predicted for value in pairs[i]]
        table.add_row(
            str(c.id), *cells, c.origin, *([c.fidelity] if has_fidelities else []), Text(written_out(c.object))
        )
    console.print(table)
