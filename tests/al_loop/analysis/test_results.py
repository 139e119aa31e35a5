"""One definition of the best and of the front: results, with every value within its bounds, at the target fidelity."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from al_loop.analysis import Run, open_run
from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Objective, Outcome
from tests.support.command_line import lines
from tests.support.synthetic_run import START

G, C = Objective("g"), Objective("c", goal="minimise")


def _run(folder: Path, rows: Sequence[tuple[float, float]], config: dict[str, Any], **info: Any) -> Path:
    """Write the ledger of one closed round of A, B, ... with the values (g, c)."""
    folder.mkdir(parents=True)
    names = "ABCDEFGH"[: len(rows)]
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="bounded", config=config, fingerprint="f", seed=1, objectives=[G, C], versions={"al-loop": "0"}
        )
        fidelities = info.get("fidelities", [""])
        batch = [Proposal(name, "random", fidelity=fidelities[i % len(fidelities)]) for i, name in enumerate(names)]
        candidates = ledger.open_round(0, batch, seed=0, seconds={}, info=info)
        answers = [
            Answer(c.id, Outcome(row, noise=(0.1, 0.1)), "w", START, START)
            for c, row in zip(candidates, rows, strict=True)
        ]
        ledger.commit_answers(answers)
        ledger.close_round(0, metrics={"calls": len(rows), "hypervolume": 1.5}, seconds={})
    return folder


def _bound(**ends: float) -> dict[str, Any]:
    return {"optimise": "g", "outcome_constraints": [{"objective": "c", **ends}]}


@pytest.mark.parametrize(
    ("bound", "best", "value"),
    [({"min": 3.0}, "A", 2.0), ({"max": 0.5}, "B", 4.0), ({"min": 2.5, "max": 2.75}, "C", 1.0)],
)
def test_the_best_keeps_every_bound_wherever_it_is_shown(
    tmp_path: Path, bound: dict[str, float], best: str, value: float
) -> None:
    folder = _run(tmp_path / "run", [(2.0, 3.0), (4.0, 0.5), (1.0, 2.6)], _bound(**bound))
    run = open_run(folder)
    assert run.best()["object"].tolist()[0] == best
    assert (run.status().best_object, run.status().best_value) == (best, value)
    assert f"best {value:.4g}" in repr(run)
    assert run.evaluations["within_bounds"].sum() == len(run.results)
    _, out, _ = lines("status", str(folder))
    shown = out[out.index("best") + 1]
    assert shown.split() == [f"{value:.3f}", best]


def test_where_none_keeps_the_bounds_every_place_says_so(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run", [(2.0, 0.0), (4.0, 0.5)], _bound(min=3.0))
    run = open_run(folder)
    assert run.best().empty
    assert run.status().best_value is None
    expected = "none of 2 measured objects keeps the bounds (c at least 3)"
    assert expected in repr(run)
    assert expected in run._repr_html_()
    _, out, _ = lines("status", str(folder))
    assert any(expected in line for line in out)
    labels = [line.get_label() for line in run.plot_progress().axes[0].lines]
    assert "does not count (2)" in labels
    assert "best so far" not in labels


def test_the_progress_plot_follows_what_counts(tmp_path: Path) -> None:
    run = open_run(_run(tmp_path / "run", [(2.0, 3.0), (4.0, 0.5), (3.0, 5.0)], _bound(min=3.0)))
    best = next(line for line in run.plot_progress().axes[0].lines if line.get_label() == "best so far")
    assert list(best.get_ydata()) == [2.0, 3.0]  # type: ignore[arg-type]


def test_the_front_keeps_the_bounds_and_both_objectives_are_named(tmp_path: Path) -> None:
    config = {"optimise": ["g", "c"], "outcome_constraints": [{"objective": "g", "max": 3.0}]}
    predicted = {"mean": [[1.0, 2.0]] * 3, "std": [[0.1, 0.2]] * 3}
    folder = _run(tmp_path / "run", [(2.0, 3.0), (4.0, 0.5), (1.0, 1.0)], config, predicted=predicted)
    run = open_run(folder)
    assert run.front()["object"].tolist() == ["A", "C"]
    assert run.status().n_front == 2
    assert run.status().hypervolume == 1.5
    assert "2 objects on the front, hypervolume 1.5" in repr(run)
    assert run.evaluations["predicted_mean_c"].tolist() == [2.0] * 3
    assert "predicted_mean" not in run.evaluations
    assert run.plot_progress().axes[0].get_ylabel() == "hypervolume"
    _, out, _ = lines("status", str(folder))
    assert ["g", "c"] in [line.split() for line in out]
    assert not any("4.000" in line for line in out)


def test_only_the_target_fidelity_counts(tmp_path: Path) -> None:
    config = {"optimise": "g"}
    folder = _run(tmp_path / "run", [(9.0, 0.0), (2.0, 0.0), (8.0, 0.0)], config, fidelities=["low", "high"])
    run = open_run(folder)
    assert run.best()["object"].tolist() == ["B"]
    best = next(line for line in run.plot_progress().axes[0].lines if line.get_label() == "best so far")
    assert list(best.get_ydata()) == [2.0]  # type: ignore[arg-type]


def test_a_forecast_of_a_minimised_value_that_an_early_run_recorded_is_in_order(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run", [(2.0, 3.0)], {"optimise": "c"}, forecast={"low": 6.47, "high": 5.96})
    forecast = open_run(folder).forecasts.iloc[0]
    assert (forecast["low"], forecast["high"]) == (5.96, 6.47)
    assert open_run(folder).rounds.loc[0, "info.forecast.low"] == 5.96


def test_an_early_run_with_colliding_names_still_shows_every_value(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        objectives = [Objective("x"), Objective("x_std")]
        ledger.begin_campaign(
            name="early", config={"optimise": "x"}, fingerprint="f", seed=1, objectives=objectives, versions={}
        )
        (candidate,) = ledger.open_round(0, [Proposal("A", "random")], seed=0, seconds={}, info={})
        ledger.commit_answers([Answer(candidate.id, Outcome((1.0, 100.0), noise=(0.1, 0.2)), "w", START, START)])
    row = Run(folder).evaluations.iloc[0]
    assert (row["x"], row["x_std"], row["x_noise_std"], row["x_std_std"]) == (1.0, 100.0, 0.1, 0.2)


def test_an_object_that_was_measured_again_counts_with_its_mean(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run", [(9.0, 3.0), (4.0, 2.0)], {"optimise": "g"})
    before = open_run(folder)
    assert not {"replicate", "g_sem", "n_measurements"} & {*before.evaluations, *before.best(), *before.candidates}
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        (again,) = ledger.open_round(1, [Proposal("A", "remeasured", replicate=1)], seed=0, seconds={}, info={})
        ledger.commit_answers([Answer(again.id, Outcome((-3.0, 3.0), noise=(0.1, 0.1)), "w", START, START)])
    run = open_run(folder)
    assert run.evaluations["g"].tolist() == [9.0, 4.0, -3.0]
    assert run.evaluations["replicate"].tolist() == run.candidates["replicate"].tolist() == [0, 0, 1]
    best = run.best()
    assert best[["object", "g", "n_measurements"]].to_numpy().tolist() == [["B", 4.0, 1], ["A", 3.0, 2]]
    assert best["g_sem"].tolist()[1] == pytest.approx(6.0)
    assert len(run.results) == 2
    assert run.best_objects(2) == [("B", (4.0,)), ("A", (3.0,))]
    assert (run.status().best_object, run.status().best_value) == ("B", 4.0)
    line = next(line for line in run.plot_progress().axes[0].lines if line.get_label() == "best so far")
    assert list(line.get_ydata()) == [9.0, 9.0, 4.0]  # type: ignore[arg-type]
    front = open_run(_again(folder, tmp_path / "front")).front()
    assert front["object"].tolist() == ["B"]


def _again(folder: Path, copy: Path) -> Path:
    """Return a copy of a run that optimises both values."""
    shutil.copytree(folder, copy)
    with Ledger(f"sqlite:///{copy}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="bounded", config={"optimise": ["g", "c"]}, fingerprint="f", seed=1, objectives=[G, C], versions={}
        )
    return copy
