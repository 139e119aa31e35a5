"""A person looks at a batch before it goes out."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from al_loop import Campaign, open_run
from al_loop.analysis import export
from al_loop.campaign.evaluation import EvaluationPool, PoolSettings
from al_loop.campaign.executor import OracleWorker
from al_loop.campaign.reporter import Reporter
from al_loop.cli import app
from al_loop.config import Evaluation, load_config
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger, Proposal
from al_loop.oracles.base import Call, Objective, Outcome
from al_loop.people.review import Review, open_review
from al_loop.smiles import canonical_smiles

CONFIG = """
name: looked_at
environment: {kind: sequence, alphabet: ACGU, length: 5}
oracle: {target: "review_oracle:measure"}
sampler: {steps: 3, batch_size: 8, pool: 32, hidden: 8}
rounds: {count: 1, batch_size: 4, initial: 4, review: true}
evaluation: {workers: 1, timeout_s: 30}
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        objective = Objective("ic50", "nM")
        ledger.begin_campaign(name="t", config={}, fingerprint="f", seed=0, objectives=[objective], versions={})
        batch = [Proposal(o, "sampler", predicted_mean=100.0, predicted_std=10.0) for o in ("CCO", "CCN", "CCC")]
        ledger.open_round(0, batch, seed=0, seconds={}, info={})
        yield ledger


def test_objects_are_named_in_any_spelling_or_by_their_id(ledger: Ledger) -> None:
    review = Review(ledger, canonical_smiles)
    review.veto("OCC", "volatile")
    review.veto("3", "a gas")
    review.pin("C1=CC=CC=C1", "for comparison")
    (pinned,) = review.commit("ada", approve=True)
    assert pinned.object == "c1ccccc1"
    assert [c.object for c in ledger.pending()] == ["CCN", "c1ccccc1"]


def test_a_replacement_is_a_veto_and_a_pin_that_name_each_other(ledger: Ledger) -> None:
    review = Review(ledger, canonical_smiles)
    review.replace("OCC", "OCCC", "less volatile")
    review.commit("ada", approve=False)
    assert [(d.action, d.reason) for d in ledger.decisions()] == [
        ("veto", "replaced by CCCO: less volatile"),
        ("pin", "in place of CCO: less volatile"),
    ]


@pytest.mark.parametrize("reason", ["", "  "])
def test_nothing_is_decided_without_a_reason(ledger: Ledger, reason: str) -> None:
    review = Review(ledger, canonical_smiles)
    for decide in (lambda: review.veto("1", reason), lambda: review.pin("CCS", reason)):
        with pytest.raises(ConfigError, match="a reason is required"):
            decide()
    with pytest.raises(ConfigError, match="a reason is required for CCO"):
        review.replace("1", "CCS", reason)
    assert (review.vetoes, review.pins) == ({}, {})


def test_what_is_said_twice_is_refused(ledger: Ledger) -> None:
    review = Review(ledger, canonical_smiles)
    review.veto("CCO", "volatile")
    with pytest.raises(ConfigError, match="1 has two decisions"):
        review.replace("1", "CCS", "smells")
    review.pin("CCS", "smells good")
    with pytest.raises(ConfigError, match="CCS is pinned twice"):
        review.replace("CCN", "SCC", "a base")
    assert (review.vetoes, review.pins) == ({1: "volatile"}, {"CCS": "smells good"})


def test_an_id_that_is_the_name_of_another_object_is_refused(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.begin_campaign(name="t", config={}, fingerprint="f", seed=0, objectives=[Objective("y")], versions={})
        ledger.open_round(0, [Proposal(o, "sampler") for o in ("2", "7", "3")], seed=0, seconds={}, info={})
        review = Review(ledger, lambda text: text)
        with pytest.raises(ConfigError, match=r"2 matches several candidates: 1 \(2\), 2 \(7\)"):
            review.veto("2", "no")
        review.veto("7", "no")
        review.veto("3", "no")  # the id and the object of the same one
        assert review.vetoes.keys() == {2, 3}


def test_a_batch_that_was_vetoed_whole_still_waits(ledger: Ledger) -> None:
    review = Review(ledger, canonical_smiles)
    for c in review.batch:
        review.veto(c.object, "not today")
    review.commit("ada", approve=False)
    review = Review(ledger, canonical_smiles)
    assert review.batch == []
    review.pin("CCS", "rather this")
    review.commit("ada", approve=True)
    assert [c.object for c in ledger.pending()] == ["CCS"]


def test_a_table_of_decisions_is_taken_in_whole(ledger: Ledger, tmp_path: Path) -> None:
    table = tmp_path / "decisions.csv"
    table.write_text("object,action,reason,new\nCCO,veto,volatile,\nCCN,replace,base,CCS\nc1ccccc1,pin,aromatic,\n")
    review = Review(ledger, canonical_smiles)
    review.read(table)
    review.commit("ada", approve=True)
    assert {c.object for c in ledger.pending()} == {"CCC", "CCS", "c1ccccc1"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("CCO,veto,,", "line 2: a reason"),
        ("CCO,delete,x,", "line 2: the action 'delete' is not one of veto, pin, replace"),
        ("CCCC,veto,x,", "line 2: CCCC is not in the batch of round 0"),
        ("CCO,pin,x,", "line 2: pin: CCO was proposed already"),
        ("nonsense,pin,x,", "line 2: pin: 'nonsense' is not a valid object"),
        ("CCO,replace,x,", "line 2: replace requires the other object"),
        (",veto,x,", "line 2: the object is missing"),
        ("CCO,veto,x,\nOCC,replace,y,CCS", "line 3: OCC has two decisions"),
        ("", "the table has no rows"),
    ],
)
def test_a_row_that_cannot_be_taken_in_is_named(ledger: Ledger, tmp_path: Path, row: str, message: str) -> None:
    table = tmp_path / "decisions.csv"
    table.write_text(f"object,action,reason,new\n{row}\n")
    with pytest.raises(ConfigError, match=message):
        Review(ledger, canonical_smiles).read(table)
    assert ledger.decisions() == []


