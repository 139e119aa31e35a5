"""Rows that were changed, removed, added or moved behind al-loop's back are found, on both databases."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from al_loop.errors import CampaignError
from al_loop.ledger import Change, Ledger, schema, seals, verification
from al_loop.ledger.verification import DamagedLedger
from al_loop.oracles.base import Outcome
from tests.support.ledgers import START, answer, begin, begin_attempt, engine_of, open_round, sqlite_only


@pytest.fixture
def filled(url: str) -> str:
    """Return the URL of a ledger with a row in every table."""
    with Ledger(url) as ledger:
        begin(ledger)
        open_round(ledger, 0, "A", "B", "C")
        for id_ in (1, 2, 3):
            begin_attempt(ledger, id_)
        ledger.void_attempts([(3, 1)], "no licence")
        answer(ledger, 1, Outcome((-0.0,), cost=2.0, info={"text": "é\u2028"}))
        answer(ledger, 2, Outcome.failed("retryable", "down"))
        ledger.retry([2], reason="", by="ada")
        ledger.close_round(0, metrics={"best": 1.0}, seconds={})
        open_round(ledger, 1, "D")
        ledger.decide(1, vetoes={4: "too big"}, pins={"E": "why not"}, approve=True, by="ada")
        ledger.record_changes([Change(1, "config", "a.b", 1, 2, "", "ada", START)])
    return url


def edit(url: str, *statements: str) -> None:
    """Change a ledger as with an SQL console, after removing its triggers."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="sqlite" if "sqlite" in url else "postgresql+psycopg"))
    with engine.begin() as connection:
        schema.drop_guards(connection)
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def found(url: str) -> list[str]:
    with Ledger(url, read_only=True) as ledger:
        return [str(finding) for finding in ledger.findings()]


def test_a_ledger_with_a_row_in_every_table_is_as_it_was_written(filled: str) -> None:
    with Ledger(filled) as ledger:
        assert ledger.findings() == []
        for table in schema.SEALED:
            with engine_of(ledger).connect() as connection:
                rows = connection.execute(sa.select(table.c.entry, table.c.seal)).all()
            assert rows
            assert all(entry and len(seal) == 64 for entry, seal in rows)


@sqlite_only
@pytest.mark.parametrize("table", schema.SEALED, ids=lambda table: table.name)
def test_a_change_of_any_column_of_any_table_names_the_row(url: str, filled: str, table: sa.Table) -> None:
    key = {column.name for column in table.primary_key}
    columns = [c for c in schema.content(table) if c.name not in key and not c.foreign_keys]
    with Ledger(url, read_only=True) as ledger, engine_of(ledger).connect() as connection:
        content: Sequence[Any] = connection.execute(
            sa.select(*(sa.column(c.name) for c in columns)).select_from(table)
        ).all()
    for column, value in zip(columns, content[0], strict=True):
        new = "'x'" if isinstance(value, str) else "7" if value != 7 else "8"
        if value is None and not isinstance(column.type, sa.Text | schema.Json):
            new = "0.25"
        elif value is None:
            new = "'x'"
        if column.name in ("failure_kind", "values"):
            continue  # a constraint of the table ties them together
        where = f"entry = (SELECT min(entry) FROM {table.name})"
        edit(url, f'UPDATE {table.name} SET "{column.name}" = {new} WHERE {where}')
        problems = found(url)
        assert len(problems) == 1, (column.name, problems)
        assert re.match(rf"{table.name} \(.*\): was changed after it was written", problems[0])
        old = "NULL" if value is None else f"'{value}'" if isinstance(value, str) else repr(value)
        edit(url, f'UPDATE {table.name} SET "{column.name}" = {old} WHERE {where}')
    assert found(url) == []


