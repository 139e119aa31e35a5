import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from al_loop import Campaign, open_run
from al_loop.campaign.campaign import public_url
from al_loop.campaign.reporter import Reporter
from al_loop.config import load_config
from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import Answer, Ledger
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.oracles.base import Outcome

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
    assert all(0 < share <= 1 for share in open_run(project / "run").rounds["oracle_utilisation"])
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


def test_a_campaign_whose_run_directory_is_lost_goes_on_from_its_ledger_and_checkpoints(project: Path) -> None:
    elsewhere = (f"ledger=sqlite:///{project}/elsewhere.db", f"checkpoints=memory://{project.name}")
    run(project, *elsewhere)
    shutil.rmtree(project / "run")
    run(project, *elsewhere, "rounds.count=4", run_dir="another")
    run(project, "rounds.count=4", run_dir="at_once")
    with Ledger(f"sqlite:///{project}/elsewhere.db") as ledger:
        assert [c.object for c in ledger.candidates()] == objects(project, "at_once")
    assert not list((project / "another").rglob("*.pt"))


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


def test_a_straggler_counts_for_the_round_in_which_it_arrives(project: Path) -> None:
    run(project, "rounds.count=0")
    slow, measured = objects(project)[0], project / "measured"
    measured.mkdir()
    oracle(  # the first object is measured when the seventh is: in the second round
        project,
        "import time\nfrom pathlib import Path\n"
        f"MEASURED = Path({str(measured)!r})\n"
        "def measure(word):\n"
        "    (MEASURED / word).touch()\n"
        f"    while word == {slow!r} and len(list(MEASURED.iterdir())) < 7:\n        time.sleep(0.02)\n"
        "    return word.count('G')\n",
    )
    notes = run(project, "rounds.close_share=0.8", run_dir="again")
    table = open_run(project / "again").evaluations.set_index("object")
    assert table.loc[slow, "round"] == 0
    assert table.loc[slow, "arrived"] > 0
    assert notes.rounds[0].calls == 5
    assert notes.rounds[-1].calls == 18


def test_a_round_closes_when_its_time_is_over(project: Path) -> None:
    oracle(
        project,
        "import time\ndef measure(word):\n"
        "    time.sleep(0.01 if word[0] in 'AC' else 3.0)\n    return word.count('G')\n",
    )
    run(project, "rounds.close_after_s=1.0", "rounds.count=1", "evaluation.workers=4", "rounds.initial=8")
    table = open_run(project / "run").evaluations
    assert len(table) == 14
    assert (table["arrived"] > table["round"]).any()


def test_workers_are_kept_busy_while_the_next_batch_is_decided_on(project: Path) -> None:
    oracle(project, "import time\ndef measure(word):\n    time.sleep(0.3)\n    return word.count('G')\n")
    settings = ("rounds.initial=16", "rounds.batch_size=16", "rounds.count=2", "evaluation.workers=4")
    run(project, *settings, run_dir="patient")
    run(project, *settings, "rounds.keep_busy=true", run_dir="busy")
    patient, busy = (open_run(project / name).evaluations for name in ("patient", "busy"))
    assert len(patient) == len(busy) == 48
    assert (patient["arrived"] == patient["round"]).all()
    assert (busy["arrived"] > busy["round"]).any()
    # of each round at least half, or something new, was known when the next one was decided on
    counts = open_run(project / "busy").rounds["info.n_answers"]
    assert counts[0] == 0
    assert 8 <= counts[1] < counts[2]


def test_what_was_known_when_a_batch_was_decided_on_can_be_read_from_the_ledger(project: Path) -> None:
    run(project, "rounds.close_share=0.5", "evaluation.workers=3")
    with Ledger(f"sqlite:///{project / 'run'}/ledger.db") as ledger:
        second = ledger.rounds()[1]
        known = ledger.observations(until=second.info["n_answers"])
        assert 3 <= len(known) <= 6
        assert all(o.round == 0 for o in known)


