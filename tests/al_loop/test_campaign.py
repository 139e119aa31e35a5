import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from al_loop import Campaign, open_run
from al_loop.campaign import public_url
from al_loop.config import load_config
from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import Ledger
from al_loop.progress import Reporter, RoundSummary

CONFIG = """
name: tiny
seed: 1
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "tiny_oracle:measure"}
sampler: {steps: 8, batch_size: 16, hidden: 16, pool: 32}
rounds: {initial: 6, batch_size: 6, count: 2}
evaluation: {workers: 2, timeout_s: 20}
"""
ORACLE = """
def measure(word):
    return word.count("G") + 0.5 * word.count("GA")
"""


class Notes(Reporter):
    def __init__(self) -> None:
        self.rounds: list[RoundSummary] = []
        self.notes: list[str] = []

    def round(self, summary: RoundSummary) -> None:
        self.rounds.append(summary)

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder outside the project, with a config and an oracle of a name of its own."""
    module = f"tiny_oracle_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(ORACLE)
    (tmp_path / "tiny.yaml").write_text(CONFIG.replace("tiny_oracle", module))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def oracle(project: Path, text: str) -> None:
    next(project.glob("tiny_oracle*.py")).write_text(text)


def run(project: Path, *overrides: str, run_dir: str = "run") -> Notes:
    notes = Notes()
    with Campaign(load_config("tiny.yaml", overrides), project / run_dir, reporter=notes) as campaign:
        campaign.run()
        assert campaign.is_finished
    return notes


def objects(project: Path, run_dir: str = "run") -> list[str]:
    with Ledger(f"sqlite:///{project / run_dir}/ledger.db") as ledger:
        return [c.object for c in ledger.candidates()]


def test_a_campaign_measures_every_batch_and_reports_each_round(project: Path) -> None:
    notes = run(project)
    evaluations = open_run(project / "run").evaluations
    assert len(evaluations) == 6 + 2 * 6
    assert evaluations["object"].is_unique
    assert [s.number for s in notes.rounds] == [0, 1, 2]
    assert [s.calls for s in notes.rounds] == [6, 12, 18]
    assert notes.rounds[-1].best == evaluations["measure"].max()
    assert set(notes.rounds[1].seconds) == {"fit", "train", "select", "evaluate"}
    later = evaluations[evaluations["round"] > 0]
    assert later["predicted_mean"].notna().all()
    assert (later["predicted_std"] > 0).all()


def test_minimising_turns_the_campaign_round(project: Path) -> None:
    up = run(project, "rounds.count=4", run_dir="up").rounds[-1]
    down = run(project, "rounds.count=4", "goal=minimise", run_dir="down").rounds[-1]
    assert down.top10_mean < up.top10_mean
    assert down.best == 0


def test_a_finished_campaign_runs_again_without_a_call(project: Path) -> None:
    run(project)
    oracle(project, "def measure(word):\n    raise RuntimeError('called again')\n")
    before = objects(project)
    run(project)
    assert objects(project) == before


def test_a_finished_campaign_goes_on_with_more_rounds_as_if_it_had_been_longer(project: Path) -> None:
    run(project)
    run(project, "rounds.count=3")
    run(project, "rounds.count=3", run_dir="at_once")
    assert objects(project) == objects(project, "at_once")
    assert len(objects(project)) == 24


def test_a_damaged_checkpoint_costs_the_weights_and_no_measurement(project: Path) -> None:
    run(project)
    before = objects(project)
    (project / "run/checkpoints/round-00002.pt").write_bytes(b"not a checkpoint")
    notes = run(project, "rounds.count=3")
    assert objects(project)[: len(before)] == before
    assert len(objects(project)) == 24
    assert any("checkpoint" in note and "no measurement is lost" in note for note in notes.notes)


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ("raise ValueError('no such word')", "permanent", "ValueError: no such word"),
        ("return float('nan')", "permanent", "finite"),
        ("return 'soon'", "permanent", "number"),
        ("import os; os.kill(os.getpid(), 9)", "retryable", "the worker died"),
        ("import time; time.sleep(60)", "timeout", "no answer within"),
    ],
)
def test_an_oracle_that_fails_for_some_is_recorded_and_the_campaign_goes_on(
    project: Path, body: str, kind: str, reason: str
) -> None:
    oracle(project, f"def measure(word):\n    if word[0] in 'AC':\n        {body}\n    return word.count('G')\n")
    run(project, "rounds.count=1", "evaluation.timeout_s=2", "evaluation.attempts=2")
    evaluations = open_run(project / "run").evaluations
    failed = evaluations["object"].str[0].isin(["A", "C"])
    assert failed.any()
    assert (~failed).any()
    assert (evaluations.loc[failed, "failure"] == kind).all()
    assert evaluations.loc[failed, "reason"].str.contains(reason).all()
    assert evaluations.loc[~failed, "failure"].isna().all()
    assert (evaluations.loc[failed, "attempts"] == (2 if kind == "retryable" else 1)).all()


def test_an_oracle_class_that_answers_too_few_gives_failures(project: Path) -> None:
    module = next(project.glob("tiny_oracle*.py")).stem
    oracle(
        project,
        "from al_loop import Oracle\n"
        "class Short(Oracle):\n"
        "    call_size = 3\n"
        "    def evaluate(self, objects):\n"
        "        yield from [1.0 * len(set(o)) for o in objects[:-1]]\n",
    )
    run(project, f"oracle.target={module}:Short", "rounds.count=1", "evaluation.workers=1")
    evaluations = open_run(project / "run").evaluations
    failed = evaluations[evaluations["failure"].notna()]
    assert 0 < len(failed) < len(evaluations)
    assert failed["reason"].str.contains("no answer").all()


def test_an_oracle_that_fails_for_all_stops_the_campaign_with_the_reason(project: Path) -> None:
    oracle(project, "def measure(word):\n    raise OSError('licence server not reachable')\n")
    with pytest.raises(CampaignError, match=r"any of 6 objects.*licence server not reachable"):
        run(project)
    assert open_run(project / "run").evaluations["failure"].notna().all()


def test_rounds_that_close_early_leave_stragglers_pending_and_count_them_later(project: Path) -> None:
    oracle(
        project,
        "import time\ndef measure(word):\n"
        "    time.sleep(1.5 if word[0] == 'A' else 0.01)\n    return word.count('G')\n",
    )
    run(project, "rounds.close_share=0.5", "rounds.initial=12", "evaluation.workers=3")
    evaluations = open_run(project / "run").evaluations
    assert len(evaluations) == 12 + 12
    assert evaluations["measure"].notna().all()


def test_a_space_that_is_exhausted_ends_the_campaign(project: Path) -> None:
    notes = Notes()
    config = load_config("tiny.yaml", ["environment.length=2", "rounds.count=5"])
    with Campaign(config, project / "run", reporter=notes) as campaign:
        campaign.run()
    assert sorted(objects(project)) == sorted(a + b for a in "ACGU" for b in "ACGU")
    assert any("exhausted" in note for note in notes.notes)


def test_the_ledger_of_another_campaign_is_refused(project: Path) -> None:
    run(project, "rounds.count=0")
    with pytest.raises(ConfigError, match=r"seed.*--run-dir"):
        run(project, "rounds.count=0", "seed=2")


def test_a_run_directory_that_cannot_be_written_is_refused_before_anything_is_paid(project: Path) -> None:
    (project / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write to the run directory"):
        run(project, run_dir="file/run")


def test_a_second_process_on_the_same_run_is_refused(project: Path) -> None:
    with (
        Campaign(load_config("tiny.yaml"), project / "run"),
        pytest.raises(ConfigError, match=rf"running already \(pid {os.getpid()}"),
    ):
        run(project)


def test_constraints_hold_for_every_object_that_is_paid_for(project: Path) -> None:
    run(project, "constraints=[{kind: gc_content, max: 0.5}]")
    assert all(sum(letter in "GC" for letter in word) <= 3 for word in objects(project))


def test_a_password_does_not_reach_the_run_directory() -> None:
    assert public_url("postgresql+psycopg://me:secret@host/db") == "postgresql+psycopg://me@host/db"


def test_molecules_by_default_go_through_morgan_counts_and_scaffolds(project: Path) -> None:
    oracle(project, "def measure(smiles):\n    return smiles.count('N') + smiles.count('n')\n")
    notes = run(
        project,
        "environment={kind: fragments, max_fragments: 3}",
        "constraints=[{kind: qed, min: 0.3}]",
        "rounds.count=1",
        "sampler.steps=3",
    )
    assert notes.rounds[0].new_scaffolds is not None
    assert 0 < notes.rounds[0].diversity < 1
    assert not math.isnan(notes.rounds[1].top10_mean)


def test_a_script_without_a_main_guard_runs_a_campaign(project: Path) -> None:
    script = project / "script.py"
    script.write_text(
        "from al_loop import Campaign, load_config\n"
        "with Campaign(load_config('tiny.yaml', ['rounds.count=0']), 'run') as campaign:\n"
        "    campaign.run()\n"
        "print('done')\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.stdout == "done\n", done.stderr
    assert json.loads((project / "run/campaign.json").read_text())["ledger"].startswith("sqlite:///")
