import json
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from al_loop import Campaign, open_run
from al_loop.campaign.campaign import public_url
from al_loop.config import load_config, parse_config
from al_loop.errors import ConfigError
from al_loop.ledger import Answer, Ledger
from al_loop.oracles.base import Outcome
from tests.support.project import Notes, Project, enter_project

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch)


def test_a_campaign_measures_every_batch_and_reports_each_round(project: Project) -> None:
    notes = project.run()
    evaluations = open_run(project / "run").evaluations
    assert len(evaluations) == 6 + 2 * 6
    assert evaluations["object"].is_unique
    assert [s.number for s in notes.rounds] == [0, 1, 2]
    assert [s.calls for s in notes.rounds] == [6, 12, 18]
    assert notes.rounds[-1].best == evaluations["measure"].max()
    assert set(notes.rounds[1].seconds) == {"fit", "train", "select", "evaluate"}
    assert all(0 < share <= 1 for share in open_run(project / "run").rounds["oracle_utilisation"])
    later = evaluations[evaluations["round"] > 0]
    assert later["predicted_mean"].notna().all()
    assert (later["predicted_std"] > 0).all()


def test_minimising_turns_the_campaign_round(project: Project) -> None:
    up = project.run("rounds.count=4", run_dir="up").rounds[-1]
    down = project.run("rounds.count=4", "goal=minimise", run_dir="down").rounds[-1]
    assert down.top10_mean < up.top10_mean
    assert down.best == 0


def test_a_finished_campaign_runs_again_without_a_call(project: Project) -> None:
    project.run()
    project.set_oracle("def measure(word):\n    raise RuntimeError('called again')\n")
    before = project.objects()
    project.run()
    assert project.objects() == before


def test_a_finished_campaign_goes_on_with_more_rounds_as_if_it_had_been_longer(project: Project) -> None:
    project.run()
    project.run("rounds.count=3")
    project.run("rounds.count=3", run_dir="at_once")
    assert project.objects() == project.objects("at_once")
    assert len(project.objects()) == 24


def test_a_damaged_checkpoint_costs_the_weights_and_no_measurement(project: Project) -> None:
    project.run()
    before = project.objects()
    (project / "run/checkpoints/round-00002.pt").write_bytes(b"not a checkpoint")
    notes = project.run("rounds.count=3")
    assert project.objects()[: len(before)] == before
    assert len(project.objects()) == 24
    assert any("checkpoint" in note and "no measurement is lost" in note for note in notes.notes)


def test_a_campaign_whose_run_directory_is_lost_goes_on_from_its_ledger_and_checkpoints(project: Project) -> None:
    elsewhere = (f"ledger=sqlite:///{project.folder}/elsewhere.db", f"checkpoints=memory://{project.folder.name}")
    project.run(*elsewhere)
    shutil.rmtree(project / "run")
    project.run(*elsewhere, "rounds.count=4", run_dir="another")
    project.run("rounds.count=4", run_dir="at_once")
    with Ledger(f"sqlite:///{project.folder}/elsewhere.db") as ledger:
        assert [c.object for c in ledger.candidates()] == project.objects("at_once")
    assert not list((project / "another").rglob("*.pt"))


def test_a_campaign_that_people_answer_goes_on_by_itself_when_they_do(project: Project) -> None:
    settings = ["oracle={kind: human, objectives: [g]}", "rounds.close_share=0.5"]
    notes = Notes()
    campaign = Campaign(load_config(project.config, settings), project / "run", reporter=notes)
    thread = threading.Thread(target=campaign.run, daemon=True)
    thread.start()
    with project.ledger() as ledger:
        told: set[int] = set()
        deadline = time.monotonic() + 600
        while thread.is_alive():
            assert time.monotonic() < deadline
            now = datetime.now(UTC)
            new = [c for c in ledger.pending() if c.id not in told][:4]
            told |= {c.id for c in new}
            ledger.commit_told([Answer(c.id, Outcome((c.object.count("G"),)), "me", now, now) for c in new], [], {})
            time.sleep(0.1)
        assert len(ledger.evaluations()) == 18
    thread.join()
    campaign.close()
    assert "6 objects await measurement" in notes.notes[0]
    assert len(notes.rounds) == 3


def test_a_campaign_that_people_answer_advances_a_batch_at_a_time(project: Project) -> None:
    settings = ["oracle={kind: human, objectives: [g]}", "rounds.count=1"]

    def advance() -> int:
        with Campaign(load_config(project.config, settings), project / "run") as campaign:
            return campaign.advance()

    assert advance() == 6
    assert advance() == 6, "nobody has answered yet"
    with project.ledger() as ledger:
        now = datetime.now(UTC)
        for n_expected in (6, 0):
            answers = [Answer(c.id, Outcome((c.object.count("G"),)), "me", now, now) for c in ledger.pending()]
            ledger.commit_told(answers, [], {})
            assert advance() == n_expected
        assert [r.closed is not None for r in ledger.rounds()] == [True, True]


def test_the_ledger_of_another_campaign_is_refused(project: Project) -> None:
    project.run("rounds.count=0")
    with pytest.raises(ConfigError, match=r"seed.*--run-dir"):
        project.run("rounds.count=0", "seed=2")


def test_a_run_directory_that_cannot_be_written_is_refused_before_anything_is_paid(project: Project) -> None:
    (project / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write to the run directory"):
        project.run(run_dir="file/run")


def test_a_second_process_on_the_same_run_is_refused(project: Project) -> None:
    with (
        Campaign(load_config(project.config), project / "run"),
        pytest.raises(ConfigError, match=rf"running already \(pid {os.getpid()}"),
    ):
        project.run()


@pytest.mark.parametrize(
    ("ledger", "pointer"),
    [
        ("postgresql+psycopg://me:secret@host/db", "postgresql+psycopg://me@host/db"),
        (
            "postgresql+psycopg://me@host/db?password=secret&sslmode=require",
            "postgresql+psycopg://me@host/db?sslmode=require",
        ),
        ("postgresql+psycopg://me:${LAB_PW}@host/db", "postgresql+psycopg://me:${LAB_PW}@host/db"),
    ],
)
def test_a_password_does_not_reach_the_run_directory(ledger: str, pointer: str, tmp_path: Path) -> None:
    space = {"kind": "sequence", "alphabet": "AC", "length": 2}
    config = parse_config({"name": "x", "environment": space, "oracle": "human", "ledger": ledger})
    assert public_url(config, tmp_path) == pointer


def test_a_script_without_a_main_guard_runs_a_campaign(project: Project) -> None:
    script = project / "script.py"
    script.write_text(
        "from al_loop import Campaign, load_config\n"
        "with Campaign(load_config('tiny.yaml', ['rounds.count=0']), 'run') as campaign:\n"
        "    campaign.run()\n"
        "print('done')\n"
    )
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.stdout == "done\n", done.stderr
    assert json.loads((project / "run/campaign.json").read_text())["ledger"].startswith("sqlite:///")


def test_the_config_of_a_run_can_be_read_back(project: Project) -> None:
    project.start("rounds.count=1", "stop.no_progress=5")
    kept = open_run(project / "run").config
    assert json.loads(json.dumps(kept))["stop"]["no_progress"] == 5
    (project / "again.yaml").write_text(yaml.safe_dump(kept))
    assert load_config("again.yaml").stop.no_progress == 5
