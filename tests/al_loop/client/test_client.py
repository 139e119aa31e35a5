"""Campaigns from Python: run with a function, ask and tell, preview, resume."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import al_loop
from al_loop.errors import ConfigError
from al_loop.oracles.base import Objective, Oracle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
WORDS: dict[str, Any] = {
    "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 6},
    "sampler": {"steps": 4, "batch_size": 8, "hidden": 8, "pool": 32},
    "rounds": {"initial": 6, "batch_size": 4, "count": 2},
    "evaluation": {"workers": 1, "timeout_s": 60},
}


def weighted(weight: float) -> Callable[[str], float]:
    """Return a function that only this process can import, with a value from its closure."""
    return lambda word: weight * word.count("G")


class Counter(Oracle):
    """An oracle with a state."""

    objectives = (Objective("letters"),)

    def __init__(self, letter: str) -> None:
        self.letter = letter

    def evaluate(self, objects):
        for word in objects:
            yield float(word.count(self.letter))


def test_a_function_of_several_numbers_gets_names_and_directions_from_the_caller(tmp_path: Path) -> None:
    def two(word: str) -> dict[str, float]:
        return {"length": len(word), "gs": word.count("G")}

    objectives = {"length": "maximise", "gs": "minimise"}
    config = {**WORDS, "rounds": {"initial": 4, "batch_size": 2, "count": 0}}
    campaign = al_loop.campaign(config, oracle=two, objectives=objectives, run_dir=tmp_path / "two", quiet=True)
    campaign.run()
    assert campaign.evaluations["gs"].notna().all()
    assert campaign.record.optimised["gs"].goal == "minimise"


def test_a_function_that_only_this_process_knows_is_measured_and_the_same_call_resumes(tmp_path: Path) -> None:
    measure = weighted(2.0)
    with al_loop.campaign(WORDS, measure, run_dir=tmp_path / "run", quiet=True) as campaign:
        campaign.run(1)
        assert len(campaign.evaluations) == 6
        assert campaign.status().state == "unfinished"
    again = al_loop.campaign(WORDS, measure, run_dir=tmp_path / "run", quiet=True)
    preview = again.suggest(3)
    assert len(preview) == 3
    assert preview["predicted_mean"].notna().all()
    assert len(again.evaluations) == 6
    again.run()
    assert set(preview["object"]) <= set(again.evaluations["object"])
    table = again.evaluations
    assert len(table) == 6 + 2 * 4
    assert table["value"].tolist() == [2.0 * word.count("G") for word in table["object"]]
    assert again.best(1)["value"].iloc[0] == table["value"].max()
    assert al_loop.open_run(tmp_path / "run").status().state == "finished"
    again.run()
    assert len(again.evaluations) == 14
    with pytest.raises(ConfigError, match=r"use run\(\)"):
        again.ask()
    assert repr(again).startswith("<Campaign 'run' (finished): 3 rounds, 14 answers")


def test_an_object_of_an_oracles_class_is_measured_by(tmp_path: Path) -> None:
    small = {**WORDS, "rounds": {"initial": 3, "batch_size": 2, "count": 0}}
    campaign = al_loop.campaign(small, Counter("C"), run_dir=tmp_path / "run", quiet=True)
    campaign.run()
    table = campaign.evaluations
    assert table["letters"].tolist() == [word.count("C") for word in table["object"]]


def test_people_are_asked_and_tell_by_data_frames(tmp_path: Path) -> None:
    objectives = {"yield": "maximise", "price": "minimize"}
    campaign = al_loop.campaign(WORDS, objectives=objectives, run_dir=tmp_path / "lab", quiet=True)
    assert campaign.config.optimise == ("yield", "price")
    preview = campaign.suggest()
    assert len(preview) == 6
    assert campaign.evaluations.empty
    table = campaign.ask(4)
    assert list(table.columns[:2]) == ["id", "object"]
    assert table["object"].tolist() == preview["object"].tolist()[:4]
    table["yield"] = [1.0, 2.5, float("nan"), 4.0]
    table["price"] = [10.0, 20.0, float("nan"), 5.0]
    table.loc[2, "failure"] = "it decomposed"
    assert campaign.tell(table) == 4
    assert campaign.tell(table) == 0
    assert campaign.best()["yield"].tolist() == [4.0]
    table.loc[0, "yield"] = 9.0
    with pytest.raises(ConfigError, match="nothing was recorded"):
        campaign.tell(table)
    assert campaign.tell(table, correct="misread") == 1
    assert campaign.tell([{"object": "ACGUAC", "yield": 3.0, "price": 1.0}], extra=True) == 1
    rest = campaign.ask()
    assert len(rest) == 2
    with pytest.raises(ConfigError, match="2 objects are being measured"):
        campaign.ask()
    assert campaign.tell(rest.assign(**{"yield": [0.5, 1.5], "price": [1.0, 1.0]})) == 2
    batch = campaign.ask()
    assert batch["predicted_mean_price"].notna().all()
    with pytest.raises(ConfigError, match=r"use ask\(\)"):
        campaign.run()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objectives": {"y": "upwards"}}, "'upwards'; expected maximise or minimise"),
        ({"objectives": ["cost"]}, "'cost': the tables of a run have a column of this name"),
        ({"objectives": []}, "name at least one"),
        ({"oracle": 5}, "neither a class with evaluate"),
        ({"oracle": lambda word, handle=sys.stdout: 0.0}, "cannot be sent to the processes that call it"),
        ({"overrides": ["rounds.cuont=1"]}, "did you mean 'count'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        al_loop.campaign(WORDS, run_dir=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


SCRIPT = f"""
import sys, al_loop
letter = "A"
def measure(word):
    print("measuring", word)
    return word.count(letter) / 2
campaign = al_loop.campaign({WORDS!r}, oracle=measure, run_dir="run", overrides=["rounds.count=1"])
campaign.run(int(sys.argv[1]))
print(campaign.evaluations["measure"].sum())
"""


def test_a_function_of_a_notebook_is_measured_and_a_second_kernel_goes_on(tmp_path: Path) -> None:
    def kernel(n_rounds: int) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-", str(n_rounds)],
            input=SCRIPT,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    first = kernel(1)
    assert "round 0" in first[0]
    kernel(1)
    run = al_loop.open_run(tmp_path / "run")
    assert len(run.evaluations) == 10
    assert run.evaluations["measure"].tolist() == [word.count("A") / 2 for word in run.evaluations["object"]]
    assert run.config["oracle"]["target"] == "__main__:measure"


def test_a_run_from_python_says_so_to_the_command_line(tmp_path: Path) -> None:
    from tests.support.command_line import lines

    small = {**WORDS, "rounds": {"initial": 3, "batch_size": 2, "count": 0}}
    campaign = al_loop.campaign(small, lambda word: 1.0, run_dir=tmp_path / "run", quiet=True)
    campaign.run()
    assert lines("status", str(tmp_path / "run"))[0] == 0
    assert isinstance(campaign.best(), pd.DataFrame)


def test_the_package_can_be_called_and_stays_light() -> None:
    code = "import al_loop, sys; al_loop.campaign; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "False"]
