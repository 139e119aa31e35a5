"""The harness of the discovery benchmarks: every arm spends exactly its calls, and none is uncounted."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest

from benchmarks.support.discovery import BudgetSpentError, CountedOracle, Measured, Task, word_figures
from benchmarks.support.discovery_arms import arms

WORDS = ["".join(letters) for letters in product("ACGT", repeat=4)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "words.csv"
    lines = [f"{word},{'' if word.startswith('TT') else word.count('G') + word.count('C') / 2}" for word in WORDS]
    path.write_text("\n".join(["sequence,score", *lines]))
    return path


def task(table: Path, has_data: bool) -> Task:
    return Task(
        name="words",
        title="words",
        content={
            "environment": {"kind": "sequence", "alphabet": "ACGT", "length": 4},
            "oracle": {"kind": "table", "file": str(table), "values": ["score"]},
            "rounds": {"initial": 0 if has_data else 6, "batch_size": 6, "count": 2},
            "sampler": {"steps": 3, "batch_size": 8, "pool": 32},
            "evaluation": {"workers": 1, "stop_after_failures": None},
        },
        data=(lambda seed: [("AAAA", 0.0), ("TTTT", math.nan), ("ACCA", 1.0), ("AAGA", 1.0)]) if has_data else None,
        figures=word_figures(4),
        column="mean",
    )


@pytest.mark.parametrize("arm", ["loop", "random", "greedy", "genetic", "genetic on surrogate"])
@pytest.mark.parametrize("has_data", [True, False])
def test_an_arm_spends_exactly_its_calls_on_new_objects(table: Path, tmp_path: Path, arm: str, has_data: bool) -> None:
    oracle = CountedOracle(task(table, has_data), 0)
    arms()[arm](oracle, tmp_path / "run")
    assert oracle.n_calls == oracle.budget == (12 if has_data else 18)
    names = [m.object for m in oracle.history]
    assert len(set(names)) == len(names) == oracle.n_calls + len(oracle.data)
    assert [n for n, _ in oracle.rounds()] == ([6, 12] if has_data else [6, 12, 18])
    values = {w: math.nan if w.startswith("TT") else w.count("G") + w.count("C") / 2 for w in WORDS}
    assert all(
        m.value == values[m.object] or (math.isnan(m.value) and math.isnan(values[m.object])) for m in oracle.history
    )


def test_calls_beyond_the_budget_are_refused(table: Path) -> None:
    oracle = CountedOracle(task(table, True), 0)
    with pytest.raises(BudgetSpentError):
        oracle(WORDS[:13])
    assert oracle.n_calls == 0


def test_figures_count_distinct_objects_and_the_first_measurement_of_each() -> None:
    measured = [Measured("AA", 0.0, 0), Measured("AC", 2.0, 1), Measured("AC", 9.0, 1), Measured("CC", math.nan, 1)]
    figures = word_figures(2)(measured)
    assert figures == {"max": 2.0, "median": 1.0, "mean": 1.0, "distance": 1.0, "novelty": 0.5}
