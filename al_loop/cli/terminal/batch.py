"""The table of a batch that waits for review."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from al_loop.cli.terminal.numbers import format_number
from al_loop.ledger import Candidate


def show_batch(candidates: Sequence[Candidate], round_number: int) -> None:
    """Print the candidates of a batch with their predicted values.

    Args:
        candidates: the candidates of the batch.
        round_number: the number of its round.
    """
    console = Console()
    table = Table(
        title=f"round {round_number}: {len(candidates)} objects wait for review", title_justify="left", box=None
    )
    for heading in ("id", "predicted", "±", "origin"):
        table.add_column(heading, justify="left" if heading == "origin" else "right")
    has_fidelities = any(c.fidelity for c in candidates)
    if has_fidelities:
        table.add_column("fidelity")
    table.add_column("object", overflow="fold")
    for c in candidates:
        prediction = [format_number(c.predicted_mean), format_number(c.predicted_std)]
        table.add_row(str(c.id), *prediction, c.origin, *([c.fidelity] if has_fidelities else []), Text(c.object))
    console.print(table)
