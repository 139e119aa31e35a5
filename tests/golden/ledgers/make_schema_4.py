"""Script that wrote ``schema_4.db`` at commit 9dda6e4: a campaign with every kind of row of ledger schema 4.

It runs on that commit only, as ``PYTHONPATH=.:tests/golden python tests/golden/ledgers/make_schema_4.py FOLDER``, and
documents the fixture, which is never regenerated. Later schemas get fixtures of their own.
"""

import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from al_loop.ledger import Answer, Ledger, Proposal
from oracles.base import Objective, Outcome

BEGAN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
OBJECTIVES = (Objective("affinity", "kcal/mol", "minimise"), Objective("solubility", "mg/mL"))
CONFIG = {
    "name": "schema-4",
    "seed": 2**100 + 7,
    "environment": {"kind": "fragments", "target": None},
    "oracle": {"kind": "human", "target": None, "objectives": ["affinity", "solubility"]},
    "optimise": "affinity",
    "rounds": {"count": 2, "batch_size": 3, "initial": 9, "review": True},
}


def answer(candidate: int, outcome: Outcome, worker: str = "worker-0") -> Answer:
    started = BEGAN + timedelta(minutes=candidate)
    return Answer(candidate, outcome, worker, started, started + timedelta(seconds=1.25))


def begin(ledger: Ledger, **changes: object) -> bool:
    """Record a start of the process; the second start has a different number of rounds."""
    return ledger.begin_campaign(
        name="schema-4",
        config={**CONFIG, **changes},
        fingerprint="0123456789abcdef",
        seed=CONFIG["seed"],
        objectives=OBJECTIVES,
        versions={"al-loop": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
    )


def fill(ledger: Ledger) -> None:
    """Write three rounds: the first closed, the second with a straggler, the third awaiting review."""
    assert begin(ledger)
    names = ["CCO", "CCN", "c1ccccc1", "CC(=O)O", "CCCC", "not a molecule", "CCCl", "C" * 3000, "Größe µ"]
    first = [Proposal(name, "random", fidelity="exact") for name in names]
    first.append(Proposal("CCO", "random", fidelity="rough"))
    ledger.open_round(
        0, first, seed=2**120 + 1, seconds={"select": 0.5}, info={"n_answers": 0, "fidelities": ["rough", "exact"]}
    )
    ledger.begin_attempts([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "worker-0")
    ledger.begin_attempt(2, "worker-1")  # called again
    artifacts = {"pose.pdbqt": b"ATOM", "log.txt": b""}
    outcomes = {
        1: Outcome((-7.25, 1.5), cost=2.5, info={"seed": 3, "note": "Größe"}, noise=(0.5, 0.25), artifacts=artifacts),
        2: Outcome((-8.0, 0.1), cost=1.0),
        3: Outcome((-1e-300, 1e300)),
        4: Outcome.failed("permanent", "ValueError: no charges"),
        5: Outcome.failed("retryable", "the licence server did not answer"),
        6: Outcome.failed("invalid", "not a molecule"),
        7: Outcome.failed("timeout", "no answer within 60 s"),
        8: Outcome((-6.0, 0.0), cost=0.0, info={"from_campaign": "another"}),
        10: Outcome((-7.0, 1.0), cost=0.25),
    }
    assert ledger.commit_answers([answer(i, outcome) for i, outcome in outcomes.items()]) == [None] * len(outcomes)
    ledger.close_round(
        0, metrics={"best": -8.0, "top10_mean": None, "predictions": {}, "alarms": {}}, seconds={"evaluate": 9.0}
    )

    second = [
        Proposal("CCS", "sampler", -7.5, 0.75, 1.25, "exact"),
        Proposal("CCF", "sampler", -7.0, 1.5, 1.0, "exact"),
        Proposal("CCBr", "random", None, None, None, "rough"),
    ]
    info = {
        "n_answers": 9,
        "predicted": {"mean": [[-7.5, 1.0]], "std": [[0.75, 0.5]]},
        "forecast": {"low": -9.0, "high": -8.0},
    }
    ledger.open_round(1, second, seed=7, seconds={"fit": 1.0, "train": 2.0, "select": 0.5}, info=info)
    ledger.decide(
        1,
        vetoes={12: "too volatile"},
        pins={"CCI": "for comparison"},
        approve=True,
        by="ada",
        reason="",
        fidelity="exact",
    )
    ledger.begin_attempts([11, 13, 14], {11: "told", 13: "worker-1", 14: "worker-2"})
    told = answer(11, Outcome((-9.0, 2.0), info={"file": "batch.csv", "operator": "jd"}), "told by ada")
    extra = {"CCOCC": answer(0, Outcome((-5.5, 3.0)), "told by ada")}
    ledger.commit_told([told], [], extra)
    ledger.commit_told([], [answer(11, Outcome((-8.5, 2.0), info={"why": "a typing error"}), "told by bo")], {})
    ledger.commit_told([], [answer(11, Outcome.failed("permanent", "the sample was mixed up"), "told by bo")], {})
    ledger.commit_told([], [answer(4, Outcome((-6.5, 0.5)), "told by bo")], {})  # a failure put right
    metrics = {
        "best": -8.0,
        "rank_correlation": 0.5,
        "predictions": {"affinity": {"n": 1, "rmse": 1.5, "coverage": {"80": 1.0}}},
        "alarms": {"coverage": "the surrogate is too sure of itself"},
    }
    ledger.close_round(1, metrics=metrics, seconds={"evaluate": 1.0})
    assert not begin(ledger, rounds={**CONFIG["rounds"], "count": 3})
    ledger.open_round(
        2,
        [Proposal("CCCO", "pool", -8.25, 0.5, 2.0, "exact"), Proposal("CCCN", "pool", -8.0, 0.5, 1.5, "exact")],
        seed=8,
        seconds={},
        info={},
    )
    ledger.decide(2, vetoes={}, pins={"CCCS": "a wish"}, approve=False, by="bo", fidelity="exact")
    pinned = ledger.candidates()[-1].id
    ledger.decide(2, vetoes={pinned: "a wish withdrawn"}, pins={}, approve=False, by="bo", fidelity="exact")
    ledger.stop("the best value is as good as it was to be")


if __name__ == "__main__":
    socket.gethostname = lambda: "golden"
    folder = Path(sys.argv[1])
    sys.argv = ["al-loop", "run", "campaign.yaml"]
    with Ledger(f"sqlite:///{folder}/schema_4.db") as made:
        fill(made)
    from tests.golden import golden

    golden.query(folder / "schema_4.db", "PRAGMA wal_checkpoint(TRUNCATE)")
    (folder / "schema_4.json").write_text(golden.as_text(golden.dump(folder / "schema_4.db")))
    for table in golden.TABLES:
        golden.call(
            "export", str(folder / "schema_4.db"), "--table", table, "-o", str(folder / f"schema_4_{table}.csv")
        )