CHANGES: dict[str, tuple[str, str]] = {
    "a value": (
        "UPDATE evaluations SET \"values\" = '[9.0]' WHERE candidate_id = 1",
        r"evaluations \(candidate_id 1, revision 0\): was changed",
    ),
    "a row is removed": ("DELETE FROM decisions WHERE id = 1", r"decisions \(row \d+ of the ledger\): was removed"),
    "a row is added": (
        "INSERT INTO decisions (id, round, action, reason, decided_by, decided) VALUES (9, 0, 'stop', '', 'eve', '')",
        r"decisions \(id 9\): has no checksum",
    ),
    "the last row and its link are removed": ("DELETE FROM changes", r"changes \(row \d+ of the ledger\): was removed"),
    "a link is removed": ("DELETE FROM links WHERE number = 2", r"links \(number 2\): is missing"),
    "a link is changed": ("UPDATE links SET seal = 'x' WHERE number = 2", r"links \(number \d\): the chain is broken"),
    "two answers change places": (
        "UPDATE evaluations SET candidate_id = 3 WHERE candidate_id = 1",
        r"evaluations \(candidate_id 3, revision 0\): was changed",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_every_kind_of_tampering_is_named_and_refused_by_all_who_read(filled: str, what: str) -> None:
    statement, expected = CHANGES[what]
    edit(filled, statement)
    problems = found(filled)
    assert any(re.match(expected, problem) for problem in problems), problems
    for is_reader in (True, False):
        with Ledger(filled, read_only=is_reader) as ledger:
            with pytest.raises(DamagedLedger, match=r"not as it was written: .*al-loop verify") as caught:
                ledger.observations()
            assert "\n" not in str(caught.value)


def test_a_row_with_a_checksum_of_its_own_is_not_in_the_chain(filled: str) -> None:
    values = [9, 0, None, "stop", "because", "eve", "2026-01-01T00:00:00.000000+00:00"]
    seal = seals.seal("decisions", 99, values)
    edit(filled, f"INSERT INTO decisions VALUES (9, 0, NULL, 'stop', 'because', 'eve', '{values[-1]}', 99, '{seal}')")
    assert found(filled) == ["decisions (id 9): is not in the chain: it was not written by al-loop"]


def test_an_accepted_change_is_believed_but_not_the_next_one(filled: str) -> None:
    edit(filled, "UPDATE evaluations SET \"values\" = '[9.0]' WHERE candidate_id = 1")
    with Ledger(filled) as ledger:
        ledger.accept(ledger.findings(), "the unit was wrong", "ada")
        assert ledger.observations()[0].values == (9.0,)
        assert ledger.changes()[-1].reason == "the unit was wrong"
        answer(ledger, 3)
    assert found(filled) == []
    edit(filled, "UPDATE evaluations SET \"values\" = '[8.0]' WHERE candidate_id = 1")
    assert len(found(filled)) == 1


def test_a_running_process_notices_that_the_ledger_has_lost_rows(filled: str) -> None:
    with Ledger(filled) as ledger:
        answer(ledger, 3)
        edit(
            filled,
            "DELETE FROM evaluations WHERE candidate_id = 3",
            "DELETE FROM links WHERE number = (SELECT max(number) FROM links)",
        )
        with pytest.raises(CampaignError, match="fewer rows than this process has seen"):
            begin_attempt(ledger, 2)
    with Ledger(filled) as ledger:
        begin_attempt(ledger, 2)  # consistent in itself: only who saw more can tell, see storage.ledger_head


def test_only_new_rows_are_compared_again(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    n: list[int] = []
    seal = seals.seal
    with Ledger(filled) as ledger:
        ledger.observations()

        def counting(table: str, entry: int, values: Iterable[Any]) -> str:
            n.append(entry)
            return seal(table, entry, values)

        monkeypatch.setattr(seals, "seal", counting)
        ledger.observations()
        assert not n
        answer(ledger, 3)
        n.clear()
        ledger.observations()
        ledger.candidates()
        assert len(n) == 1


@sqlite_only
def test_a_copy_of_the_file_alone_is_a_ledger_after_a_checkpoint(filled: str, tmp_path: Path) -> None:
    path = Path(sa.make_url(filled).database or "")
    with Ledger(filled) as ledger:
        answer(ledger, 3)
        ledger.checkpoint()
        copy = tmp_path / "copy.db"
        copy.write_bytes(path.read_bytes())
        with Ledger(f"sqlite:///{copy}", read_only=True) as other:
            assert other.n_answers() == ledger.n_answers()
            assert other.findings() == []


@sqlite_only
def test_a_damaged_page_of_the_file_ends_in_one_line(filled: str) -> None:
    path = Path(sa.make_url(filled).database or "")
    content = bytearray(path.read_bytes())
    with sqlite3.connect(path) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'evaluations'").fetchone()[0]
    connection.close()
    size = int.from_bytes(content[16:18], "big")
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)
    with Ledger(filled, read_only=True) as ledger, pytest.raises(DamagedLedger) as caught:
        ledger.observations()
    assert "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


@sqlite_only
def test_rows_of_a_large_ledger_are_compared_again_once_somebody_has_written_to_it(
    filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "MANY", 5)
    with Ledger(filled) as ledger:
        ledger.observations()
    calls: list[int] = []
    quick_findings = verification.quick_findings
    monkeypatch.setattr(verification, "quick_findings", lambda c: calls.append(1) or quick_findings(c))
    for _ in range(2):
        with Ledger(filled, read_only=True) as reader:
            reader.observations()
    assert calls == []  # the campaign's own end says that all was compared
    edit(filled, "UPDATE evaluations SET \"values\" = '[9.0]' WHERE candidate_id = 1")
    for n in (1, 2):
        with Ledger(filled, read_only=True) as reader, pytest.raises(DamagedLedger):
            reader.observations()
        assert len(calls) == n


@sqlite_only
def test_of_a_large_ledger_a_reader_compares_what_was_added_since_the_last_one(
    filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "MANY", 5)
    with Ledger(filled, read_only=True) as reader:
        reader.observations()
    calls: list[int] = []
    quick_findings = verification.quick_findings
    monkeypatch.setattr(verification, "quick_findings", lambda c: calls.append(1) or quick_findings(c))
    with Ledger(filled) as ledger:
        ledger.stop("enough")  # nothing is read, so that nothing is compared
    with Ledger(filled, read_only=True) as reader:
        reader.observations()
    with Ledger(filled) as ledger:
        ledger.stop("again")
    edit(filled, "UPDATE decisions SET reason = 'never' WHERE reason = 'again'")
    with Ledger(filled, read_only=True) as reader, pytest.raises(DamagedLedger, match="decisions"):
        reader.observations()
    assert calls == []


@sqlite_only
@pytest.mark.parametrize("column", ["values", "info", "failure_reason", "worker", "cost"])
def test_bytes_where_al_loop_stores_none_are_found(filled: str, column: str) -> None:
    edit(filled, f"UPDATE evaluations SET \"{column}\" = x'00ff80' WHERE candidate_id = 1")
    with Ledger(filled, read_only=True) as ledger:
        assert [f.place for f in ledger.findings()] == ["evaluations (candidate_id 1, revision 0)"]


@sqlite_only
def test_text_that_is_not_unicode_is_found(filled: str) -> None:
    edit(filled, "UPDATE evaluations SET worker = CAST(x'ff80' AS TEXT) WHERE candidate_id = 1")
    with Ledger(filled, read_only=True) as ledger:
        assert [f.place for f in ledger.findings()] == ["evaluations (candidate_id 1, revision 0)"]
