"""Handing out candidates to people, as a table to fill in."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from al_loop.datafiles.headings import column_heading, detail_headings
from al_loop.datafiles.table_formats import encode_rows, format_of
from al_loop.errors import ConfigError, counted
from al_loop.ledger import Candidate, Ledger
from al_loop.modelling.objective_names import predicted_columns
from al_loop.people.campaign_of_ledger import campaign_config
from al_loop.people.predicted import predictions_by_objective
from al_loop.storage.files import write_output
from al_loop.system.spreadsheet_cells import inert_cell, without_guard
from al_loop.system.users import current_user

#: how the headings of columns of numbers begin
_NUMBERS = ("id", "round", "predicted_mean", "predicted_std")


def candidates_to_ask(ledger: Ledger, *, again: bool = False) -> list[Candidate]:
    """Return the pending candidates that were not handed out yet.

    Args:
        ledger: the campaign's ledger.
        again: whether to return those that were handed out and have no result yet instead.
    """
    in_flight = {c.id for c in ledger.in_flight()}
    return [c for c in ledger.pending() if (c.id in in_flight) == again]


def hand_out(ledger: Ledger, candidates: Sequence[Candidate], n: int | None = None) -> list[Candidate]:
    """Record in the ledger that candidates are handed out, and return those that nobody else got meanwhile.

    Args:
        ledger: the campaign's ledger.
        candidates: the candidates to be measured.
        n: largest number of candidates to hand out; None for all.
    """
    numbers = ledger.hand_out([c.id for c in candidates], f"ask by {current_user()}", n)
    return [c for c in candidates if c.id in numbers]


def require_people(ledger: Ledger) -> None:
    """Refuse to hand out what a program measures, too.

    Raises:
        ConfigError: the answers of the campaign do not come from people.
    """
    oracle = campaign_config(ledger).oracle
    is_external = False
    with suppress(ConfigError):  # a user's own oracle that is not on this machine
        is_external = bool(oracle.declared("oracle", "is_external", False))
    if not is_external:
        raise ConfigError(
            f"the oracle of this campaign, {oracle.name!r}, is a program that al-loop run calls, so that objects that "
            "are handed out would be measured twice; to do so all the same, stop the campaign and pass --force"
        )


def unreviewed_round(ledger: Ledger) -> int | None:
    """Return the last round if its batch still waits for a review, else None."""
    last = ledger.last_round()
    is_released = last is None or not campaign_config(ledger).rounds.review or ledger.has_gone_out(last)
    return None if is_released else last


def reason_for_none(ledger: Ledger, *, again: bool) -> str:
    """Return why there is no candidate to hand out.

    Args:
        ledger: the campaign's ledger.
        again: whether those were looked for that were handed out before.
    """
    n_in_flight, share = len(ledger.in_flight()), campaign_config(ledger).rounds.close_share
    if again:
        return "nothing to list: every object that was handed out has its result"
    if not n_in_flight:
        return "nothing to measure: the campaign has no further candidates"
    enough = "the last one has all its results" if share == 1 else f"{share:.0%} of the last one have results"
    return (
        f"nothing to hand out: {counted(n_in_flight, 'object')} {'is' if n_in_flight == 1 else 'are'} being measured "
        f"(--again lists them), and the next batch is chosen when {enough}"
    )


def ask(ledger: Ledger, candidates: Sequence[Candidate], column: str, *, again: bool = False) -> str:
    """Hand out candidates (those that nobody else got meanwhile), and return the table to fill in, as CSV.

    Args:
        ledger: the campaign's ledger.
        candidates: the candidates to be measured.
        column: the name of the column of objects.
        again: whether the candidates were handed out before, so that nothing is recorded.
    """
    return table_to_fill_in(ledger, candidates if again else hand_out(ledger, candidates), column)


def table_to_fill_in(ledger: Ledger, candidates: Sequence[Candidate], column: str) -> str:
    """Return a table of candidates with columns for their values, as CSV.

    Args:
        ledger: the campaign's ledger.
        candidates: the candidates, which were handed out.
        column: the name of the column of objects.
    """
    campaign = ledger.campaign()
    assert campaign is not None
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    headings = [column_heading(o) for o in campaign.objectives]
    predicted = predictions_by_objective(ledger, candidates)
    columns = [name for pair in predicted_columns([name for name, _ in predicted]) for name in pair]
    details = detail_headings([c.details for c in candidates], campaign.objectives)
    named = ["id", column, *details.values(), "round", *columns, *headings, "failure", "comment"]
    writer.writerow(map(inert_cell, named))
    for i, c in enumerate(candidates):
        cells = ["" if math.isnan(v) else f"{v:.4g}" for _, pairs in predicted for v in pairs[i]]
        library = [(c.details or {}).get(name, "") for name in details]
        texts = [inert_cell(cell) if isinstance(cell, str) else cell for cell in (c.object, *library)]
        writer.writerow([c.id, *texts, c.round, *cells, *[""] * len(headings), "", ""])
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
        header, *rows = ([without_guard(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline="")))
        numbers = {i for i, name in enumerate(header) if name.startswith(_NUMBERS)}
        content = encode_rows(
            header,
            [[float(cell) if i in numbers and cell else cell or None for i, cell in enumerate(row)] for row in rows],
            format,
        )
    write_output(path, content, force=force)
