"""The best objects are measured again, so that a lucky measurement does not stay the best."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from al_loop import open_run
from al_loop.campaign.round_state import RoundState
from al_loop.config.initial_data import EarlierData
from al_loop.ledger import Candidate, Observation
from al_loop.modelling.fidelities import Fidelities
from al_loop.modelling.objectives import CampaignObjectives
from al_loop.people.imports import open_import
from tests.support.project import CHOOSES_FIDELITIES, FIDELITIES_ORACLE, VALUES_CONFIG, Project, enter_project

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)
#: the n-th measurement of a word has the same noise in each campaign
NOISY_ORACLE = """
import random
from pathlib import Path

CALLS = Path(__file__).with_name("calls.txt")


def measure(word):
    n = CALLS.read_text().split().count(word) if CALLS.exists() else 0
    with CALLS.open("a") as calls:
        calls.write(word + "\\n")
    return word.count("G") + random.Random(f"{word}-{n}").gauss(0, 3)
"""
AGAIN = ("rounds.remeasure=2", "rounds.count=3")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch, oracle=NOISY_ORACLE)


def _calls(project: Project) -> list[str]:
    return (project / "calls.txt").read_text().split()


def _batches(project: Project, run_dir: str) -> list[tuple[int, str, int, str]]:
    with project.ledger(run_dir) as ledger:
        return [(c.round, c.object, c.replicate, c.origin) for c in ledger.candidates()]


def test_a_lucky_object_is_measured_again_and_loses_its_place(project: Project) -> None:
    project.run(*AGAIN, f"evaluation.cache={project / 'cache.db'}")
    run = open_run(project / "run")
    table, candidates = run.evaluations, run.candidates
    again = candidates[candidates["replicate"] > 0]
    assert (again["origin"] == "remeasured").all()
    assert again.groupby("round").size().tolist() == [2, 2, 2]
    assert again["predicted_mean"].notna().all()
    lucky = table["object"].tolist()[int(table["measure"].argmax())]
    assert (table["object"] == lucky).sum() > 1
    best = run.best(1).iloc[0]
    assert best["object"] != lucky
    mean = table.groupby("object")["measure"].mean()
    assert run.results.set_index("object")["measure"].to_dict() == pytest.approx(mean.to_dict())
    assert (best["object"], best["measure"]) == (mean.idxmax(), pytest.approx(mean.max()))
    with project.ledger() as ledger:
        assert (ledger.rounds()[-1].metrics or {})["best"] == pytest.approx(mean.max())
    assert len(run.predictions.query("distance == 'all'")) == 3
    # another campaign of the same oracle takes first measurements from the cache, and asks for the others
    n = len(_calls(project))
    project.run(*AGAIN, f"evaluation.cache={project / 'cache.db'}", run_dir="second")
    second = open_run(project / "second")
    fresh = second.evaluations["worker"] != "cache"
    assert fresh[second.evaluations["replicate"] > 0].all()
    assert len(_calls(project)) - n == fresh.sum()
    project.run(*AGAIN, f"evaluation.cache={project / 'cache.db'}", run_dir="third")
    firsts = [open_run(project / name).evaluations.iloc[:6]["measure"].tolist() for name in ("run", "third")]
    assert firsts[0] == firsts[1]


def test_an_import_is_compared_with_the_first_measurement_of_an_object(project: Project) -> None:
    project.run(*AGAIN)
    table = open_run(project / "run").evaluations
    again = table[table["replicate"] > 0]["object"].iloc[0]
    first = table[(table["object"] == again) & (table["replicate"] == 0)]
    first[["object", "measure"]].to_csv(project / "more.csv", index=False)
    with open_import(project / "run", [EarlierData(file=str(project / "more.csv"))]) as pending:
        assert pending.n_new == 0
        assert any(line.startswith("1 in the ledger already") for line in pending.lines)


def test_a_campaign_that_was_interrupted_measures_the_same_objects_again_within_its_budget(project: Project) -> None:
    project.start(*AGAIN, "budget.calls=20")
    assert len(_calls(project)) == 20
    whole = _batches(project, "run")
    assert [(r, again > 0) for r, _, again, _ in whole][-2:] == [(3, False), (3, True)]
    (project / "calls.txt").unlink()
    for count in range(4):
        project.start("rounds.remeasure=2", f"rounds.count={count}", "budget.calls=20", run_dir="parts")
    assert _batches(project, "parts") == whole


def test_where_nothing_new_is_left_the_best_are_measured_as_often_as_allowed(project: Project) -> None:
    (project / "molecules.csv").write_text("smiles\nCCO\nCCN\nCCCC\nCCF\nc1ccccc1\n")
    pool = f"environment={{kind: pool, file: {project / 'molecules.csv'}}}"
    settings = ("rounds.initial=3", "rounds.batch_size=3", "rounds.remeasure=2", "rounds.replicates=2")
    project.start(pool, *settings, "rounds.count=9")
    batches = _batches(project, "run")
    assert [again > 0 for r, _, again, _ in batches if r == 1] == [False, True, True]
    assert sorted(again for _, _, again, _ in batches) == [0] * 5 + [1] * 5


def test_objects_are_measured_again_at_the_target_fidelity_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = enter_project(tmp_path, monkeypatch, VALUES_CONFIG, FIDELITIES_ORACLE)
    project.start(*CHOOSES_FIDELITIES, "rounds.remeasure=1")
    with project.ledger() as ledger:
        again = [c for c in ledger.candidates() if c.replicate]
    assert again
    assert {c.fidelity for c in again} == {"exact"}


def _state(objectives: CampaignObjectives, rows: Sequence[tuple[str, tuple[float, ...] | None]]) -> RoundState:
    """Return a state in which objects were measured in turn, those without values not yet."""
    candidates = [Candidate(i, 0, i, name, "random") for i, (name, _) in enumerate(rows)]
    observations = [
        Observation(name, values, None, 0, candidate_id=i) for i, (name, values) in enumerate(rows) if values
    ]
    return RoundState(objectives, Fidelities(), [], candidates, observations)


def test_the_best_means_come_first_without_what_waits_or_was_measured_enough() -> None:
    one = CampaignObjectives((0,), ("g",), ("minimise",), bounds=((0, -5.0, None),))
    rows = [("a", (1.0,)), ("a", (5.0,)), ("b", (2.0,)), ("c", (0.0,)), ("c", None), ("d", (-9.0,)), ("e", (4.0,))]
    state = _state(one, rows)
    assert state.to_remeasure(3) == [("b", 1), ("a", 2), ("e", 1)]
    assert state.to_remeasure(2) == [("b", 1), ("e", 1)]
    assert sorted(state.valid_values()) == [(0.0,), (2.0,), (3.0,), (4.0,)]


def test_of_several_objectives_the_front_is_measured_again_first_what_was_measured_least() -> None:
    two = CampaignObjectives((0, 1), ("g", "h"), ("maximise", "maximise"))
    rows = [("a", (9.0, 1.0)), ("a", (7.0, 1.0)), ("b", (1.0, 8.0)), ("c", (0.5, 0.5))]
    assert _state(two, rows).to_remeasure(3) == [("b", 1), ("a", 2)]