def test_a_budget_ends_the_campaign_and_a_larger_one_goes_on(project: Path) -> None:
    notes = Notes()
    with Campaign(load_config("tiny.yaml", ["budget.calls=9"]), project / "run", reporter=notes) as campaign:
        campaign.run()
    assert len(open_run(project / "run").evaluations) == 9
    assert any("the budget is spent (9 calls" in note for note in notes.notes)
    now = open_run(project / "run").status()
    assert (now.state, now.reason) == ("stopped", "the budget is spent (9 calls, cost 9)")
    with Campaign(load_config("tiny.yaml", []), project / "run"):  # a start that has not decided anything yet
        assert open_run(project / "run").status().state == "unfinished"
    with Ledger(f"sqlite:///{project / 'run'}/ledger.db") as ledger:
        assert [len([c for c in ledger.candidates() if c.round == r]) for r in (0, 1)] == [6, 3]
    run(project)
    assert len(open_run(project / "run").evaluations) == 15


def test_a_budget_is_used_up_also_where_rounds_close_early(project: Path) -> None:
    oracle(project, "import time\ndef measure(word):\n    time.sleep(0.2)\n    return word.count('G')\n")
    settings = ["budget.calls=21", "rounds.keep_busy=true", "rounds.count=5", "evaluation.workers=3"]
    notes = Notes()
    with Campaign(load_config("tiny.yaml", settings), project / "run", reporter=notes) as campaign:
        campaign.run()
    assert len(open_run(project / "run").evaluations) == 21
    assert sum("the budget is spent (21 calls" in note for note in notes.notes) == 1
    assert notes.rounds[-1].calls == 21, "the last report counts the last answer"


def test_an_oracle_of_several_values_needs_to_be_told_which_to_optimise(project: Path) -> None:
    oracle(
        project,
        "from al_loop import Objective\n"
        "def measure(word):\n    return word.count('G'), word.count('A')\n"
        "measure.objectives = (Objective('g'), Objective('a', 'mol', 'minimise'))\n",
    )
    with pytest.raises(ConfigError, match=r"optimise: missing; .*: g, a"):
        run(project)
    with pytest.raises(ConfigError, match="optimise: 'b' is not one of the values"):
        run(project, "optimise=b")
    notes = run(project, "optimise=a")
    opened = open_run(project / "run")
    table = opened.evaluations
    assert {"g", "a"} <= set(table.columns)
    assert (opened.objective.name, opened.objective.goal) == ("a", "minimise")
    assert notes.rounds[-1].best == table["a"].min()
    assert opened.best(1)["a"].iloc[0] == table["a"].min()


def test_noise_that_the_oracle_states_reaches_the_model_and_the_table(project: Path) -> None:
    oracle(
        project,
        "from al_loop import Outcome\n"
        "def measure(word):\n    return Outcome(values=(word.count('G'),), noise=(0.5 + word.count('A'),))\n",
    )
    run(project, "rounds.count=1")
    table = open_run(project / "run").evaluations
    assert (table["measure_std"] == 0.5 + table["object"].str.count("A")).all()
    run(project, "rounds.count=1", run_dir="again")
    with_noise = open_run(project / "again").evaluations["predicted_mean"]
    oracle(project, "def measure(word):\n    return word.count('G')\n")
    run(project, "rounds.count=1", run_dir="silent")
    without = open_run(project / "silent").evaluations["predicted_mean"]
    assert with_noise.dropna().tolist() != without.dropna().tolist()


def test_artifacts_lie_beside_the_ledger_and_are_listed_with_their_checksum(project: Path) -> None:
    oracle(
        project,
        "from al_loop import Outcome\n"
        "def measure(word):\n    return Outcome(values=(1.0 * word.count('G'),), artifacts={'pose.txt': word})\n",
    )
    run(project, "rounds.count=0")
    opened = open_run(project / "run")
    files = opened.artifacts.join(opened.candidates["object"])
    assert len(files) == 6
    for row in files.itertuples():
        content = Path(row.path).read_bytes()
        assert content.decode() == row.object
        assert hashlib.sha256(content).hexdigest() == row.sha256


