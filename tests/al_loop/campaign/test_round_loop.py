import hashlib
from pathlib import Path

import pytest

from al_loop import Campaign, open_run
from al_loop.config import load_config
from al_loop.errors import CampaignError
from tests.support.project import (
    Notes,
    Project,
    enter_project,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch)


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
    project: Project, body: str, kind: str, reason: str
) -> None:
    project.set_oracle(f"def measure(word):\n    if word[0] in 'AC':\n        {body}\n    return word.count('G')\n")
    project.run("rounds.count=1", "evaluation.timeout_s=2", "evaluation.attempts=2")
    evaluations = open_run(project / "run").evaluations
    failed = evaluations["object"].str[0].isin(["A", "C"])
    assert failed.any()
    assert (~failed).any()
    assert (evaluations.loc[failed, "failure"] == kind).all()
    assert evaluations.loc[failed, "reason"].str.contains(reason).all()
    assert evaluations.loc[~failed, "failure"].isna().all()
    assert (evaluations.loc[failed, "attempts"] == (2 if kind == "retryable" else 1)).all()


def test_an_oracle_class_that_answers_too_few_gives_failures(project: Project) -> None:
    module = project.module
    project.set_oracle(
        "from al_loop import Oracle\n"
        "class Short(Oracle):\n"
        "    call_size = 3\n"
        "    def evaluate(self, objects):\n"
        "        yield from [1.0 * len(set(o)) for o in objects[:-1]]\n",
    )
    with pytest.raises(CampaignError, match="the oracle returned 2 answers for 3 objects"):
        project.start(f"oracle.target={module}:Short", "rounds.count=1", "evaluation.workers=1")
    evaluations = open_run(project / "run").evaluations
    assert evaluations["failure"].notna().all()


def test_rounds_that_close_early_leave_stragglers_pending_and_count_them_later(project: Project) -> None:
    project.set_oracle(
        "import time\ndef measure(word):\n"
        "    time.sleep(1.5 if word[0] == 'A' else 0.01)\n    return word.count('G')\n",
    )
    project.run("rounds.close_share=0.5", "rounds.initial=12", "evaluation.workers=3")
    evaluations = open_run(project / "run").evaluations
    assert len(evaluations) == 12 + 12
    assert evaluations["measure"].notna().all()


def test_a_straggler_counts_for_the_round_in_which_it_arrives(project: Project) -> None:
    project.run("rounds.count=0")
    slow, measured = project.objects()[0], project / "measured"
    measured.mkdir()
    project.set_oracle(  # the first object is measured when the seventh is: in the second round
        "import time\nfrom pathlib import Path\n"
        f"MEASURED = Path({str(measured)!r})\n"
        "def measure(word):\n"
        "    (MEASURED / word).touch()\n"
        f"    while word == {slow!r} and len(list(MEASURED.iterdir())) < 7:\n        time.sleep(0.02)\n"
        "    return word.count('G')\n",
    )
    notes = project.run("rounds.close_share=0.8", "evaluation.workers=2", run_dir="again")
    table = open_run(project / "again").evaluations.set_index("object")
    assert table.loc[slow, "round"] == 0
    assert table.loc[slow, "arrived"] > 0
    assert notes.rounds[0].calls == 5
    assert notes.rounds[-1].calls == 18


def test_a_round_closes_when_its_time_is_over(project: Project) -> None:
    project.set_oracle(
        "import time\ndef measure(word):\n"
        "    time.sleep(0.01 if word[0] in 'AC' else 3.0)\n    return word.count('G')\n",
    )
    project.run("rounds.close_after_s=1.0", "rounds.count=1", "evaluation.workers=4", "rounds.initial=8")
    table = open_run(project / "run").evaluations
    assert len(table) == 14
    assert (table["arrived"] > table["round"]).any()


def test_workers_are_kept_busy_while_the_next_batch_is_decided_on(project: Project) -> None:
    project.set_oracle("import time\ndef measure(word):\n    time.sleep(0.3)\n    return word.count('G')\n")
    settings = ("rounds.initial=16", "rounds.batch_size=16", "rounds.count=2", "evaluation.workers=4")
    project.run(*settings, run_dir="patient")
    project.run(*settings, "rounds.keep_busy=true", run_dir="busy")
    patient, busy = (open_run(project / name).evaluations for name in ("patient", "busy"))
    assert len(patient) == len(busy) == 48
    assert (patient["arrived"] == patient["round"]).all()
    assert (busy["arrived"] > busy["round"]).any()
    # of each round at least half, or something new, was known when the next one was decided on
    counts = open_run(project / "busy").rounds["info.n_answers"]
    assert counts[0] == 0
    assert 8 <= counts[1] < counts[2]