class Loading(OracleWorker):
    """A worker that begins when it is let; it keeps what it was called with."""

    def __init__(self) -> None:
        self.name = "loading-0"
        self.gate = threading.Event()
        self.calls: list[str] = []

    def start(self) -> None:
        assert self.gate.wait(300)

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        self.calls += objects
        yield from (Outcome((1.0,)) for _ in objects)

    def close(self) -> None:
        self.gate.set()


@pytest.mark.parametrize("call_size", [1, 3])
def test_what_is_vetoed_while_it_waits_for_a_worker_is_not_measured(ledger: Ledger, call_size: int) -> None:
    worker = Loading()
    pool = EvaluationPool(ledger, [worker], PoolSettings(Evaluation(), call_size=call_size))
    pool.submit(ledger.pending())
    ledger.decide(0, vetoes={2: "toxic"}, pins={}, approve=False, by="ada")
    worker.gate.set()
    try:
        pool.wait()
    finally:
        pool.close()
    assert worker.calls == ["CCO", "CCC"]
    assert [o.object for o in ledger.observations()] == ["CCO", "CCC"]


def test_a_campaign_does_not_wait_for_what_was_vetoed(ledger: Ledger) -> None:
    pool = EvaluationPool(ledger, [], PoolSettings(Evaluation()))  # people answer
    pool.submit(ledger.pending())
    ledger.decide(0, vetoes={1: "a", 2: "b", 3: "c"}, pins={}, approve=False, by="ada")
    deadline = time.monotonic() + 120
    pool.wait(lambda: time.monotonic() > deadline)
    assert pool.n_open == 0
    pool.close()


def test_without_a_batch_that_waits_there_is_nothing_to_decide(ledger: Ledger) -> None:
    ledger.begin_attempts([1], "w0")
    with pytest.raises(ConfigError, match=r"without a review; to review batches first, set rounds\.review=true"):
        Review(ledger, canonical_smiles)


def begin(folder: Path, oracle: str) -> None:
    """A run in the folder ``run`` whose first batch waits for a person, with its oracle in a folder of the user's."""
    (folder / "own").mkdir()
    (folder / "own" / "review_oracle_elsewhere.py").write_text("def measure(word):\n    return word.count('G')\n")
    (folder / "own" / "config.yaml").write_text(CONFIG.replace('{target: "review_oracle:measure"}', oracle))
    with Campaign(load_config(folder / "own" / "config.yaml"), folder / "run") as campaign:
        campaign.advance()


