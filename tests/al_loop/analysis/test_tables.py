"""The tables of a run."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from al_loop.analysis import Run, open_run
from al_loop.errors import ConfigError
from al_loop.ledger import Answer, Ledger
from al_loop.oracles.base import Goal, Outcome
from tests.support.synthetic_run import START, fill


def test_evaluations_have_a_column_per_objective_and_typed_facts(run: Run) -> None:
    table = run.evaluations
    assert list(table.columns) == [
        "object", "round", "gap", "value_round", "failure", "reason", "cost", "seconds", "started", "finished",
        "worker", "attempts", "number", "arrived", "revision", "predicted_mean", "predicted_std", "origin",
    ]  # fmt: skip
    assert len(table) == 48
    assert table.index.name == "candidate"
    assert table["gap"].isna().sum() == table["failure"].eq("timeout").sum() == 4
    assert table.loc[11, "reason"] == "more than 60 s"
    assert str(table["started"].dtype.tz) == "UTC"  # type: ignore[union-attr]
    assert table.loc[1, "started"] == START + timedelta(seconds=1)
    assert table.loc[1:12, "predicted_mean"].isna().all()
    assert (table["seconds"] == 0.5).all()
    assert run.info.loc[3, "conformer"] == 3


def test_candidates_and_rounds_tell_what_was_proposed_and_how_it_went(run: Run) -> None:
    assert run.candidates["origin"].value_counts().to_dict() == {"sampler": 36, "random": 12}
    rounds = run.rounds
    assert rounds.index.tolist() == [0, 1, 2, 3]
    assert rounds.loc[0, ["proposed", "answered", "failed"]].tolist() == [12, 12, 1]
    assert rounds.loc[1, "top10_mean"] == 1.5
    assert rounds.loc[1, "seconds_fit"] == 1.0
    assert rounds.loc[1, "seconds_oracle"] == 6.0
    assert rounds.loc[1, "info.training.loss"] == 1.5
    assert rounds.loc[1, "seed"] == str(2**70)
    assert rounds["rank"].isna().all()


@pytest.mark.parametrize("goal", ["maximise", "minimise"])
def test_best_respects_the_goal(tmp_path: Path, goal: Goal) -> None:
    run = open_run(fill(tmp_path / "run", goal=goal))
    values = run.evaluations["gap"].dropna()
    expected = values.sort_values(ascending=goal == "minimise").head(3)
    assert run.best(3)["gap"].tolist() == expected.tolist()
    assert run.best(3, objective="round")["value_round"].tolist() == [1.0] * 3
    with pytest.raises(ConfigError, match="'gapp' is not one of gap, round"):
        run.best(3, objective="gapp")


def test_evaluations_are_read_again_after_a_correction_and_belong_to_the_caller(tmp_path: Path) -> None:
    run = open_run(fill(tmp_path / "run"))
    table = run.evaluations
    table.loc[1, "gap"] = -1.0
    assert run.evaluations.loc[1, "gap"] != -1.0
    with Ledger(f"sqlite:///{tmp_path}/run/ledger.db") as ledger:
        correction = Answer(1, Outcome((99.0, 1.0)), "told by ada", START, START)
        ledger.commit_told([], [correction], {})
    assert run.evaluations.loc[1, ["gap", "revision"]].tolist() == [99.0, 1]
    assert run.best(1).index.tolist() == [1]


def test_status_reads_columns_once_and_no_record_for_each_answer(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = run.ledger.read
    monkeypatch.setattr(run.ledger, "read", lambda query: reads.append(query.__name__) or read(query))
    for name in ("evaluations", "candidates", "observations", "attempts"):
        monkeypatch.setattr(run.ledger, name, lambda name=name, **_: pytest.fail(f"{name} was read"))
    run.status()
    repr(run)
    run.best_objects(5)
    assert reads.count("values") == 1
    run.best(10)
    assert len(run.evaluations) == 48
    assert reads.count("evaluations") == 1


def test_the_number_of_queries_of_status_does_not_depend_on_the_number_of_answers(tmp_path: Path) -> None:
    from sqlalchemy import event

    def n_queries(n_rounds: int) -> int:
        run = open_run(fill(tmp_path / f"{n_rounds}", n_rounds=n_rounds))
        statements: list[str] = []

        def count(*arguments: object) -> None:
            statements.append(str(arguments[2]))

        event.listen(sa.Engine, "before_cursor_execute", count)
        repr(run)
        event.remove(sa.Engine, "before_cursor_execute", count)
        return len(statements)

    assert n_queries(1) == n_queries(8)
