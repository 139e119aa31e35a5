"""A person looks at a batch before it goes out."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from al_loop import Campaign, open_run
from al_loop.cli import app
from al_loop.config import Evaluation, load_config
from al_loop.errors import ConfigError
from al_loop.evaluation import EvaluationPool
from al_loop.execution import OracleWorker
from al_loop.ledger import Ledger, Proposal
from al_loop.molecules import canonical_smiles
from al_loop.progress import Reporter
from al_loop.review import Review
from oracles.base import Call, Objective, Outcome

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
    review.replace("CCO", "CCCO", "less volatile")
    review.commit("ada", approve=False)
    assert [(d.action, d.reason) for d in ledger.decisions()] == [
        ("veto", "replaced by CCCO: less volatile"),
        ("pin", "in place of CCO: less volatile"),
    ]


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
        ("CCO,veto,,", "line 2: no reason"),
        ("CCO,delete,x,", "line 2: the action 'delete' is not one of veto, pin, replace"),
        ("CCCC,veto,x,", "line 2: CCCC is not in the batch of round 0"),
        ("CCO,pin,x,", "line 2: pin: CCO was proposed already"),
        ("nonsense,pin,x,", "line 2: pin: 'nonsense' is not a valid object"),
        ("CCO,replace,x,", "line 2: replace needs the other object"),
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
        assert self.gate.wait(20)

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        self.calls += objects
        yield from (Outcome((1.0,)) for _ in objects)

    def close(self) -> None:
        self.gate.set()


@pytest.mark.parametrize("call_size", [1, 3])
def test_what_is_vetoed_while_it_waits_for_a_worker_is_not_measured(ledger: Ledger, call_size: int) -> None:
    worker = Loading()
    pool = EvaluationPool(ledger, [worker], Evaluation(), call_size=call_size)
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
    pool = EvaluationPool(ledger, [], Evaluation())  # people answer
    pool.submit(ledger.pending())
    ledger.decide(0, vetoes={1: "a", 2: "b", 3: "c"}, pins={}, approve=False, by="ada")
    deadline = time.monotonic() + 20
    pool.wait(lambda: time.monotonic() > deadline)
    assert pool.n_open == 0
    pool.close()


def test_without_a_batch_that_waits_there_is_nothing_to_decide(ledger: Ledger) -> None:
    ledger.begin_attempt(1, "w0")
    with pytest.raises(ConfigError, match=r"gone out already; to look at batches first: rounds\.review=true"):
        Review(ledger, canonical_smiles)


class Waiting(Reporter):
    """Calls somebody when the campaign waits for a person."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.looked = 0

    def note(self, message: str) -> None:
        if "waits to be looked at" in message:
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
        assert "no reason is given" in refused.output
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
    deadline = time.monotonic() + 20
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
