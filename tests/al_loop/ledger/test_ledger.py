"""The ledger's contract, held by SQLite and by a real PostgreSQL server alike."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import SCHEMA_VERSION, Answer, Candidate, Ledger, Proposal
from al_loop.oracles.base import Objective, Outcome
from benchmarks.support.postgresql import PostgresqlServer

ROOT = Path(__file__).parents[3]

GAP = Objective("gap", "eV", "maximise")
START = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
TABLES = ["al_loop_schema", "campaign", "sessions", "rounds", "candidates", "attempts", "evaluations", "decisions"]
TABLES.append("round_reports")


def begin(ledger: Ledger, **changes: object) -> bool:
    campaign = {
        "name": "demo",
        "config": {"oracle": {"kind": "xtb"}, "rounds": 5},
        "fingerprint": "f1",
        "seed": 2**100,
        "objectives": [GAP],
        "versions": {"al-loop": "0.1.0"},
    }
    return ledger.begin_campaign(**{**campaign, **changes})  # type: ignore[arg-type]


def open_round(ledger: Ledger, number: int, *objects: str) -> list[Candidate]:
    batch = [Proposal(o, "random") for o in objects]
    return ledger.open_round(number, batch, seed=number, seconds={"fit": 0.5}, info={"beta": 8})


def answer(ledger: Ledger, candidate_id: int, outcome: Outcome | None = None, *, worker: str = "w0") -> None:
    finished = START + timedelta(seconds=1.5)
    ledger.commit_answer(candidate_id, outcome or Outcome((4.8,)), worker=worker, started=START, finished=finished)


class LedgerContract:
    """What every database must hold; a subclass provides ``url``, a database of its own for each test."""

    @pytest.fixture
    def ledger(self, url: str) -> Iterator[Ledger]:
        with Ledger(url) as ledger:
            begin(ledger)
            yield ledger

    # -- the campaign

    def test_a_new_ledger_is_empty_and_then_holds_one_campaign(self, url: str) -> None:
        with Ledger(url) as ledger:
            assert ledger.campaign() is None
            assert ledger.last_round() is None
            assert begin(ledger)
            assert not begin(ledger, config={"oracle": {"kind": "xtb"}, "rounds": 9})
            campaign = ledger.campaign()
            assert campaign is not None
            assert campaign.config == {"oracle": {"kind": "xtb"}, "rounds": 5}
            assert campaign.seed == 2**100
            assert campaign.objectives == (GAP,)
            assert campaign.created.utcoffset() == timedelta(0)
            assert [s.pid for s in ledger.sessions()] == [os.getpid()] * 2
            assert ledger.sessions()[0].versions == {"al-loop": "0.1.0"}
            assert [s.config["rounds"] for s in ledger.sessions()] == [5, 9]

    def test_a_password_on_the_command_line_is_not_kept(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.argv", ["al-loop", "run", "c.yaml", "ledger=postgresql+psycopg://me:secret@db/runs"])
        begin(ledger)
        assert ledger.sessions()[-1].command == "al-loop run c.yaml ledger=postgresql+psycopg://me:***@db/runs"

    def test_another_campaign_is_refused_with_the_differing_keys(self, ledger: Ledger) -> None:
        with pytest.raises(ConfigError, match=r"'demo' \(different: rounds, surrogate, seed\).*--run-dir"):
            begin(
                ledger,
                config={"oracle": {"kind": "xtb"}, "rounds": 6, "surrogate": {"kind": "gp"}},
                fingerprint="f2",
                seed=1,
            )
        with pytest.raises(ConfigError, match="same config, but other code"):
            begin(ledger, fingerprint="f2")
        assert len(ledger.sessions()) == 1

    def test_a_round_needs_a_campaign(self, url: str) -> None:
        with Ledger(url) as ledger, pytest.raises(CampaignError, match="no campaign"):
            open_round(ledger, 0, "C")

    # -- rounds

    def test_a_batch_comes_back_as_it_went_in(self, ledger: Ledger) -> None:
        batch = [
            Proposal("CCO", "sampler", 1.25, 0.1, -2.0),
            Proposal("N" * 9000, "random"),
            Proposal("Ω≡π", "sampler", float("nan"), float("inf"), float("-inf")),
        ]
        candidates = ledger.open_round(0, batch, seed=2**64 - 1, seconds={"fit": 1.5}, info={"lengthscale": [1, 2]})
        assert candidates[0] == Candidate(1, 0, 0, "CCO", "sampler", 1.25, 0.1, -2.0)
        assert candidates[2] == Candidate(3, 0, 2, "Ω≡π", "sampler")
        assert ledger.candidates() == ledger.pending() == candidates
        assert ledger.known_objects() == {"CCO", "N" * 9000, "Ω≡π"}
        (round_,) = ledger.rounds()
        assert (round_.seed, round_.seconds, round_.info) == (2**64 - 1, {"fit": 1.5}, {"lengthscale": [1, 2]})
        assert round_.closed is None

    def test_a_refused_batch_leaves_nothing(self, ledger: Ledger) -> None:
        open_round(ledger, 0, "A", "B")
        for objects, reason in [(("C", "B"), "earlier round.*'B'"), (("C", "D", "C"), "twice"), ((), "empty")]:
            with pytest.raises(CampaignError, match=reason):
                open_round(ledger, 1, *objects)
        assert ledger.known_objects() == {"A", "B"}
        assert ledger.last_round() == 0
        assert [c.id for c in open_round(ledger, 1, "C", "D")] == [3, 4]

    def test_a_batch_cut_off_half_way_leaves_nothing(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        @sa.event.listens_for(ledger._engine, "before_cursor_execute")
        def cut(connection: object, cursor: object, statement: str, *rest: object) -> None:
            if statement.startswith("INSERT INTO candidates"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            open_round(ledger, 0, "A", "B")
        sa.event.remove(ledger._engine, "before_cursor_execute", cut)
        assert ledger.last_round() is None
        assert ledger.candidates() == []
        open_round(ledger, 0, "A", "B")

    def test_rounds_are_opened_in_order_and_closed_once(self, ledger: Ledger) -> None:
        with pytest.raises(CampaignError, match="next one of this ledger is 0"):
            open_round(ledger, 1, "A")
        open_round(ledger, 0, "A")
        with pytest.raises(CampaignError, match="next one of this ledger is 1"):
            open_round(ledger, 0, "B")
        assert not ledger.is_closed(0)
        ledger.close_round(0, metrics={"top": 1.0, "rank": float("nan"), "deep": [float("inf")]}, seconds={"oracle": 2})
        assert ledger.is_closed(0)
        assert ledger.rounds()[0].metrics == {"top": 1.0, "rank": None, "deep": [None]}
        with pytest.raises(CampaignError, match="closed already"):
            ledger.close_round(0, metrics={}, seconds={})
        with pytest.raises(CampaignError, match="never opened"):
            ledger.close_round(7, metrics={}, seconds={})

    # -- answers

    def test_an_answer_comes_back_as_it_went_in(self, ledger: Ledger) -> None:
        a, b, c = open_round(ledger, 0, "A", "B", "C")
        assert ledger.begin_attempt(a.id, "w0") == 1
        assert ledger.begin_attempt(a.id, "w1") == 2
        answer(ledger, a.id, Outcome((0.1 + 0.2,), cost=2.5, info={"conformer": 3}), worker="w1")
        answer(ledger, c.id, Outcome.failed("timeout", "more than 60 s\x00"))
        first, second = ledger.evaluations()
        assert first.values == (0.1 + 0.2,)
        assert (first.cost, first.seconds, first.worker, first.attempts) == (2.5, 1.5, "w1", 2)
        assert (first.started, first.info) == (START, {"conformer": 3})
        assert second.failure is not None
        assert (second.failure.kind, second.failure.reason, second.attempts) == ("timeout", "more than 60 s", 0)
        assert [(o.object, o.values, o.failure, o.round) for o in ledger.observations()] == [
            ("A", (0.1 + 0.2,), None, 0),
            ("C", None, "timeout", 0),
        ]
        assert ledger.pending() == [b]
        assert ledger.cost() == 2.5

    def test_an_answer_with_odd_parts_is_kept(self, ledger: Ledger) -> None:
        a, b, c = open_round(ledger, 0, "A", "B", "C")
        info = {"path": Path("/tmp"), "tensor": object(), "nan": float("nan"), 3: {1, 2}, "text": "\ud800\x00"}
        answer(ledger, a.id, Outcome((1.0,), cost=float("nan"), info=info))  # type: ignore[arg-type]
        answer(ledger, b.id, Outcome((float("nan"),)))
        answer(ledger, c.id, Outcome((1.0, 2.0)))
        first, second, third = ledger.evaluations()
        assert first.values == (1.0,)
        assert first.cost is None
        assert set(first.info) == {"path", "tensor", "nan", "3", "text"}
        assert "/tmp" in first.info["path"]
        assert second.failure is not None
        assert third.failure is not None
        assert second.failure.kind == third.failure.kind == "permanent"

    def test_a_candidate_is_answered_once(self, ledger: Ledger) -> None:
        (a,) = open_round(ledger, 0, "A")
        answer(ledger, a.id)
        answer(ledger, a.id)  # the very same answer again, as after a lost connection
        with pytest.raises(CampaignError, match="has its answer already"):
            answer(ledger, a.id, Outcome((5.0,)))
        with pytest.raises(CampaignError, match="has its answer already"):
            ledger.begin_attempt(a.id, "w0")
        with pytest.raises(CampaignError, match="not in the ledger"):
            answer(ledger, 99)
        with pytest.raises(CampaignError, match="not in the ledger"):
            ledger.begin_attempt(99, "w0")
        assert [e.values for e in ledger.evaluations()] == [(4.8,)]

    def test_a_time_without_zone_is_a_bug(self, ledger: Ledger) -> None:
        (a,) = open_round(ledger, 0, "A")
        naive = START.replace(tzinfo=None)
        with pytest.raises(Exception, match="no time zone"):
            ledger.commit_answer(a.id, Outcome((1.0,)), worker="w", started=naive, finished=naive)
        assert ledger.pending() == [a]

    def test_many_threads_answer_at_once_while_others_read(self, ledger: Ledger) -> None:
        candidates = open_round(ledger, 0, *(f"C{i}" for i in range(96)))
        done = threading.Event()

        def one(candidate: Candidate) -> None:
            assert ledger.begin_attempt(candidate.id, "w") == 1
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

    def test_two_ledgers_on_one_database_share_one_truth(self, url: str, ledger: Ledger) -> None:
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

    def test_opening_a_new_ledger_from_many_threads_creates_it_once(self, url: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            for ledger in pool.map(lambda _: Ledger(url), range(4)):
                ledger.close()

    # -- immutability

    def test_nothing_committed_can_be_changed_by_anyone(self, url: str, ledger: Ledger) -> None:
        a, b = open_round(ledger, 0, "A", "B")
        ledger.begin_attempt(a.id, "w")
        answer(ledger, a.id)
        ledger.decide(0, vetoes={b.id: "toxic"}, pins={}, approve=True, by="ada")  # rows of every table
        ledger.close_round(0, metrics={}, seconds={})

        def kept() -> list[object]:
            return [
                ledger.evaluations(),
                ledger.candidates(),
                ledger.rounds(),
                ledger.campaign(),
                ledger.attempts(),
                ledger.decisions(),
            ]

        before = kept()
        engine = sa.create_engine(sa.make_url(url).set(drivername=ledger._url.drivername))
        for table in TABLES:
            column = sa.inspect(engine).get_columns(table)[0]["name"]
            changes = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
            if engine.dialect.name == "sqlite":
                changes.append(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
            else:
                changes.append(f"TRUNCATE {table} CASCADE")
            for change in changes:
                with pytest.raises(sa.exc.DBAPIError, match="insert-only"), engine.begin() as connection:
                    connection.exec_driver_sql(change)
        engine.dispose()
        assert kept() == before

    # -- resuming

    def test_a_second_process_finds_pending_and_in_flight(self, url: str) -> None:
        with Ledger(url) as ledger:
            begin(ledger)
            candidates = open_round(ledger, 0, "A", "B", "C", "D")
            ledger.begin_attempt(candidates[0].id, "w0")
            answer(ledger, candidates[0].id)
            ledger.begin_attempt(candidates[2].id, "w1")
        with Ledger(url) as ledger:
            assert not begin(ledger)
            assert [c.object for c in ledger.pending()] == ["B", "C", "D"]
            assert [c.object for c in ledger.in_flight()] == ["C"]
            assert ledger.begin_attempt(candidates[2].id, "w0") == 2
            assert [(a.candidate_id, a.number, a.worker) for a in ledger.attempts()] == [
                (1, 1, "w0"),
                (3, 1, "w1"),
                (3, 2, "w0"),
            ]

    def test_a_commit_whose_acknowledgement_was_lost_is_not_written_twice(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        within, lose = ledger._within, [False]

        def losing(action, *, write):  # type: ignore[no-untyped-def]
            result = within(action, write=write)
            if write and lose.pop():
                lose.append(False)
                raise sa.exc.OperationalError("COMMIT", {}, Exception("the connection is lost"))
            lose.append(False)
            return result

        monkeypatch.setattr(ledger, "_within", losing)
        for step in (
            lambda: begin(ledger),
            lambda: open_round(ledger, 0, "A", "B"),
            lambda: ledger.begin_attempt(1, "w"),
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

    def test_acknowledged_answers_survive_a_kill(self, url: str, ledger: Ledger) -> None:
        candidates = open_round(ledger, 0, *(f"C{i}" for i in range(200)))
        program = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from al_loop.ledger import Ledger
from al_loop.oracles.base import Outcome
ledger = Ledger(sys.argv[1])
def one(candidate):
    ledger.begin_attempt(candidate.id, "w")
    now = datetime.now(UTC)
    ledger.commit_answer(candidate.id, Outcome((float(candidate.id),)), worker="w", started=now, finished=now)
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

    # -- many at once, and again

    def test_answers_that_arrive_together_are_committed_together(self, ledger: Ledger) -> None:
        a, b, c = open_round(ledger, 0, "A", "B", "C")
        assert ledger.begin_attempts([a.id, c.id], "w1") == {a.id: 1, c.id: 1}
        assert ledger.begin_attempts([a.id, b.id], "w2") == {a.id: 2, b.id: 1}
        answer(ledger, c.id, Outcome((3.0,)))
        later = START + timedelta(seconds=2)
        group = [
            Answer(a.id, Outcome((1.0,)), "w1", START, later),
            Answer(c.id, Outcome((9.0,)), "w1", START, later),
            Answer(b.id, Outcome.failed("invalid", "no"), "w2", START, later),
            Answer(b.id, Outcome((2.0,)), "w2", START, later),
            Answer(99, Outcome((2.0,)), "w2", START, later),
        ]
        refused = ledger.commit_answers(group)
        assert [reason is None for reason in refused] == [True, False, True, False, False]
        assert "candidate 3 has its answer already" in (refused[1] or "")
        assert "candidate 99 is not in the ledger" in (refused[4] or "")
        assert [(e.values, e.attempts) for e in ledger.evaluations()] == [((1.0,), 2), (None, 1), ((3.0,), 1)]
        assert ledger.commit_answers(group[:1]) == [None], "the very same answer may be committed again"
        assert ledger.n_calls() == 4

    def test_answers_are_numbered_and_count_for_the_round_that_is_open(self, ledger: Ledger) -> None:
        a, b, c = open_round(ledger, 0, "A", "B", "C")
        answer(ledger, b.id)
        ledger.close_round(0, metrics={}, seconds={})
        answer(ledger, a.id)
        (d,) = open_round(ledger, 1, "D")
        answer(ledger, d.id)
        answer(ledger, c.id)
        rows = {e.candidate_id: (e.number, e.arrived) for e in ledger.evaluations()}
        assert rows == {b.id: (1, 0), a.id: (2, 1), d.id: (3, 1), c.id: (4, 1)}
        assert [o.object for o in ledger.observations(until=2)] == ["A", "B"]
        assert ledger.n_answers() == 4
        assert ledger.answered_since(2) == (4, {d.id: True, c.id: True})
        assert ledger.answered_since(4) == (4, {})

    def test_one_object_may_be_proposed_at_several_fidelities(self, ledger: Ledger) -> None:
        batch = [Proposal("A", "random", fidelity="low"), Proposal("A", "random", fidelity="high")]
        candidates = ledger.open_round(0, batch, seed=0, seconds={}, info={})
        assert [c.fidelity for c in ledger.pending()] == ["low", "high"]
        answer(ledger, candidates[0].id)
        assert [(o.object, o.fidelity) for o in ledger.observations()] == [("A", "low")]
        with pytest.raises(CampaignError, match="earlier round already: 'A'"):
            ledger.open_round(1, [Proposal("A", "random", fidelity="low")], seed=0, seconds={}, info={})
        ledger.open_round(1, [Proposal("A", "random", fidelity="middle")], seed=0, seconds={}, info={})

    def test_noise_and_artifacts_come_back_as_they_went_in(self, ledger: Ledger) -> None:
        a, b = open_round(ledger, 0, "A", "B")
        answer(ledger, a.id, Outcome((1.5,), noise=(0.25,), artifacts={"pose.pdbqt": "ATOM"}))
        answer(ledger, b.id, Outcome((1.5,)))
        first, second = ledger.evaluations()
        assert (first.noise, second.noise) == ((0.25,), None)
        digest = hashlib.sha256(b"ATOM").hexdigest()
        assert (first.artifacts, second.artifacts) == ({"pose.pdbqt": {"bytes": 4, "sha256": digest}}, {})
        assert [o.noise for o in ledger.observations()] == [(0.25,), None]

    def test_a_correction_takes_the_place_of_an_answer_and_leaves_it_readable(self, ledger: Ledger) -> None:
        a, b = open_round(ledger, 0, "A", "B")
        answer(ledger, a.id, Outcome((1.0,)))

        def told(candidate_id: int, value: float, second: int) -> Answer:
            return Answer(candidate_id, Outcome((value,)), "me", START, START + timedelta(seconds=second))

        with pytest.raises(CampaignError, match="candidate 2 has no answer to correct"):
            ledger.commit_told([], [told(a.id, 2.0, 5), told(b.id, 3.0, 5)], {})
        assert [e.values for e in ledger.evaluations()] == [(1.0,)]
        ledger.commit_told([told(b.id, 3.0, 6)], [told(a.id, 2.0, 6)], {"X": told(0, 4.0, 6)})
        ledger.commit_told([], [told(a.id, 2.5, 7)], {})
        assert [(e.values, e.revision) for e in ledger.evaluations()] == [((2.5,), 2), ((3.0,), 0), ((4.0,), 0)]
        history = ledger.evaluations(has_all_revisions=True)
        assert [e.values for e in history if e.candidate_id == a.id] == [(1.0,), (2.0,), (2.5,)]
        assert [o.values for o in ledger.observations(until=4)] == [(2.0,), (3.0,), (4.0,)]
        assert [(c.object, c.origin, c.position) for c in ledger.candidates()][-1] == ("X", "told", 2)
        assert ledger.pending() == []

    def test_two_processes_write_at_once_and_nothing_is_lost(self, url: str, ledger: Ledger) -> None:
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
        accepted = [int(p.communicate(timeout=120)[0]) for p in processes]
        answers = ledger.evaluations()
        assert sum(accepted) == len(answers) == 120, "each candidate was accepted from one process, and from one only"
        assert sorted(e.number for e in answers) == list(range(1, 121))
        for e in answers:
            assert e.values == (float(e.worker),)
            assert e.candidate_id % 3 in (int(e.worker), 2)

    # -- decisions

    def test_a_veto_a_pin_and_an_approval_are_kept_with_their_reasons(self, ledger: Ledger) -> None:
        open_round(ledger, 0, "A", "B", "C")
        (pinned,) = ledger.decide(0, vetoes={2: "smells"}, pins={"D": "a hunch"}, approve=False, by="ada", fidelity="x")
        assert (pinned.id, pinned.object, pinned.origin, pinned.round, pinned.position) == (4, "D", "pinned", 0, 3)
        assert pinned.fidelity == "x"
        assert [c.object for c in ledger.pending()] == ["A", "C", "D"]
        assert not ledger.is_approved(0)
        ledger.decide(0, vetoes={}, pins={}, approve=True, by="bob", reason="fine")
        assert ledger.is_approved(0)
        kept = [(d.action, d.candidate_id, d.reason, d.by) for d in ledger.decisions()]
        assert kept == [("veto", 2, "smells", "ada"), ("pin", 4, "a hunch", "ada"), ("approve", None, "fine", "bob")]
        assert ledger.vetoed() == {2}
        assert ledger.known_objects() == {"A", "B", "C", "D"}  # what was vetoed is not proposed again

    def test_why_a_campaign_ends_is_kept_for_the_round_it_ends_after(self, ledger: Ledger) -> None:
        ledger.stop("nothing was found")  # before there is a round there is nothing to keep it with
        assert ledger.decisions() == []
        open_round(ledger, 0, "A")
        open_round(ledger, 1, "B")
        ledger.decide(1, vetoes={2: "smells"}, pins={}, approve=False, by="ada")
        ledger.stop("the budget is spent")
        ledger.stop("the budget is spent")  # another start decided the same
        kept = [(d.round, d.action, d.candidate_id, d.reason, d.by) for d in ledger.decisions()]
        assert kept[1:] == [(1, "stop", None, "the budget is spent", "al-loop")] * 2

    def test_a_vetoed_candidate_is_never_measured(self, ledger: Ledger) -> None:
        open_round(ledger, 0, "A", "B")
        ledger.decide(0, vetoes={1: "toxic"}, pins={}, approve=True, by="ada")
        with pytest.raises(CampaignError, match="candidate 1 was vetoed"):
            ledger.begin_attempts([2, 1], "w0")
        assert ledger.attempts() == []

    @pytest.mark.parametrize(
        ("decision", "message"),
        [
            ({"vetoes": {1: "late"}}, "being measured or has its answer"),
            ({"vetoes": {3: "unknown"}}, "candidate 3 is not in the batch of round 0"),
            ({"vetoes": {2: " "}}, "no reason is given for 2"),
            ({"by": ""}, "nobody is named who decides"),
            ({"pins": {"": "blank"}}, "not storable"),
            ({"pins": {"D\x00": "odd"}}, "not storable"),
            ({"pins": {"D": ""}}, "no reason is given for D"),
            ({"pins": {"B": "again"}}, "'B' was proposed already"),
        ],
    )
    def test_what_cannot_be_decided_changes_nothing(
        self, ledger: Ledger, decision: dict[str, dict[int | str, str]], message: str
    ) -> None:
        open_round(ledger, 0, "A", "B")
        ledger.begin_attempt(1, "w0")
        with pytest.raises(CampaignError, match=message):
            ledger.decide(0, **{"vetoes": {}, "pins": {"C": "good"}, "approve": True, "by": "ada", **decision})  # type: ignore[arg-type]
        assert ledger.decisions() == []
        assert len(ledger.candidates()) == 2

    def test_a_vetoed_candidate_takes_no_answer(self, ledger: Ledger) -> None:
        open_round(ledger, 0, "A", "B")
        ledger.decide(0, vetoes={1: "toxic"}, pins={}, approve=True, by="ada")
        answers = [Answer(i, Outcome((4.8,)), "cache", START, START) for i in (1, 2)]
        assert ledger.commit_answers(answers) == ["candidate 1 was vetoed", None]
        with pytest.raises(CampaignError, match="candidate 1 was vetoed"):
            ledger.commit_told(answers[:1], [], {})
        assert [o.object for o in ledger.observations()] == ["B"]

    def test_what_was_pinned_by_mistake_can_be_vetoed_once(self, ledger: Ledger) -> None:
        open_round(ledger, 0, "A", "B")
        ledger.decide(0, vetoes={}, pins={"AB": "a hunch"}, approve=False, by="ada")
        ledger.decide(0, vetoes={3: "a typo"}, pins={"BA": "meant this"}, approve=False, by="ada")
        assert [c.object for c in ledger.pending()] == ["A", "B", "BA"]
        assert [(d.action, d.candidate_id) for d in ledger.decisions()] == [("pin", 3), ("veto", 3), ("pin", 4)]
        with pytest.raises(CampaignError, match="candidate 3 was vetoed already"):
            ledger.decide(0, vetoes={3: "again"}, pins={}, approve=False, by="bob")

    def test_a_batch_of_nothing_is_let_out_only_where_something_was_measured_before(self, ledger: Ledger) -> None:
        open_round(ledger, 0, "A", "B")
        ledger.decide(0, vetoes={1: "no"}, pins={}, approve=False, by="ada")
        with pytest.raises(CampaignError, match="nothing would be measured at all"):
            ledger.decide(0, vetoes={2: "no"}, pins={}, approve=True, by="ada")
        assert not ledger.is_approved(0)
        (pinned,) = ledger.decide(0, vetoes={2: "no"}, pins={"C": "yes"}, approve=True, by="ada")
        answer(ledger, pinned.id)
        open_round(ledger, 1, "D")
        ledger.decide(1, vetoes={4: "no"}, pins={}, approve=True, by="ada")
        assert ledger.is_approved(1)
        assert ledger.pending() == []

    def test_a_batch_has_gone_out_when_it_is_approved_or_somebody_was_asked(self, ledger: Ledger) -> None:
        open_round(ledger, 0, "A", "B")
        ledger.decide(0, vetoes={1: "no"}, pins={}, approve=False, by="ada")
        assert not ledger.has_gone_out(0)
        ledger.begin_attempt(2, "w0")
        assert ledger.has_gone_out(0)
        open_round(ledger, 1, "C")
        assert not ledger.has_gone_out(1)
        ledger.decide(1, vetoes={}, pins={}, approve=True, by="ada")
        assert ledger.has_gone_out(1)

    def test_what_went_out_cannot_be_decided_on(self, ledger: Ledger) -> None:
        open_round(ledger, 0, "A", "B")
        ledger.decide(0, vetoes={}, pins={}, approve=True, by="ada")
        with pytest.raises(CampaignError, match="approved already"):
            ledger.decide(0, vetoes={1: "late"}, pins={}, approve=False, by="bob")
        open_round(ledger, 1, "C")
        with pytest.raises(CampaignError, match="round 0 is not the last one"):
            ledger.decide(0, vetoes={1: "late"}, pins={}, approve=False, by="bob")

    def test_of_two_people_who_veto_the_same_one_is_told(self, url: str, ledger: Ledger) -> None:
        open_round(ledger, 0, "A", "B")
        told: list[str] = []

        def veto(name: str) -> None:
            with Ledger(url) as own:
                try:
                    own.decide(0, vetoes={1: "no"}, pins={}, approve=False, by=name)
                except CampaignError as error:
                    told.append(str(error))

        threads = [threading.Thread(target=veto, args=(name,)) for name in ("ada", "bob", "eve")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told == ["candidate 1 was vetoed already"] * 2
        assert len(ledger.decisions()) == 1

    def test_of_a_veto_and_a_call_at_once_one_wins(self, url: str, ledger: Ledger) -> None:
        names = [f"S{i}" for i in range(12)]
        open_round(ledger, 0, *names)
        ready = threading.Barrier(2)

        def call() -> set[int]:
            begun = set()
            with Ledger(url) as own:
                ready.wait(20)
                for i in range(1, 13):
                    with contextlib.suppress(CampaignError):
                        begun |= own.begin_attempts([i], "w0").keys()
            return begun

        with ThreadPoolExecutor(1) as pool, Ledger(url) as own:
            calls = pool.submit(call)
            ready.wait(20)
            for i in range(12, 0, -1):
                with contextlib.suppress(CampaignError):
                    own.decide(0, vetoes={i: "no"}, pins={}, approve=False, by="ada")
            begun = calls.result(60)
        assert begun | ledger.vetoed() == set(range(1, 13))
        assert not begun & ledger.vetoed()

    # -- opening

    def test_a_newer_schema_is_refused(self, url: str, ledger: Ledger) -> None:
        with ledger._engine.begin() as connection:
            connection.exec_driver_sql(f"INSERT INTO al_loop_schema VALUES ({SCHEMA_VERSION + 1})")
        with pytest.raises(ConfigError, match="upgrade al-loop"):
            Ledger(url)

    def test_a_read_only_ledger_reads_and_never_writes(self, url: str, ledger: Ledger) -> None:
        open_round(ledger, 0, "A")
        with Ledger(url, read_only=True) as reader:
            assert reader.known_objects() == {"A"}
            with pytest.raises(CampaignError, match="reading only"):
                answer(reader, 1)
            with pytest.raises(sa.exc.DBAPIError, match=r"read-?only"), reader._engine.begin() as connection:
                connection.exec_driver_sql("INSERT INTO al_loop_schema VALUES (9)")
            answer(ledger, 1)
            assert len(reader.observations()) == 1

    def test_a_read_only_look_at_an_empty_database_creates_nothing(self, url: str) -> None:
        for _ in range(2):
            with pytest.raises(ConfigError):
                Ledger(url, read_only=True)


class TestSqlite(LedgerContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/run dir/ledger.db"

    def test_a_commit_is_synced_and_readers_do_not_block_it(self, ledger: Ledger) -> None:
        with ledger._engine.connect() as connection:
            pragmas = {p: connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")}
            assert pragmas == {"journal_mode": "wal", "synchronous": 2}
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1

    def test_a_path_that_cannot_be_written_is_one_clear_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(ConfigError, match=r"^ledger .*file/ledger.db: cannot be opened .*$"):
            Ledger(f"sqlite:///{tmp_path}/file/ledger.db")

    def test_a_read_only_file_is_refused_when_opened(self, url: str, ledger: Ledger) -> None:
        ledger.close()
        path = ledger._url.database
        with pytest.raises(ConfigError, match=r"^ledger .*cannot be written .*--run-dir"):
            Ledger(f"sqlite:///file:{path}?mode=ro&uri=true")

    def test_a_read_only_directory_can_be_looked_at(
        self, url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_round(ledger, 0, "A")
        ledger.close()
        monkeypatch.setattr(os, "access", lambda *_: False)
        with Ledger(url, read_only=True) as reader:
            assert reader.known_objects() == {"A"}

    def test_a_file_that_is_no_database_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger.db"
        path.write_text("dear diary\n" * 100)
        with pytest.raises(ConfigError, match="not a ledger"):
            Ledger(f"sqlite:///{path}")
        assert path.read_text() == "dear diary\n" * 100

    def test_a_database_of_something_else_is_refused(self, tmp_path: Path) -> None:
        engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.db")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE albums (id INTEGER)")
        with pytest.raises(ConfigError, match=r"not a ledger \(it holds the tables albums\)"):
            Ledger(f"sqlite:///{tmp_path}/ledger.db")

    def test_a_locked_database_is_waited_for(self, url: str, ledger: Ledger) -> None:
        open_round(ledger, 0, "A")
        with Ledger(url) as other:
            holder = other._engine.connect().execution_options(ledger_write=True)
            holder.begin()
            timer = threading.Timer(0.5, holder.close)
            timer.start()
            answer(ledger, 1)
            timer.join()
        assert len(ledger.observations()) == 1

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
    def test_a_full_disk_is_waited_for_and_nothing_is_lost(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False).returncode:
            pytest.skip("this machine mounts no file system")
        try:
            notes: list[str] = []
            with Ledger(f"sqlite:///{disk}/ledger.db", patience_s=60, on_wait=notes.append) as ledger:
                begin(ledger)
                batch = open_round(ledger, 0, *(f"C{i}" for i in range(40)))
                fill(disk)
                cleaner = threading.Timer(4.0, (disk / "ballast").unlink)
                cleaner.start()
                for candidate in batch:
                    answer(ledger, candidate.id, Outcome((1.0,), info={"text": "x" * 2000}))
                cleaner.join()
                assert len(ledger.evaluations()) == 40
                assert len(notes) == 1
                assert "is tried again" in notes[0]
                fill(disk)
                ledger.patience_s = 0.0
                with pytest.raises(CampaignError, match="what was committed is safe"):
                    open_round(ledger, 1, *("y" * 5000 + str(i) for i in range(40)))
                assert (ledger.last_round(), len(ledger.observations())) == (0, 40)
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=False)

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("sqlite://", "in-memory"),
            ("ledger.db", "not a database URL"),
            ("mysql://host/db", "'mysql' is not one of sqlite, postgresql"),
            ("postgresql+pg8000://host/db", "write postgresql\\+psycopg"),
        ],
    )
    def test_a_bad_url_is_named_with_the_remedy(self, url: str, reason: str) -> None:
        with pytest.raises(ConfigError, match=reason):
            Ledger(url)


def fill(disk: Path) -> None:
    """Leaves no room on a file system."""
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with PostgresqlServer() as server:
        yield server


class TestPostgresql(LedgerContract):
    @pytest.fixture
    def url(self, server: PostgresqlServer) -> str:
        return server.new_database()

    def test_a_restart_of_the_server_in_the_middle_loses_nothing(self) -> None:
        notes: list[str] = []
        with (
            PostgresqlServer() as server,
            Ledger(server.new_database(), patience_s=120, on_wait=notes.append) as ledger,
        ):
            begin(ledger)
            batch = open_round(ledger, 0, *(f"C{i}" for i in range(150)))
            acknowledged: list[int] = []

            def one(candidate: Candidate) -> None:
                assert ledger.begin_attempt(candidate.id, "w") == 1
                answer(ledger, candidate.id, Outcome((float(candidate.id),)))
                acknowledged.append(candidate.id)

            with ThreadPoolExecutor(4) as pool:
                done = [pool.submit(one, c) for c in batch]
                for n, pause_s in ((20, 3.0), (80, 0.0)):
                    while len(acknowledged) < n:
                        time.sleep(0.005)
                    server.stop_at_once()
                    time.sleep(pause_s)
                    server.start()
                    known = {e.candidate_id for e in ledger.evaluations()}
                    assert known >= set(acknowledged[:n])
                for future in done:
                    future.result()
            assert [e.values for e in ledger.evaluations()] == [(float(c.id),) for c in batch]
            assert [a.number for a in ledger.attempts()] == [1] * 150
            assert any("cannot be used at present" in note for note in notes)

    def test_a_cut_connection_is_made_again(self, ledger: Ledger) -> None:
        a, b = open_round(ledger, 0, "A", "B")
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with pytest.raises(sa.exc.OperationalError), ledger._engine.connect() as connection:
            connection.exec_driver_sql(cut)
        answer(ledger, a.id)

        n_cuts = 0

        @sa.event.listens_for(ledger._engine, "before_cursor_execute")
        def cut_before_the_insert(connection: sa.Connection, cursor: object, statement: str, *rest: object) -> None:
            nonlocal n_cuts
            if statement.startswith("INSERT INTO evaluations") and n_cuts < 2:
                n_cuts += 1
                connection.connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")

        answer(ledger, b.id)
        assert n_cuts >= 1
        assert len(ledger.observations()) == 2

    def test_commits_are_durable_on_a_server_that_answers_early(self, url: str, ledger: Ledger) -> None:
        with ledger._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            database = connection.exec_driver_sql("SELECT current_database()").scalar()
            connection.exec_driver_sql(f"ALTER DATABASE {database} SET synchronous_commit = off")
        with Ledger(url) as other, other._engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"

    def test_a_ledger_may_share_a_database_through_its_own_schema(self, url: str, ledger: Ledger) -> None:
        with ledger._engine.begin() as connection:
            connection.exec_driver_sql("CREATE SCHEMA other")
        with Ledger(f"{url}&options=-csearch_path%3Dother") as other:
            assert begin(other, name="second", fingerprint="f2")
            open_round(other, 0, "A")
        assert ledger.candidates() == []

    def test_a_user_who_may_only_read_is_told_so_when_it_is_opened(self, url: str, ledger: Ledger) -> None:
        open_round(ledger, 0, "A")
        reader = f"reader_{uuid.uuid4().hex[:8]}"
        with ledger._engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {reader} LOGIN")
            connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
        theirs = sa.make_url(url).set(username=reader).render_as_string(hide_password=False)
        with pytest.raises(ConfigError, match="cannot be written by this user"):
            Ledger(theirs)
        with Ledger(theirs, read_only=True) as look:
            assert look.known_objects() == {"A"}

    def test_tables_of_something_else_are_refused(self, url: str) -> None:
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE sessions (id INTEGER)")
        engine.dispose()
        with pytest.raises(ConfigError, match=r"not a ledger \(it holds the tables sessions\)"):
            Ledger(url)

    def test_an_unreachable_server_is_one_clear_line_without_the_password(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="check the URL and the server") as caught:
            Ledger(f"postgresql://user:secret@/db?host={tmp_path}")
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
