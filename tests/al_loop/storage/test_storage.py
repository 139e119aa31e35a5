"""What lies beside the ledger: files, answers in need, and what campaigns share."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Failure, Objective, Outcome
from al_loop.storage import ArtifactFolder, Checkpoints, EvaluationCache, RescuedAnswers

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


def test_artifacts_are_written_whole_below_their_candidate(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path / "artifacts")
    kept = folder.save(7, Outcome((1.0,), artifacts={"a.txt": b"one", "b": b""}))
    assert {p.name: p.read_bytes() for p in folder.of(7).iterdir()} == {"a.txt": b"one", "b": b""}
    assert set(kept.artifacts) == {"a.txt", "b"}


def test_an_artifact_that_cannot_be_written_costs_no_value(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    kept = ArtifactFolder(tmp_path / "artifacts").save(7, Outcome((1.0,), artifacts={"a.txt": b"one"}))
    assert (kept.values, dict(kept.artifacts)) == ((1.0,), {})
    assert "a.txt" in str(kept.info["artifacts_lost"])


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
    assert "al-loop-rescued-uid7.jsonl" in str(error)
    assert RescuedAnswers(tmp_path / "no such folder", "another campaign").restore(ledger) == 0
    assert rescued.restore(ledger) == 1


def test_answers_that_can_be_kept_nowhere_are_at_least_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    error = RescuedAnswers(tmp_path / "none", "uid").keep([answer(1, Outcome((1.25,)))], OSError("full"))
    assert "could not be kept anywhere" in str(error)
    assert '"values": [1.25]' in str(error)


def test_a_rescued_line_that_was_cut_off_does_not_stop_the_others(ledger: Ledger, tmp_path: Path) -> None:
    rescued = RescuedAnswers(tmp_path, "uid")
    rescued.keep([answer(1, Outcome((1.0,))), answer(2, Outcome((2.0,)))], OSError("full"))
    file = tmp_path / "rescued.jsonl"
    file.write_text(file.read_text()[:-20])
    assert rescued.restore(ledger) == 1


def cache(path: Path, oracle: str = "o", notes: list[str] | None = None) -> EvaluationCache:
    return EvaluationCache(str(path / "cache.db"), oracle, "mine", (notes if notes is not None else []).append)


def test_a_cache_shares_values_and_invalid_objects_and_says_whose_they_are(tmp_path: Path) -> None:
    first = cache(tmp_path)
    first.add("A", "", Outcome((1.5,), cost=9.0, noise=(0.1,), info={"n": 1}))
    first.add("B", "", Outcome.failed("invalid", "no molecule"))
    for kind in ("permanent", "retryable", "timeout"):
        first.add(f"C{kind}", "", Outcome.failed(kind, "it may pass"))
    names = ["A", "B", "Cpermanent", "Cretryable", "Ctimeout", "D"]
    found = cache(tmp_path).find([(name, "") for name in names])
    assert set(found) == {("A", ""), ("B", "")}
    a = found["A", ""]
    assert (a.values, a.noise, a.cost, a.info) == ((1.5,), (0.1,), 0.0, {"n": 1, "from_campaign": "mine"})
    assert found["B", ""].failure == Failure("invalid", "no molecule")


def test_a_cache_tells_oracles_and_fidelities_apart(tmp_path: Path) -> None:
    cache(tmp_path).add("A", "low", Outcome((1.0,)))
    assert cache(tmp_path).find([("A", "high"), ("A", "")]) == {}
    assert cache(tmp_path, oracle="another").find([("A", "low")]) == {}
    assert cache(tmp_path).find([("A", "low")])["A", "low"].values == (1.0,)


def test_the_first_answer_in_a_cache_stays(tmp_path: Path) -> None:
    one, two = cache(tmp_path), cache(tmp_path)
    one.add("A", "", Outcome((1.0,)))
    two.add("A", "", Outcome((2.0,)))
    assert two.find([("A", "")])["A", ""].values == (1.0,)


def test_a_cache_finds_more_objects_than_one_query_takes(tmp_path: Path) -> None:
    one = cache(tmp_path)
    for i in (0, 600, 1199):
        one.add(f"o{i}", "", Outcome((float(i),)))
    assert len(one.find([(f"o{i}", "") for i in range(1200)])) == 3


def test_a_cache_that_breaks_is_left_out_and_told_once(tmp_path: Path) -> None:
    notes: list[str] = []
    broken = cache(tmp_path, notes=notes)
    broken.add("A", "", Outcome((1.0,)))
    with sqlite3.connect(tmp_path / "cache.db") as connection:
        connection.execute("DROP TABLE al_loop_evaluation_cache")
    assert broken.find([("A", "")]) == {}
    broken.add("B", "", Outcome((1.0,)))
    assert len(notes) == 1
    assert "the campaign goes on" in notes[0]


def test_a_cache_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache.db").write_text("not a database, but long enough to be looked at as one" * 20)
    with pytest.raises(ConfigError, match=r"evaluation\.cache.*cannot be used"):
        cache(tmp_path)
    with pytest.raises(ConfigError):
        EvaluationCache("mysql://host/db", "o", "mine", print)


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "a" / "b") if request.param == "folder" else f"memory://{tmp_path.name}"


def test_the_last_two_checkpoints_are_kept(place: str) -> None:
    checkpoints = Checkpoints(place, "uid")
    for number in range(1, 12):
        checkpoints.save(number, f"state {number}".encode())
    again = Checkpoints(place, "uid")
    assert again.load(11) == b"state 11"
    assert again.load(10) == b"state 10"
    with pytest.raises(FileNotFoundError):
        again.load(9)
    assert again.name(11) == f"{place}/round-00011.pt"


def test_brackets_in_a_folders_name_keep_no_more_checkpoints_than_two(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path / "run [a]"), "uid")
    (tmp_path / "run [a]" / "round-notes.pt").touch()
    for number in range(4):
        checkpoints.save(number, b"state")
    kept = sorted(path.name for path in (tmp_path / "run [a]").iterdir())
    assert kept == ["campaign", "round-00002.pt", "round-00003.pt", "round-notes.pt"]


def test_checkpoints_of_another_campaign_are_not_written_over(place: str) -> None:
    Checkpoints(place, "mine").save(1, b"mine")
    with pytest.raises(ConfigError, match="another campaign"):
        Checkpoints(place, "yours")
    assert Checkpoints(place, "mine").load(1) == b"mine"


@pytest.mark.parametrize("place", ["nowhere://bucket/folder", "/proc/no/folder"])
def test_a_place_for_checkpoints_that_cannot_be_used_is_told_at_once(place: str) -> None:
    with pytest.raises(ConfigError, match=f"checkpoints: {place} cannot be used: "):
        Checkpoints(place, "uid")


def test_a_checkpoint_that_cannot_be_written_is_tried_again_and_then_told(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[str] = []
    checkpoints = Checkpoints(place, "uid", patience_s=0.2, on_wait=waits.append)
    refusing = OSError("no space left")
    monkeypatch.setattr(checkpoints, "_write", lambda path, content: (_ for _ in ()).throw(refusing))
    with pytest.raises(CampaignError, match=r"round-00001\.pt cannot be written \(no space left\)"):
        checkpoints.save(1, b"state")
    assert len(waits) == 1