def test_a_budget_ends_the_campaign_and_a_larger_one_goes_on(project: Project) -> None:
    notes = Notes()
    with Campaign(load_config(project.config, ["budget.calls=9"]), project / "run", reporter=notes) as campaign:
        campaign.run()
    assert len(open_run(project / "run").evaluations) == 9
    assert any("the budget is spent (9 calls" in note for note in notes.notes)
    now = open_run(project / "run").status()
    assert (now.state, now.reason) == ("stopped", "the budget is spent (9 calls, cost 9)")
    with Campaign(load_config(project.config, []), project / "run"):  # a start that has not decided anything yet
        assert open_run(project / "run").status().state == "unfinished"
    with project.ledger() as ledger:
        assert [len([c for c in ledger.candidates() if c.round == r]) for r in (0, 1)] == [6, 3]
    project.run()
    assert len(open_run(project / "run").evaluations) == 15


def test_a_budget_is_used_up_also_where_rounds_close_early(project: Project) -> None:
    project.set_oracle("import time\ndef measure(word):\n    time.sleep(0.2)\n    return word.count('G')\n")
    settings = ["budget.calls=21", "rounds.keep_busy=true", "rounds.count=5", "evaluation.workers=3"]
    notes = Notes()
    with Campaign(load_config(project.config, settings), project / "run", reporter=notes) as campaign:
        campaign.run()
    assert len(open_run(project / "run").evaluations) == 21
    assert sum("the budget is spent (21 calls" in note for note in notes.notes) == 1
    assert notes.rounds[-1].calls == 21, "the last report counts the last answer"


def test_artifacts_lie_beside_the_ledger_and_are_listed_with_their_checksum(project: Project) -> None:
    project.set_oracle(
        "from al_loop import Outcome\n"
        "def measure(word):\n    return Outcome(values=(1.0 * word.count('G'),), artifacts={'pose.txt': word})\n",
    )
    project.run("rounds.count=0")
    opened = open_run(project / "run")
    files = opened.artifacts.join(opened.candidates["object"])
    assert len(files) == 6
    for row in files.itertuples():
        content = Path(row.path).read_bytes()
        assert content.decode() == row.object
        assert hashlib.sha256(content).hexdigest() == row.sha256


def test_campaigns_share_answers_through_a_cache(project: Project) -> None:
    log = project / "calls.txt"
    project.set_oracle(
        f"def measure(word):\n    open({str(log)!r}, 'a').write(word + '\\n')\n    return word.count('G')\n",
    )
    cache = f"evaluation.cache={project / 'cache.db'}"
    project.run(cache, run_dir="first")
    n_calls = len(log.read_text().split())
    project.run(cache, run_dir="second")
    first, second = (open_run(project / name) for name in ("first", "second"))
    assert second.evaluations["measure"].tolist() == first.evaluations["measure"].tolist()
    assert len(log.read_text().split()) == n_calls == 18
    assert second.status().calls == 0
    assert second.evaluations["cost"].sum() == 0
    assert set(second.facts["from_campaign"]) == {"tiny"}
    project.set_oracle(log.read_text() and (project / f"{project.module}.py").read_text() + "# changed\n")
    project.run(cache, "rounds.count=0", run_dir="third")
    assert len(log.read_text().split()) == n_calls + 6, "changed code may answer otherwise"


def test_a_space_that_is_exhausted_ends_the_campaign(project: Project) -> None:
    notes = Notes()
    config = load_config(project.config, ["environment.length=2", "rounds.count=5"])
    with Campaign(config, project / "run", reporter=notes) as campaign:
        campaign.run()
    assert sorted(project.objects()) == sorted(a + b for a in "ACGU" for b in "ACGU")
    assert any("exhausted" in note for note in notes.notes)
    assert "exhausted" in open_run(project / "run").status().reason
