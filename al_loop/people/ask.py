"""Handing out candidates to people, as a table to fill in."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from al_loop.datafiles.headings import column_heading
from al_loop.datafiles.table_formats import encode_rows, format_of
from al_loop.ledger import Candidate, Ledger
from al_loop.storage.files import write_output
from al_loop.system.users import current_user

_NUMBERS = ("id", "round", "predicted_mean", "predicted_std")


def candidates_to_ask(ledger: Ledger, *, again: bool = False) -> list[Candidate]:
    """Return the pending candidates that were not handed out yet.

    Args:
        ledger: the campaign's ledger.
        again: whether to return those that were handed out and have no result yet instead.
    """
    in_flight = {c.id for c in ledger.in_flight()}
    return [c for c in ledger.pending() if (c.id in in_flight) == again]


def ask(ledger: Ledger, candidates: Sequence[Candidate], column: str, *, again: bool = False) -> str:
    """Record in the ledger that candidates are handed out, and return the table to fill in, as CSV.

    Args:
        ledger: the campaign's ledger.
        candidates: the candidates to be measured.
        column: the name of the column of objects.
        again: whether the candidates were handed out before, so that nothing is recorded.
    """
    campaign = ledger.campaign()
    assert campaign is not None
    if not again:
        ledger.begin_attempts([c.id for c in candidates], f"ask by {current_user()}")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    headings = [column_heading(o) for o in campaign.objectives]
    writer.writerow(["id", column, "round", "predicted_mean", "predicted_std", *headings, "failure", "comment"])
    for c in candidates:
        predicted = ["" if v is None else f"{v:.4g}" for v in (c.predicted_mean, c.predicted_std)]
        writer.writerow([c.id, c.object, c.round, *predicted, *[""] * len(headings), "", ""])
    return buffer.getvalue()


def write_table(path: Path, text: str, *, force: bool = False) -> None:
    """Write a table in the format of the file's extension, whole or not at all.

    Args:
        path: the file: .csv, .tsv or .xlsx; ``-`` is standard output.
        text: the table, as ``ask`` returns it; empty: reserve the file's name.
        force: whether to replace an existing file.

    Raises:
        ConfigError: the file exists, its extension stands for another format, or it cannot be written.
    """
    format = format_of(path, None, ("csv", "tsv", "xlsx"))
    content = text.encode()
    if format != "csv" and text:
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        numbers = {i for i, name in enumerate(header) if name in _NUMBERS}
        content = encode_rows(
            header,
            [[float(cell) if i in numbers and cell else cell or None for i, cell in enumerate(row)] for row in rows],
            format,
        )
    write_output(path, content, force=force)
