"""Answers that the ledger did not accept before the campaign had to stop."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from al_loop.errors import CampaignError
from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Failure, Objective, Outcome
from al_loop.storage.rescued import RescuedAnswers

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        objectives = (Objective("value"),)
        ledger.begin_campaign(name="t", config={}, fingerprint="f", seed=0, objectives=objectives, versions={})
        ledger.open_round(0, [Proposal(o, "random") for o in "ABC"], seed=0, seconds={}, info={})
        yield ledger


def answer(candidate_id: int, outcome: Outcome) -> Answer:
    return Answer(candidate_id, outcome, "w", NOW, NOW)


def test_rescued_answers_come_back_as_they_were(ledger: Ledger, tmp_path: Path) -> None:
    value = Outcome((1.5,), cost=2.0, info={"k": [1, "x"]}, noise=(0.5,))
    failure = Outcome(failure=Failure("timeout", "late"), cost=1.0)
    rescued = RescuedAnswers(tmp_path, "uid")
    error = rescued.keep([answer(1, value)], OSError("full"))
    assert isinstance(error, CampaignError)
    rescued.keep([answer(2, failure)], OSError("full"))
    assert RescuedAnswers(tmp_path, "uid").restore(ledger) == 2
    first, second = ledger.evaluations()
    assert (first.values, first.noise, first.cost, first.info, first.finished) == ((1.5,), (0.5,), 2.0, value.info, NOW)
    assert (second.failure, second.cost) == (failure.failure, 1.0)
    assert not (tmp_path / "rescued.jsonl").exists()


def test_answers_are_rescued_elsewhere_where_the_run_cannot_be_written(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rescued = RescuedAnswers(tmp_path / "no such folder", "uid7")
    error = rescued.keep([answer(1, Outcome((1.0,)))], OSError("full"))
    assert f"al-loop-rescued-{os.geteuid()}/uid7.jsonl" in str(error)
    assert RescuedAnswers(tmp_path / "no such folder", "another campaign").restore(ledger) == 0
    assert rescued.restore(ledger) == 1


def test_answers_that_can_be_kept_nowhere_are_at_least_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    error = RescuedAnswers(tmp_path / "none", "uid").keep([answer(1, Outcome((1.25,)))], OSError("full"))
    assert "could not be saved anywhere" in str(error)
    assert '"values": [1.25]' in str(error)


def test_a_rescued_line_that_was_cut_off_does_not_stop_the_others(ledger: Ledger, tmp_path: Path) -> None:
    rescued = RescuedAnswers(tmp_path, "uid")
    rescued.keep([answer(1, Outcome((1.0,))), answer(2, Outcome((2.0,)))], OSError("full"))
    file = tmp_path / "rescued.jsonl"
    file.write_text(file.read_text()[:-20])
    assert rescued.restore(ledger) == 1


def test_an_answer_glued_to_a_line_that_was_cut_off_is_restored_and_the_rest_is_set_aside(
    ledger: Ledger, tmp_path: Path
) -> None:
    rescued = RescuedAnswers(tmp_path, "uid")
    rescued.put_beside([answer(1, Outcome((1.0,)))])
    file = tmp_path / "rescued.jsonl"
    whole = file.read_text()
    file.write_text(whole[:40] + whole + "\xff\n" + whole[:-9])
    RescuedAnswers(tmp_path, "uid").put_beside([answer(2, Outcome((2.0,)))])  # begins a line of its own
    notes: list[str] = []
    assert RescuedAnswers(tmp_path, "uid").restore(ledger, notes.append) == 2
    assert [e.values for e in ledger.evaluations()] == [(1.0,), (2.0,)]
    aside = [json.loads(line)["line"] for line in (tmp_path / "rescued-set-aside.jsonl").read_text().splitlines()]
    assert aside == [whole[:40], "\xff", whole[:-9].rstrip("\n")]
    assert "rescued-set-aside.jsonl" in notes[0]
    assert not file.exists()


def test_answers_that_the_ledger_has_already_differently_are_set_aside(ledger: Ledger, tmp_path: Path) -> None:
    ledger.commit_answers([answer(1, Outcome((5.0,)))])
    rescued = RescuedAnswers(tmp_path, "uid")
    rescued.put_beside([answer(1, Outcome((1.0,))), answer(99, Outcome((1.0,))), answer(2, Outcome((2.0,)))])
    assert rescued.restore(ledger) == 1
    problems = [json.loads(line)["problem"] for line in (tmp_path / "rescued-set-aside.jsonl").read_text().splitlines()]
    assert problems == ["candidate 1 already has an answer", "candidate 99 is not in the ledger"]


# -- files that somebody else could have written

PLANTED = (
    '{"candidate_id": 1, "outcome": {"values": [99.0], "failure": null, "cost": 1.0, "info": {}, "noise": null}, '
    '"worker": "w", "started": "2026-11-03T12:00:00+00:00", "finished": "2026-11-03T12:00:00+00:00"}\n'
)


@pytest.mark.parametrize("how", ["in the shared folder", "as a link", "as another user", "with two names", "a folder"])
def test_planted_answers_are_not_believed_and_are_reported(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    shared, run = tmp_path / "tmp", tmp_path / "run"
    shared.mkdir()
    run.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    elsewhere = shared / "elsewhere"
    elsewhere.write_text(PLANTED)
    own = shared / f"al-loop-rescued-{os.geteuid()}"
    own.mkdir()
    if how == "in the shared folder":
        (shared / "al-loop-rescued-uid.jsonl").write_text(PLANTED)
    if how == "as a link":
        (run / "rescued.jsonl").symlink_to(elsewhere)
    if how == "as another user":
        own.rmdir()
        own.symlink_to(shared)
        (shared / "uid.jsonl").write_text(PLANTED)
    if how == "with two names":
        os.link(elsewhere, run / "rescued.jsonl")
    if how == "a folder":
        (run / "rescued.jsonl").mkdir()
    notes: list[str] = []
    assert RescuedAnswers(run, "uid").restore(ledger, notes.append) == 0
    assert ledger.evaluations() == []
    assert len(notes) == 1
    assert "\n" not in notes[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")
def test_answers_of_another_user_are_not_believed(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run, own = tmp_path / "run", tmp_path / "al-loop-rescued-0"
    run.mkdir()
    own.mkdir(mode=0o777)
    for path in (run / "rescued.jsonl", own / "uid.jsonl"):
        path.write_text(PLANTED)
        os.chown(path, 12345, 12345)
    notes: list[str] = []
    assert RescuedAnswers(run, "uid").restore(ledger, notes.append) == 0
    assert [note for note in notes if "belongs to user 12345" in note] == notes
    assert len(notes) == 2
    os.chown(own, 12345, 12345)
    error = RescuedAnswers(tmp_path / "none", "uid").keep([answer(1, Outcome((1.0,)))], OSError("full"))
    assert "could not be saved anywhere" in str(error)


def test_kept_answers_are_for_this_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    RescuedAnswers(tmp_path / "none", "uid").keep([answer(1, Outcome((1.0,)))], OSError("full"))
    (file,) = tmp_path.glob("al-loop-rescued-*/uid.jsonl")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
