"""Figures of a run, on a small synthetic campaign."""

from pathlib import Path

import pytest

from al_loop.analysis import Run, open_run
from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Goal, Objective, Outcome
from tests.support.synthetic_run import START, fill


@pytest.mark.parametrize("goal", ["maximise", "minimise"])
def test_progress_draws_every_evaluation_and_the_running_best(tmp_path: Path, goal: Goal) -> None:
    run = open_run(fill(tmp_path / "run", goal=goal))
    figure = run.plot_progress()
    ax = figure.axes[0]
    assert sum(len(c.get_offsets()) for c in ax.collections) == 44  # type: ignore[arg-type]
    lines = {str(line.get_label()): line for line in ax.get_lines()}
    table = run.evaluations.dropna(subset=["gap"])
    running = table["gap"].cummax() if goal == "maximise" else table["gap"].cummin()
    assert list(lines["best so far"].get_ydata()) == running.tolist()  # type: ignore[arg-type]
    top = lines["mean of the 10 best"].get_ydata()
    assert top[-1] == pytest.approx(run.best(10)["gap"].mean())  # type: ignore[index]
    assert len(lines["failed (4)"].get_xdata()) == 4  # type: ignore[arg-type]
    assert ax.get_ylabel() == "gap (eV)"
    figure.savefig(tmp_path / "progress.png")
    assert (tmp_path / "progress.png").stat().st_size > 10_000


def test_a_value_far_off_is_drawn_at_the_edge_unless_it_is_the_best(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        objectives = [Objective("score", "kcal/mol", "minimise")]
        ledger.begin_campaign(name="d", config={}, fingerprint="f", seed=0, objectives=objectives, versions={})
        values = [-7.0, -7.5, -8.0, -6.5, 900.0, -7.2, -7.1, -30.0]
        batch = [Proposal(f"C{i}", "random", -7.0, 1.0) for i in range(len(values))]
        for candidate, value in zip(ledger.open_round(0, batch, seed=0, seconds={}, info={}), values, strict=True):
            ledger.commit_answers([Answer(candidate.id, Outcome((value,)), "w", START, START)])
    run = open_run(tmp_path)
    ax = run.plot_progress().axes[0]
    low, high = ax.get_ylim()
    assert low < -30
    assert high < 0
    assert sum(len(c.get_offsets()) for c in ax.collections) == len(values)  # type: ignore[arg-type]
    assert any("2 far beyond the axes" in t.get_text() for t in run.plot_calibration().axes[0].texts)


def test_calibration_shows_the_rank_correlation(tmp_path: Path, run: Run) -> None:
    figure = run.plot_calibration()
    texts = [t.get_text() for t in figure.axes[0].texts]
    table = run.evaluations.dropna(subset=["gap", "predicted_mean"])
    expected = table["gap"].corr(table["predicted_mean"], method="spearman")
    assert any(f"rank correlation {expected:.2f} · n = {len(table)}" in t for t in texts)
    figure.savefig(tmp_path / "calibration.png")
    assert (tmp_path / "calibration.png").stat().st_size > 10_000


def test_a_figure_can_be_drawn_into_given_axes_and_shows_itself_in_a_notebook(run: Run) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert run.plot_progress(left) is figure
    assert run.plot_calibration(right) is figure
    assert run.plot_progress()._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
