"""What a run stores is compared with its checksums, copied whole, and what it lost is noticed at the next start."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from al_loop import open_run
from al_loop.ledger import Ledger
from al_loop.oracles.base import Outcome
from al_loop.storage.inspection import back_up, inspect
from al_loop.storage.ledger_head import LedgerHead
from tests.golden.golden import call
from tests.support.ledgers import answer, begin, open_round
from tests.support.project import Project


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project whose campaign has run two rounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend("")
        folder = tmp_path_factory.mktemp("inspected")
        patch.chdir(folder)
        project = Project(folder)
        project.run("rounds.count=2")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a copy of its run, to damage."""
    folder = Path(shutil.copytree(finished.folder, tmp_path / finished.folder.name))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    copy = Project(folder)
    assert copy.module == finished.module
    return copy


def test_an_untouched_run_is_verified_in_one_line(project: Project) -> None:
    code, out, err = call("verify", str(project / "run"))
    assert (code, err) == (0, "")
    assert "rows of the ledger, checkpoints, artifacts: all as they were written" in out


def test_a_copy_of_the_ledger_file_alone_is_the_whole_ledger_after_each_round(project: Project) -> None:
    copy = project / "copy.db"
    shutil.copy(project / "run" / "ledger.db", copy)
    assert not (project / "run" / "ledger.db-wal").exists()
    with open_run(copy) as run:
        assert run.status().answered == 18


def test_a_touched_row_is_named_by_verify_and_refused_by_status_and_run_until_it_is_accepted(project: Project) -> None:
    with sqlite3.connect(project / "run" / "ledger.db") as connection:
        connection.executescript(
            "DROP TRIGGER evaluations_no_update; UPDATE evaluations SET \"values\" = '[99.0]' WHERE candidate_id = 4"
        )
    connection.close()
    run = str(project / "run")
    code, out, _ = call("verify", run)
    assert code == 1
    assert out.startswith("evaluations (candidate_id 4, revision 0): was changed after it was written")
    for command in (("status", run), ("run", str(project.config), "--run-dir", run), ("export", run)):
        code, out, err = call(*command)
        assert code == 1, command
        assert "evaluations (candidate_id 4, revision 0)" in err
        assert "Traceback" not in err
    code, out, _ = call("verify", run, "--accept", "typed it in by hand")
    assert (code, "accepted: 1 finding" in out) == (0, True)
    assert call("verify", run)[0] == 0
    assert call("status", run)[0] == 0


@pytest.mark.parametrize("damage", [b"", b"short", None], ids=["empty", "cut off", "a flipped bit"])
def test_a_damaged_checkpoint_is_named_and_the_campaign_goes_on_from_the_round_before(
    project: Project, damage: bytes | None
) -> None:
    path = project / "run" / "checkpoints" / "round-00002.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if damage is None else damage)
    if damage is None:
        code, out, _ = call("verify", str(project / "run"))
        assert (code, out) == (1, "checkpoints/round-00002.pt: its content differs from what was written\n")
    notes = project.run("rounds.count=3").notes
    (note,) = [note for note in notes if "checkpoint" in note]
    assert "the sampler continues from the round before" in note
    assert "round-00001.pt" in note
    assert len(project.objects()) == 24


def test_a_backup_is_a_run_that_goes_on(project: Project) -> None:
    code, out, _ = call("backup", str(project / "run"), str(project / "kept"))
    assert (code, out) == (0, f"written: {project / 'kept'}\n")
    assert call("verify", str(project / "kept"))[0] == 0
    shutil.rmtree(project / "run")
    code, _, err = call("resume", str(project / "kept"), "rounds.count=3")
    assert code == 0, err
    assert len(project.objects("kept")) == 24
    code, _, err = call("backup", str(project / "kept"), str(project / "kept"))
    assert (code, "exists already" in err) == (2, True)


def test_a_backup_of_a_run_at_work_holds_all_that_was_committed(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/run/ledger.db") as ledger:
        begin(ledger)
        open_round(ledger, 0, "A", "B")
        answer(ledger, 1)
        copy = back_up(str(tmp_path / "run"))
        assert copy.name.startswith("run-backup-")
        with Ledger(f"sqlite:///{copy}/ledger.db", read_only=True) as other:
            assert other.n_answers() == 1


def test_answers_that_a_damaged_write_ahead_log_lost_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    head = LedgerHead(tmp_path)
    ledger = Ledger(f"sqlite:///{path}")
    ledger.watch(head.write)
    begin(ledger)
    open_round(ledger, 0, *(f"C{i}" for i in range(20)))
    ledger.checkpoint()
    for id_ in range(1, 21):
        answer(ledger, id_, Outcome((float(id_),)))
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("ledger.db", "ledger.db-wal", "ledger-head.json"):
        shutil.copy(tmp_path / name, killed)
    ledger.close()
    wal = bytearray((killed / "ledger.db-wal").read_bytes())
    wal[len(wal) // 2] ^= 4
    (killed / "ledger.db-wal").write_bytes(wal)
    with Ledger(f"sqlite:///{killed}/ledger.db") as damaged:
        n_answers = damaged.n_answers()
        assert 0 < n_answers < 20  # the open round's at most, and the first of them are there
        assert damaged.findings() == []
        loss = LedgerHead(killed).compare(damaged)
        assert f"with {n_answers} answers" in loss
        assert "the ledger has lost its last" in loss
        assert inspect(damaged, str(killed)).rows[0].problem == loss
    with Ledger(f"sqlite:///{path}") as whole:
        assert LedgerHead(tmp_path).compare(whole) == ""


def test_a_ledger_that_was_replaced_by_another_is_noticed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with Ledger(f"sqlite:///{tmp_path}/{name}/ledger.db") as ledger:
            ledger.watch(LedgerHead(tmp_path / name).write)
            begin(ledger, name=name)
    shutil.copy(tmp_path / "two" / "ledger.db", tmp_path / "one" / "ledger.db")
    with Ledger(f"sqlite:///{tmp_path}/one/ledger.db") as ledger:
        assert "not the one that this campaign wrote to last" in LedgerHead(tmp_path / "one").compare(ledger)


# -- replay


def test_every_batch_of_a_run_is_made_again_and_a_difference_is_named(project: Project) -> None:
    run = str(project / "run")
    code, out, err = call("verify", run, "--replay")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == [f"round {number}: the same 6 objects" for number in range(3)]
    with sqlite3.connect(project / "run" / "ledger.db") as connection:
        connection.executescript(
            "DROP TRIGGER candidates_no_update; "
            "UPDATE candidates SET object = 'AAAAAA' WHERE round = 2 AND position = 0"
        )
    connection.close()
    assert call("verify", run, "--accept", "for the test")[0] == 0
    code, out, err = call("verify", run, "--replay")
    assert (code, err) == (1, "")
    assert out.splitlines()[-1].startswith("round 2: differs: 1 of 6 objects; ")
    assert out.splitlines()[-1].endswith(" is proposed instead of AAAAAA")


def test_a_run_whose_course_changed_is_made_again_with_the_configs_of_the_time(project: Project) -> None:
    project.run("rounds.count=4", "acquisition={kind: ucb, kappa: 3}", "rounds.batch_size=4", "sampler.steps=6")
    code, out, err = call("verify", str(project / "run"), "--replay")
    assert (code, err) == (0, ""), out
    assert out.splitlines()[-1] == "round 4: the same 4 objects"