def al_loop(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    return f"{result.exit_code} {' '.join(result.output.split())}"


def test_a_pin_that_the_campaign_could_not_learn_from_is_refused(tmp_path: Path) -> None:
    begin(tmp_path, "{kind: human}")
    for name, why in (("GGXGG", "'X' outside 'ACGU'"), ("GGGGGG", "is longer than 5"), ("", "not a valid object")):
        assert why in al_loop("review", str(tmp_path / "run"), "--pin", name, "--reason", "a typo")
    with open_review(tmp_path / "run") as review:
        assert len(review.ledger.candidates()) == 4
        review.pin("GGAGG", "a hunch")
        (pinned,) = review.commit("ada", approve=False)
    assert pinned.origin == "pinned"


def test_people_are_asked_for_what_a_person_has_seen_alone(tmp_path: Path) -> None:
    begin(tmp_path, "{kind: human}")
    run, results = str(tmp_path / "run"), tmp_path / "results.csv"
    waits = "must be reviewed before it is released"
    assert al_loop("ask", run).startswith(f"2 error: round 0 {waits}")
    assert al_loop("review", run, "--veto", "1", "--reason", "no", "--approve").startswith("0 ")
    assert al_loop("ask", run, "-o", str(tmp_path / "batch.csv")).startswith("0 ")
    table = pd.read_csv(tmp_path / "batch.csv")
    assert table["id"].tolist() == [2, 3, 4]
    table.assign(value=[1.0, 2.0, 3.0]).to_csv(results, index=False)
    assert al_loop("tell", run, str(results), "--yes").startswith("0 ")
    for n in ("1", "20"):  # also where more are wanted than wait, nothing further is proposed meanwhile
        assert al_loop("ask", run, "-n", n).startswith(f"2 error: round 1 {waits}")
    with Ledger(f"sqlite:///{run}/ledger.db") as ledger:
        assert ledger.last_round() == 1


def test_the_parts_of_a_run_are_found_from_any_folder_and_decisions_are_exported(tmp_path: Path) -> None:
    begin(tmp_path, '{target: "review_oracle_elsewhere:measure"}')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def command(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "al_loop.cli", *arguments], cwd=elsewhere, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    command("review", str(tmp_path / "run"), "--replace", "1", "GGAGG", "--reason", "a hunch", "--by", "ada")
    command("export", str(tmp_path / "run"), "--table", "decisions")
    table = pd.read_csv(elsewhere / "looked_at_decisions.csv")
    with Ledger(f"sqlite:///{tmp_path}/run/ledger.db") as ledger:
        old = ledger.candidates()[0].object
    assert table[["action", "candidate", "object", "reason", "by"]].to_numpy().tolist() == [
        ["veto", 1, old, "replaced by GGAGG: a hunch", "ada"],
        ["pin", 5, "GGAGG", f"in place of {old}: a hunch", "ada"],
    ]
    for kind in ("csv", "parquet"):
        written = export(tmp_path / "run", kind, tmp_path / f"d.{kind}", "decisions")
        back = pd.read_csv(written) if kind == "csv" else pd.read_parquet(written)
        assert back["object"].tolist() == [old, "GGAGG"]
    with pytest.raises(ConfigError, match="table 'answers' is not one of evaluations, candidates, decisions"):
        export(tmp_path / "run", "csv", tmp_path / "x.csv", "answers")


class Waiting(Reporter):
    """Calls somebody when the campaign waits for a person."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.looked = 0

    def note(self, message: str) -> None:
        if "awaits review" in message:
            threading.Thread(target=self.look).start()

    def look(self) -> None:
        result = CliRunner().invoke(app, ["review", str(self.path)])
        assert result.exit_code == 0, result.output
        with Ledger(f"sqlite:///{self.path}/ledger.db") as ledger:
            assert ledger.attempts() == [] or self.looked
            first = ledger.pending()[0]
        veto = [
            "review",
            str(self.path),
            "--veto",
            str(first.id),
            "--pin",
            "GGGGG"[: 5 - self.looked] + "A" * self.looked,
        ]
        refused = CliRunner().invoke(app, veto)
        assert refused.exit_code != 0
        assert "a reason is required" in refused.output
        result = CliRunner().invoke(app, [*veto, "--reason", "because", "--by", "ada", "--approve"])
        assert result.exit_code == 0, result.output
        self.looked += 1


def test_a_campaign_waits_for_a_person_and_measures_what_was_let_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "review_oracle.py").write_text("def measure(word):\n    return word.count('G')\n")
    (tmp_path / "config.yaml").write_text(CONFIG)
    reporter = Waiting(tmp_path / "run")
    with Campaign(load_config("config.yaml"), tmp_path / "run", reporter=reporter) as campaign:
        campaign.run()
        assert campaign.is_finished
    deadline = time.monotonic() + 600
    while reporter.looked < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert reporter.looked == 2
    run = open_run(tmp_path / "run")
    table, decisions = run.evaluations, run.decisions
    assert len(table) == 8  # of 4 + 4 two were vetoed, and two pinned
    assert {"GGGGG", "GGGGA"} <= set(table["object"])
    assert decisions["action"].tolist() == ["veto", "pin", "approve"] * 2
    assert not set(decisions.loc[decisions["action"] == "veto", "object"]) & set(table["object"])
    assert run.status().pending == 0
    assert run.status().state == "finished"


def test_people_are_asked_for_no_further_batch_while_one_waits_to_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = CONFIG.replace('{target: "review_oracle:measure"}', "{kind: human, objectives: [y]}")
    (tmp_path / "config.yaml").write_text(text)
    for _ in range(2):
        with Campaign(load_config("config.yaml"), tmp_path / "run") as campaign:
            assert campaign.advance() == 4
    with Ledger(f"sqlite:///{tmp_path}/run/ledger.db") as ledger:
        assert ledger.last_round() == 0
        review = Review(ledger, lambda text: text)
        review.commit("ada", approve=True)
        assert ledger.has_gone_out(0)
