"""The arms of the discovery benchmarks on molecules, and PMO's score."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from al_loop.oracles.guacamol.tasks import TASKS
from al_loop.smiles import canonical_smiles, read_smiles
from benchmarks.discovery.pmo import figures, start
from benchmarks.support.discovery import CountedOracle, Measured, Task
from benchmarks.support.molecules import LOOP, area, diversity, molecule_arms, random_zinc, values_of

TASK = Task(
    name="qed",
    title="qed",
    content={
        **LOOP,
        "oracle": {"kind": "guacamol", "task": "qed"},
        "constraints": [{"kind": "mol_weight", "max": 450}],
        "rounds": {"initial": 0, "batch_size": 6, "count": 2},
        "sampler": {
            "steps": 1, "batch_size": 4, "pool": 16,
            "evolution": {"kind": "graph_edits", "children": 20, "generations": 2, "population": 10},
        },
        "evaluation": {"workers": 1},
    },
    data=lambda seed: [(s, TASKS["qed"](read_smiles(s))) for s in random_zinc(10, seed, set())],
    figures=figures,
    column="auc",
    counts_data=True,
)  # fmt: skip


@pytest.mark.parametrize("arm", ["loop", "random", "greedy", "genetic", "genetic on surrogate"])
def test_an_arm_spends_exactly_its_calls_on_new_canonical_molecules(tmp_path: Path, arm: str) -> None:
    oracle = CountedOracle(TASK, 0)
    molecule_arms()[arm](oracle, tmp_path / "run")
    names = [m.object for m in oracle.history]
    assert len(set(names)) == len(names) == 22
    assert all(canonical_smiles(name) == name for name in names)
    assert all(m.value == pytest.approx(TASKS["qed"](read_smiles(m.object))) for m in oracle.history)
    assert oracle.parts.constraints.acceptable(names[10:]) == names[10:]
    assert [n for n, _ in oracle.rounds()] == [16, 22]


def test_the_area_is_that_of_trapezoids_every_hundred_calls_padded_with_the_last_mean() -> None:
    assert area([0.5] * 1000, 1000) == pytest.approx(0.5 - 0.5 * 50 / 1000)  # the curve starts at 0
    assert area([0.5] * 100, 1000) == pytest.approx((25 + 450) / 1000)
    rising = [i / 250 for i in range(250)]
    tops = [sum(rising[end - 10 : end]) / 10 for end in (100, 200, 250)]
    expected = 100 * tops[0] / 2 + 100 * (tops[0] + tops[1]) / 2 + 50 * (tops[1] + tops[2]) / 2
    assert area(rising, 250) == pytest.approx(expected / 250)


def test_a_molecule_counts_once_and_a_failure_as_zero() -> None:
    measured = [Measured("C", 0.1, 0), Measured("CC", math.nan, 1), Measured("C", 0.1, 2)]
    assert values_of(measured) == [0.1, 0.0]


def test_the_diversity_is_the_mean_distance_of_all_pairs() -> None:
    assert diversity(["CCO", "CCO"]) == pytest.approx(0.0)
    assert diversity(["CCO", "c1ccncc1"]) == pytest.approx(1.0)
    assert diversity(["CCO"]) == 0.0


def test_all_arms_of_a_seed_start_from_the_same_molecules() -> None:
    assert start("qed", 3) == start("qed", 3)
    assert len({name for name, _ in start("qed", 3)}) == 100
    assert start("qed", 3) != start("qed", 4)
