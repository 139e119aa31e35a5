"""Recorded changes, on SQLite and PostgreSQL alike."""

from datetime import UTC, datetime

from al_loop.ledger import Change, Ledger

NOW = datetime(2026, 11, 3, tzinfo=UTC)


def test_changes_come_back_as_they_went_in(ledger: Ledger) -> None:
    first = Change(3, "config", "rounds.batch_size", 8, None, "fewer plates", "ada", NOW)
    second = Change(4, "oracle", "oracle.py", {"sha256": "a"}, [1.5, "b"], "", "bo", NOW)
    ledger.record_changes([first])
    ledger.record_changes([])
    ledger.record_changes([second])
    assert ledger.changes() == [first, second]
