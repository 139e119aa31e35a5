"""Threads, processes, kills and lost acknowledgements, on SQLite and PostgreSQL alike."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from al_loop.errors import CampaignError
from al_loop.ledger import Candidate, Ledger
from al_loop.oracles.base import Outcome
from tests.support.ledgers import answer, begin, begin_attempt, open_round

ROOT = Path(__file__).parents[3]


def test_many_threads_answer_at_once_while_others_read(ledger: Ledger) -> None:
    candidates = open_round(ledger, 0, *(f"C{i}" for i in range(96)))
    done = threading.Event()

    def one(candidate: Candidate) -> None:
        assert begin_attempt(ledger, candidate.id, "w") == 1
        answer(ledger, candidate.id, Outcome((float(candidate.id),)))

    def watch() -> list[int]:
        seen = []
        while not done.is_set():
            seen.append(len(ledger.observations()))
        return seen

    with ThreadPoolExecutor(13) as pool:
        watcher = pool.submit(watch)
        list(pool.map(one, candidates))
        done.set()
        seen = watcher.result()
    assert seen == sorted(seen)
    assert [e.values for e in ledger.evaluations()] == [(float(c.id),) for c in candidates]
    assert len(ledger.attempts()) == 96


def test_two_ledgers_on_one_database_share_one_truth(url: str, ledger: Ledger) -> None:
    candidates = open_round(ledger, 0, *(f"C{i}" for i in range(20)))
    with Ledger(url) as other:
        assert not begin(other)

        def race(one: Ledger, candidate: Candidate, value: float) -> bool:
            try:
                answer(one, candidate.id, Outcome((value,)))
            except CampaignError:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            mine = [pool.submit(race, ledger, c, 1.0) for c in candidates]
            theirs = [pool.submit(race, other, c, 2.0) for c in candidates]
        won = [(m.result(), t.result()) for m, t in zip(mine, theirs, strict=True)]
        assert all(m != t for m, t in won)  # each candidate has exactly one answer, and one caller knows it is his
        assert [o.values for o in other.observations()] == [(1.0,) if m else (2.0,) for m, _ in won]

        def open_both(one: Ledger) -> bool:
            try:
                open_round(one, 1, "X", "Y")
            except CampaignError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(open_both, [ledger, other])) == [False, True]
        assert [c.position for c in other.pending()] == [0, 1]


def test_a_second_process_finds_pending_and_in_flight(url: str) -> None:
    with Ledger(url) as ledger:
        begin(ledger)
        candidates = open_round(ledger, 0, "A", "B", "C", "D")
        begin_attempt(ledger, candidates[0].id, "w0")
        answer(ledger, candidates[0].id)
        begin_attempt(ledger, candidates[2].id, "w1")
    with Ledger(url) as ledger:
        assert not begin(ledger)
        assert [c.object for c in ledger.pending()] == ["B", "C", "D"]
        assert [c.object for c in ledger.in_flight()] == ["C"]
        assert begin_attempt(ledger, candidates[2].id, "w0") == 2
        assert [(a.candidate_id, a.number, a.worker) for a in ledger.attempts()] == [
            (1, 1, "w0"),
            (3, 1, "w1"),
            (3, 2, "w0"),
        ]


def test_a_commit_whose_acknowledgement_was_lost_is_not_written_twice(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact, lose = ledger._database._transact, [False]

    def losing(action, *, write):  # type: ignore[no-untyped-def]
        result = transact(action, write=write)
        if write and lose.pop():
            lose.append(False)
            raise sa.exc.OperationalError("COMMIT", {}, Exception("the connection is lost"))
        lose.append(False)
        return result

    monkeypatch.setattr(ledger._database, "_transact", losing)
    for step in (
        lambda: begin(ledger),
        lambda: open_round(ledger, 0, "A", "B"),
        lambda: begin_attempt(ledger, 1, "w"),
        lambda: answer(ledger, 1),
        lambda: ledger.close_round(0, metrics={}, seconds={}),
    ):
        lose[:] = [True]
        step()
    assert len(ledger.sessions()) == 2
    assert [c.object for c in ledger.candidates()] == ["A", "B"]
    assert [(a.candidate_id, a.number) for a in ledger.attempts()] == [(1, 1)]
    assert len(ledger.evaluations()) == 1
    assert ledger.is_closed(0)

    def test_acknowledged_answers_survive_a_kill(url: str, ledger: Ledger) -> None:
        candidates = open_round(ledger, 0, *(f"C{i}" for i in range(200)))
        program = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from al_loop.ledger import Ledger
from al_loop.oracles.base import Outcome
from tests.support.ledgers import answer, begin_attempt
ledger = Ledger(sys.argv[1])
def one(candidate):
    begin_attempt(ledger, candidate.id, "w")
    answer(ledger, candidate.id, Outcome((float(candidate.id),)))
    sys.stdout.write(f"{candidate.id}\\n"); sys.stdout.flush()
with ThreadPoolExecutor(4) as pool:
    list(pool.map(one, ledger.pending()))
"""
        acknowledged: set[int] = set()
        for n_before_kill in (5, 50, 90):
            command = [sys.executable, "-c", program, url]
            with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
                assert process.stdout is not None
                for _ in range(n_before_kill):
                    acknowledged.add(int(process.stdout.readline()))
                process.send_signal(signal.SIGKILL)
                acknowledged |= {int(line) for line in process.stdout.read().split(b"\n")[:-1]}
            with Ledger(url) as after:
                answered = {e.candidate_id: e.values for e in after.evaluations()}
                assert acknowledged <= set(answered)
                assert len(answered) - len(acknowledged) <= 4 * 3  # at most what was in flight at each kill
                assert all(values == (float(i),) for i, values in answered.items())
                assert {c.id for c in after.pending()} == {c.id for c in candidates} - set(answered)

    def test_two_processes_write_at_once_and_nothing_is_lost(url: str, ledger: Ledger) -> None:
        open_round(ledger, 0, *(f"C{i}" for i in range(120)))
        program = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from al_loop.ledger import Answer, Ledger
from al_loop.oracles.base import Outcome
ledger, rest = Ledger(sys.argv[1], patience_s=60), int(sys.argv[2])
def one(candidate):
    ledger.begin_attempts([candidate.id], sys.argv[2])
    now = datetime.now(UTC)
    return ledger.commit_answers([Answer(candidate.id, Outcome((float(rest),)), sys.argv[2], now, now)])[0] is None
mine = [c for c in ledger.candidates() if c.id % 3 in (rest, 2)]
with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(lambda c: one_or_none(c), mine)))
""".replace("one_or_none(c)", "taken(c)").replace(
            "mine = [",
            "def taken(c):\n    try:\n        return one(c)\n    except Exception:\n        return False\nmine = [",
        )
        commands = [[sys.executable, "-c", program, url, rest] for rest in ("0", "1")]
        processes = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True, cwd=ROOT) for c in commands]
        accepted = [int(p.communicate(timeout=600)[0]) for p in processes]
        answers = ledger.evaluations()
        assert sum(accepted) == len(answers) == 120, "each candidate was accepted from one process, and from one only"
        assert sorted(e.number for e in answers) == list(range(1, 121))
        for e in answers:
            assert e.values == (float(e.worker),)
            assert e.candidate_id % 3 in (int(e.worker), 2)