def test_campaigns_share_answers_through_a_cache(project: Path) -> None:
    log = project / "calls.txt"
    oracle(
        project,
        f"def measure(word):\n    open({str(log)!r}, 'a').write(word + '\\n')\n    return word.count('G')\n",
    )
    cache = f"evaluation.cache={project / 'cache.db'}"
    run(project, cache, run_dir="first")
    n_calls = len(log.read_text().split())
    run(project, cache, run_dir="second")
    first, second = (open_run(project / name) for name in ("first", "second"))
    assert second.evaluations["measure"].tolist() == first.evaluations["measure"].tolist()
    assert len(log.read_text().split()) == n_calls == 18
    assert second.status().calls == 0
    assert second.evaluations["cost"].sum() == 0
    assert set(second.facts["from_campaign"]) == {"tiny"}
    oracle(project, log.read_text() and next(project.glob("tiny_oracle*.py")).read_text() + "# changed\n")
    run(project, cache, "rounds.count=0", run_dir="third")
    assert len(log.read_text().split()) == n_calls + 6, "changed code may answer otherwise"


def test_a_campaign_that_people_answer_goes_on_by_itself_when_they_do(project: Path) -> None:
    settings = ["oracle={kind: human, objectives: [g]}", "rounds.close_share=0.5"]
    notes = Notes()
    campaign = Campaign(load_config("tiny.yaml", settings), project / "run", reporter=notes)
    thread = threading.Thread(target=campaign.run, daemon=True)
    thread.start()
    with Ledger(f"sqlite:///{project / 'run'}/ledger.db") as ledger:
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


def test_a_campaign_that_people_answer_advances_a_batch_at_a_time(project: Path) -> None:
    settings = ["oracle={kind: human, objectives: [g]}", "rounds.count=1"]

    def advance() -> int:
        with Campaign(load_config("tiny.yaml", settings), project / "run") as campaign:
            return campaign.advance()

    assert advance() == 6
    assert advance() == 6, "nobody has answered yet"
    with Ledger(f"sqlite:///{project / 'run'}/ledger.db") as ledger:
        now = datetime.now(UTC)
        for n_expected in (6, 0):
            answers = [Answer(c.id, Outcome((c.object.count("G"),)), "me", now, now) for c in ledger.pending()]
            ledger.commit_told(answers, [], {})
            assert advance() == n_expected
        assert [r.closed is not None for r in ledger.rounds()] == [True, True]


def test_a_space_that_is_exhausted_ends_the_campaign(project: Path) -> None:
    notes = Notes()
    config = load_config("tiny.yaml", ["environment.length=2", "rounds.count=5"])
    with Campaign(config, project / "run", reporter=notes) as campaign:
        campaign.run()
    assert sorted(objects(project)) == sorted(a + b for a in "ACGU" for b in "ACGU")
    assert any("exhausted" in note for note in notes.notes)
    assert "exhausted" in open_run(project / "run").status().reason


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


@pytest.mark.parametrize(
    "part",
    [
        "selector={kind: sequential}",
        "selector={kind: dpp}",
        "selector={kind: leader}",
        "selector={kind: local_penalisation}",
        "selector={kind: mixed, share: 0.5, by: uncertainty}",
        "acquisition={kind: log_ei}",
        "acquisition={kind: pi}",
        "acquisition={kind: qlognei}",
        "acquisition={kind: qlogei}",
        "acquisition={kind: thompson}",
        "acquisition={kind: max_value_entropy}",
        "acquisition={kind: knowledge_gradient}",
    ],
)
def test_every_acquisition_and_selector_runs_a_campaign_also_with_pending_objects(project: Path, part: str) -> None:
    run(project, part, "rounds.close_share=0.6", "sampler.steps=3")
    assert len(set(objects(project))) == 18


def test_a_quota_of_scaffolds_holds_in_each_batch(project: Path) -> None:
    from al_loop.monitoring.metrics import scaffold

    oracle(project, "def measure(smiles):\n    return smiles.count('N')\n")
    settings = ("environment={kind: fragments, max_fragments: 2}", "rounds.count=2", "sampler.steps=5")
    run(project, *settings, "selector={kind: scaffold_quota, per_scaffold: 1}")
    candidates = open_run(project / "run").candidates
    for _, batch in candidates[candidates["round"] > 0].groupby("round"):
        assert batch["object"].map(scaffold).is_unique


def test_a_script_without_a_main_guard_runs_a_campaign(project: Path) -> None:
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
