"""A run as tables and figures, on a small synthetic campaign."""

import json
import math
import os
import random
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from al_loop.analysis import Run, export, open_run
from al_loop.errors import ConfigError
from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Goal, Objective, Outcome

ROOT = Path(__file__).parents[3]
START = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


def fill(folder: Path, *, goal: Goal = "maximise", n_rounds: int = 4, batch: int = 12, pending: int = 0) -> Path:
    """A campaign whose values improve round by round; every eleventh object fails."""
    rng = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    sign = 1 if goal == "maximise" else -1
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="demo",
            config={"name": "demo", "rounds": {"count": 3, "batch_size": batch}},
            fingerprint="f",
            seed=1,
            objectives=[Objective("gap", "eV", goal), Objective("round", "")],
            versions={"al-loop": "0.1.0"},
        )
        n = 0
        for number in range(n_rounds):
            proposals, truths = [], []
            for i in range(batch):
                truth = sign * (3 + 0.8 * number + rng.gauss(0, 0.6))
                mean = truth + rng.gauss(0, 0.4) if number else None
                origin = "sampler" if number else "random"
                proposals.append(Proposal(f"<C{number}.{i}>", origin, mean, 0.4 if number else None))
                truths.append(truth)
            info = {"lengthscale": 0.5, "training": {"loss": 1.5}}
            candidates = ledger.open_round(number, proposals, seed=2**70, seconds={"fit": 1.0}, info=info)
            answered = candidates if number + 1 < n_rounds else candidates[: batch - pending]
            for candidate, truth in zip(answered, truths, strict=False):
                n += 1
                ledger.begin_attempts([candidate.id], "w0")
                outcome = Outcome((truth, 1.0), cost=2.0, info={"conformer": n})
                if n % 11 == 0:
                    outcome = Outcome.failed("timeout", "more than 60 s")
                started = START + timedelta(seconds=n)
                finished = started + timedelta(seconds=0.5)
                ledger.commit_answers([Answer(candidate.id, outcome, "w0", started, finished)])
            if len(answered) == batch:
                ledger.close_round(number, metrics={"top10_mean": 1.5, "rank": math.nan}, seconds={"oracle": 6.0})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture
def run(folder: Path) -> Run:
    return open_run(folder)


def test_evaluations_have_a_column_per_objective_and_typed_facts(run: Run) -> None:
    table = run.evaluations
    assert list(table.columns) == [
        "object", "round", "gap", "value_round", "failure", "reason", "cost", "seconds", "started", "finished",
        "worker", "attempts", "number", "arrived", "revision", "predicted_mean", "predicted_std",
    ]  # fmt: skip
    assert len(table) == 48
    assert table.index.name == "candidate"
    assert table["gap"].isna().sum() == table["failure"].eq("timeout").sum() == 4
    assert table.loc[11, "reason"] == "more than 60 s"
    assert str(table["started"].dtype.tz) == "UTC"  # type: ignore[union-attr]
    assert table.loc[1, "started"] == START + timedelta(seconds=1)
    assert table.loc[1:12, "predicted_mean"].isna().all()
    assert (table["seconds"] == 0.5).all()
    assert run.facts.loc[3, "conformer"] == 3


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


def test_status_says_where_the_run_stands(tmp_path: Path, run: Run) -> None:
    status = run.status()
    assert (status.state, status.rounds, status.planned_rounds) == ("finished", 4, 4)
    assert (status.answered, status.failed, status.pending, status.calls) == (48, 4, 0, 48)
    assert status.cost == 2.0 * 44
    assert status.best_value == run.evaluations["gap"].max()
    half = open_run(fill(tmp_path / "half", n_rounds=2, pending=5)).status()
    assert (half.state, half.closed_rounds, half.pending, half.in_flight) == ("unfinished", 1, 5, 0)


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


def test_a_run_without_answers_has_empty_tables_and_figures(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="young", config={}, fingerprint="f", seed=0, objectives=[Objective("gap")], versions={}
        )
        run = open_run(tmp_path)
        assert run.status().state == "not started"
        assert run.evaluations.empty
        assert run.rounds.empty
        assert run.best().empty
        assert run.plot_progress().axes[0].texts[0].get_text() == "nothing measured yet"
        assert "young" in run._repr_html_()
        (only,) = ledger.open_round(0, [Proposal("C", "random")], seed=0, seconds={}, info={})
        failed = Outcome.failed("invalid", "no molecule")
        ledger.commit_answers([Answer(only.id, failed, "w", START, START)])
        assert run.evaluations["failure"].tolist() == ["invalid"]  # the same Run sees what came later
        run.plot_progress()
        run.plot_calibration()


def test_html_escapes_what_the_user_wrote(run: Run) -> None:
    text = run._repr_html_()
    assert "demo" in text
    assert "&lt;C" in text
    assert "<C" not in text
    assert "finished" in repr(run)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_export_round_trip(tmp_path: Path, run: Run, folder: Path, format: str) -> None:
    path = export(folder, format, tmp_path / f"out.{format}")
    back = pd.read_csv(path, parse_dates=["started", "finished"]) if format == "csv" else pd.read_parquet(path)
    expected = run.evaluations.reset_index()
    pd.testing.assert_frame_equal(back, expected, check_dtype=False, check_exact=True)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_export_names_a_bad_format_and_a_bad_path(tmp_path: Path, run: Run) -> None:
    with pytest.raises(ConfigError, match="'xlsx' is not one of csv, parquet"):
        export(run, "xlsx", tmp_path / "out.xlsx")
    with pytest.raises(ConfigError, match="cannot be written"):
        export(run, "csv", tmp_path / "nowhere" / "out.csv")


def test_a_missing_run_names_what_is_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"runs in {folder.parent}: demo"):
        open_run(folder.parent / "dem")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"neither ledger\.db nor campaign\.json.*notes\.txt"):
        open_run(tmp_path)
    with pytest.raises(ConfigError, match="not a ledger"):
        open_run(tmp_path / "notes.txt")
    with pytest.raises(ConfigError, match="does not exist either"):
        open_run(tmp_path / "a" / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_is_found_through_its_note_and_after_it_moved(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "note"
    elsewhere.mkdir()
    (elsewhere / "campaign.json").write_text(json.dumps({"ledger": f"sqlite:///{folder}/ledger.db"}))
    assert open_run(elsewhere).name == "demo"
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    (moved / "campaign.json").write_text(json.dumps({"ledger": "sqlite:////gone/ledger.db"}))
    assert open_run(moved).name == open_run(moved / "ledger.db").name == "demo"
    assert open_run(f"sqlite:///{moved}/ledger.db").name == "demo"
    for broken in ("{", "[]", '{"ledger": 3}'):
        (elsewhere / "campaign.json").write_text(broken)
        with pytest.raises(ConfigError, match=r"not \{.*a database URL"):
            open_run(elsewhere)


def test_analysis_loads_neither_torch_nor_ray(folder: Path) -> None:
    program = (
        "import sys; from al_loop import open_run; run = open_run(sys.argv[1]); run.plot_progress(); run.status();"
        "run.plot_calibration(); run._repr_html_(); print([m for m in ('torch', 'ray', 'rdkit', 'matplotlib.pyplot') "
        "if m in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(folder)]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_the_notebook_runs_as_a_script(folder: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "AL_LOOP_RUN": str(folder),
        "AL_LOOP_FIGURES": str(tmp_path),
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(ROOT / "notebooks" / "analyse_a_run.py")]
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "demo: finished, 4 rounds closed, 48 oracle calls" in result.stdout
    assert "more than 60 s" in result.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"progress.png", "calibration.png"}
