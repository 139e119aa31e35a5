"""Handing out candidates to people, as a table to fill in."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from al_loop.datafiles.headings import column_heading
from al_loop.errors import ConfigError
from al_loop.ledger import Candidate, Ledger
from al_loop.people.campaign_of_ledger import campaign_config
from al_loop.storage.files import write_whole
from al_loop.system.users import current_user


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
    writer.writerow(["id", column, "round", "predicted_mean", "predicted_std", *headings, "failure", "comment"])
    for c in candidates:
        predicted = ["" if v is None else f"{v:.4g}" for v in (c.predicted_mean, c.predicted_std)]
        writer.writerow([c.id, c.object, c.round, *predicted, *[""] * len(headings), "", ""])
    return buffer.getvalue()


def write_table(path: Path, text: str) -> None:
    """Write a table whole or not at all.

    Args:
        path: the file; an existing one is replaced.
        text: the table.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
