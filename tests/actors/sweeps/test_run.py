"""Whole campaigns over seeds and settings, as processes of this machine and on a real Ray cluster."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from click.testing import Result
from typer.testing import CliRunner

from al_loop import Campaign, open_run
from al_loop.actors.sweeps import run as run_module
from al_loop.actors.sweeps.plan import plan
from al_loop.actors.sweeps.table import tabulate
from al_loop.cli import app
from al_loop.config import load_config
from tests.support.local_ray import start_ray
from tests.support.sweeps import sweep_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


GRID = ["seed=[0,1]", "oracle.weight=[1.5,-1]", "rounds.count=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, which is the working directory."""
    with sweep_folder(tmp_path_factory.mktemp("sweep")) as folder:
        yield folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Ray, with a home directory of its own."""
    import ray

    saved, home = dict(os.environ), tmp_path_factory.mktemp("home")
    os.environ |= {"HOME": str(home), "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    start_ray()
    yield home
    ray.shutdown()
    os.environ.clear()
    os.environ.update(saved)


@pytest.fixture(scope="module")
def swept(folder: Path, cluster: Path) -> Result:
    """A sweep of two seeds and two settings, with one of which the oracle always fails."""
    return CliRunner().invoke(app, ["sweep", "swept.yaml", *GRID, "--run-dir", "all"], env={"COLUMNS": "120"})


def n_calls(folder: Path) -> int:
    return len((folder / "calls.log").read_text().splitlines())


def test_the_table_holds_every_campaign_and_its_last_round(swept: Result, folder: Path) -> None:
    table = pd.read_csv(folder / "all" / "sweep.csv", keep_default_na=False, na_values=[""])
    assert list(zip(table["seed"], table["oracle.weight"], strict=True)) == [
        (seed, weight) for seed in (0, 1) for weight in (1.5, -1)
    ]
    for row in table[table["failed"].isna()].to_dict("records"):
        with open_run(row["run"]) as run:
            assert run.status().state == "finished"
            assert (row["calls"], row["best"]) == (14, run.rounds["best"].iloc[-1])
            assert row["top10_mean"] == pytest.approx(run.rounds["top10_mean"].iloc[-1])


def test_a_setting_that_fails_leaves_the_others_whole(swept: Result, folder: Path) -> None:
    table = pd.read_csv(folder / "all" / "sweep.csv")
    assert swept.exit_code == 1, swept.output
    assert table["failed"].notna().tolist() == [False, True] * 2
    assert table["failed"].dropna().str.contains("the furnace is cold").all()
    assert table["calls"].tolist() == [14, 6] * 2
    assert "seed=1,oracle.weight=-1 | failed: the oracle gave no value" in swept.stdout


def test_a_campaign_whose_oracle_quits_has_failed_and_has_not_finished(swept: Result, folder: Path) -> None:
    quits = ["seed=[0]", 'oracle={target: "sweep_oracle:Quits"}', "--run-dir", "quits"]
    done = CliRunner().invoke(app, ["sweep", "swept.yaml", *quits])
    assert done.exit_code == 1
    assert "seed=0 | failed: SystemExit in the campaign: no licence" in done.stdout


def test_means_and_standard_errors_are_over_the_seeds(swept: Result, folder: Path) -> None:
    table = pd.read_csv(folder / "all" / "sweep.csv")
    best = table[table["oracle.weight"] == 1.5]["best"]
    assert best.nunique() == 2
    line = next(text for text in swept.stdout.splitlines() if text.startswith("1.5 "))
    assert f"{best.mean():.3f} ± {abs(best.iloc[0] - best.iloc[1]) / 2:.3f}" in line
    assert not any(text.startswith("-1 ") for text in swept.stdout.splitlines())


def test_every_round_is_told_and_tune_says_nothing(swept: Result, cluster: Path, folder: Path) -> None:
    lines = [line for line in swept.stdout.splitlines() if " | " in line]
    for name in ("seed=0,oracle.weight=1.5", "seed=1,oracle.weight=1.5"):
        told = [line.split(" | ")[1] for line in lines if line.startswith(f"{name} |")]
        assert told == ["round 0", "round 1", "round 2", "done"]
    assert swept.stderr == ""
    assert "Warning" not in swept.stdout
    assert sorted(path.name for path in (folder / "all").iterdir() if "=" not in path.name) == ["lock", "sweep.csv"]
    assert not (cluster / "ray_results").exists()


def test_a_trial_is_the_campaign_that_runs_alone(swept: Result, folder: Path) -> None:
    overrides = ["seed=1", "oracle.weight=1.5", "rounds.count=2"]
    with Campaign(load_config("swept.yaml", overrides), folder / "alone") as campaign:
        campaign.run()
    with open_run("alone") as alone, open_run("all/seed=1,oracle.weight=1.5") as trial:
        pd.testing.assert_frame_equal(trial.candidates, alone.candidates)
        values = [alone.value_column, "object", "round", "failure"]
        ours, theirs = trial.evaluations.sort_index(), alone.evaluations.sort_index()
        pd.testing.assert_frame_equal(ours[values], theirs[values])
        assert trial.config == alone.config


def test_the_same_sweep_again_measures_nothing_and_more_rounds_go_on(swept: Result, folder: Path) -> None:
    before, table = n_calls(folder), pd.read_csv("all/sweep.csv")
    again = CliRunner().invoke(app, ["sweep", "swept.yaml", *GRID, "--run-dir", "all"])
    assert again.exit_code == 1
    assert n_calls(folder) == before
    assert "round" not in again.stdout.partition("\n\n")[0]
    pd.testing.assert_frame_equal(pd.read_csv("all/sweep.csv"), table)
    more = ["seed=[0]", "oracle.weight=[1.5]", "rounds.count=3", "--run-dir", "all", "--concurrent", "1"]
    longer = CliRunner().invoke(app, ["sweep", "swept.yaml", *more])
    assert longer.exit_code == 0, longer.output
    assert n_calls(folder) == before + 4
    assert longer.stdout.count("round 3 | calls 18") == 1
    assert "failed" not in longer.stdout


def test_a_sweep_of_other_campaigns_is_refused_and_leaves_the_table_as_it_was(swept: Result, folder: Path) -> None:
    before, table = n_calls(folder), (folder / "all" / "sweep.csv").read_bytes()
    other = ["seed=[0,7]", "oracle.weight=[1.5]", "rounds.count=2", "sampler.hidden=16"]
    done = CliRunner().invoke(app, ["sweep", "swept.yaml", *other, "--run-dir", "all"])
    assert done.exit_code == 2
    assert done.stderr.count("error:") == 1
    assert "holds other campaigns in seed=0,oracle.weight=1.5 (different: sampler)" in done.stderr
    assert n_calls(folder) == before
    assert (folder / "all" / "sweep.csv").read_bytes() == table


def test_two_sweeps_at_once_have_no_folder_in_common(folder: Path) -> None:
    (folder / "busy").mkdir()
    with (folder / "busy" / "lock").open("w") as lock:
        lock.write("pid 7 on elsewhere")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = CliRunner().invoke(app, ["sweep", "swept.yaml", "seed=[0,1]", "--run-dir", "busy"])
    assert done.exit_code == 2
    assert "busy is running already (pid 7 on elsewhere); stop it first" in done.stderr
    assert [path.name for path in (folder / "busy").iterdir()] == ["lock"]


def test_what_a_campaign_paid_for_before_it_was_cut_off_is_in_the_table(swept: Result, folder: Path) -> None:
    (combination,) = plan(Path("swept.yaml"), ["seed=[1]", "oracle.weight=-1"])
    shutil.copytree("all/seed=1,oracle.weight=-1", "cut/seed=1")
    cut, unread = (
        tabulate([combination], {"seed=1": "it died"}, Path(run_dir)).table for run_dir in ("cut", "nowhere")
    )
    assert cut["calls"].tolist() == [6]
    assert cut["seconds"].notna().all()
    assert unread["calls"].isna().all()
    assert cut["failed"].tolist() == unread["failed"].tolist() == ["it died"]


def test_a_table_that_cannot_be_written_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_run_all", lambda *_: {})
    (folder / "full" / "sweep.csv.part").mkdir(parents=True)  # as on a full disk
    done = CliRunner().invoke(app, ["sweep", "swept.yaml", "seed=[0,1]", "--run-dir", "full"])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: cannot write {folder}/full/sweep.csv (")
    assert done.stderr.count("\n") == 1


def test_every_wrong_combination_is_named_before_ray_starts(folder: Path) -> None:
    command = [sys.executable, "-m", "al_loop.cli", "sweep", "swept.yaml", "--run-dir", "none", "seed=[0,1]"]
    command += ["acquisition.kind=[ucb,ucbb]", "rounds.cuont=1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 2
    assert any("seed=0,acquisition.kind=ucb; seed=0,acquisition.kind=ucbb; " in e and "cuont" in e for e in errors)
    assert not any(line.rpartition("|")[2].strip() == "ray" for line in done.stderr.splitlines())
    assert not (folder / "none").exists()


@pytest.mark.parametrize(
    ("send", "number", "code"),
    [(os.killpg, signal.SIGINT, 130), (os.kill, signal.SIGTERM, 143)],
    ids=["ctrl-c", "kill"],
)
def test_an_interrupted_sweep_leaves_no_process_and_loses_no_answer(
    folder: Path, send: Callable[[int, int], None], number: signal.Signals, code: int
) -> None:
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as home:
        run_dir = f"interrupted-{code}"
        (folder / "ended.log").unlink(missing_ok=True)
        command = [sys.executable, "-m", "al_loop.cli", "sweep", "swept.yaml", "seed=[0,1]", "oracle.pause=0.3"]
        environment = os.environ | {"HOME": home, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [*command, "rounds.count=50", "--run-dir", run_dir],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        )
        assert process.stdout is not None
        assert any("| round 1 |" in line for line in process.stdout)
        started = psutil.Process(process.pid).children(recursive=True)
        send(process.pid, number)
        rest = process.stdout.read()
        assert process.wait(timeout=300) == code, rest
        assert "every answer that arrived is safe" in rest
        assert "Traceback" not in rest
        _, alive = psutil.wait_procs(started, timeout=600)
        assert alive == []
        answered: Counter[str] = Counter()
        for ledger in (folder / run_dir).glob("*/ledger.db"):
            with open_run(ledger) as run:
                answered += Counter(run.evaluations["object"])
                assert run.status().failed == 0
        calls = [line.split() for line in (folder / "ended.log").read_text().splitlines()]
        ended = Counter(call[1] for call in calls)
        in_flight = Counter({call[0]: call[1] for call in calls}.values())  # the last of each worker
        assert answered.total() >= 10
        assert answered <= ended
        assert ended - answered <= in_flight
