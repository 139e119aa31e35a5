import numpy as np
import pytest

import al_loop
from al_loop.errors import ConfigError
from al_loop.planning.record import read_plan

CONFIG = {
    "name": "planned",
    "environment": {"kind": "sequence", "alphabet": "ACGT", "length": 5},
    "oracle": {"target": "builtins:len"},  # is never called: every word has five letters
    "rounds": {"initial": 6, "batch_size": 6, "count": 2},
    "evaluation": {"cost": 10.0},
}
SMALL = {"simulations": 4, "calls": (6, 18), "pool": 120}


def write_table(path, words, values, name="len"):
    path.write_text("\n".join([f"sequence,{name}", *(f"{w},{v:g}" for w, v in zip(words, values, strict=True))]) + "\n")
    return path


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    words = ["".join(w) for w in rng.choice(list("ACGT"), size=(30, 5))]
    return write_table(tmp_path / "earlier.csv", words, [100 + 10 * w.count("G") + w.count("A") for w in words])


def test_the_same_config_gives_the_same_plan_and_saves_it_beside_the_run(tmp_path):
    plans = [al_loop.plan(CONFIG, goal="5%", run_dir=tmp_path / "run", **SMALL) for _ in range(2)]
    assert plans[0].lines() == plans[1].lines()
    np.testing.assert_array_equal(plans[0].main.curves, plans[1].main.curves)
    assert read_plan(tmp_path / "run").lines() == plans[0].lines()
    assert [v.kind for v in plans[0].variants] == ["config", "batch", "batch", "data"]
    assert "This is an assumption" in plans[0].assumptions[0]
    assert "cost 60" in plans[0].lines()[1]


def test_the_best_value_never_falls_and_is_nan_before_the_first_call_alone():
    curves = al_loop.plan(CONFIG, goal=1.0, has_variants=False, **SMALL).main.curves
    assert np.isfinite(curves).all()
    assert (np.diff(curves, axis=1) >= 0).all()


def test_data_set_the_scale_of_the_oracle_and_are_what_the_campaign_begins_with(data):
    plan = al_loop.plan(CONFIG, goal=140.0, data=data, **SMALL)
    assert np.median(plan.main.curves[:, 0]) > 120  # at least the best of the data, in its unit
    assert plan.main.initial == 0
    without = next(v for v in plan.variants if v.kind == "data")
    assert without.name == "without the earlier data"
    assert (without.curves[:, 0] <= plan.main.curves[:, 0]).all()
    assert "given earlier measurements of" in plan.assumptions[0]


def test_a_table_is_the_oracle_of_every_simulation(data):
    plan = al_loop.plan(CONFIG, goal="10%", table=data, simulations=3, calls=(6, 12), has_variants=False)
    table = {float(line.split(",")[1]) for line in data.read_text().splitlines()[1:]}
    assert set(plan.main.curves.ravel().tolist()) <= table


def test_minimised_objectives_are_planned_downwards(data):
    plan = al_loop.plan({**CONFIG, "goal": "minimise"}, goal=100.0, data=data, has_variants=False, **SMALL)
    assert (np.diff(plan.main.curves, axis=1) <= 0).all()
    assert "at most 100" in plan.goal_text


def test_a_campaign_that_chooses_fidelities_is_compared_with_the_target_alone(tmp_path, monkeypatch):
    (tmp_path / "planned_levels.py").write_text(
        "from al_loop import Fidelity, Objective, Oracle\n"
        "class Levels(Oracle):\n"
        "    objectives = (Objective('score'),)\n"
        "    fidelities = (Fidelity('quick', 0.1), Fidelity('exact', 1.0))\n"
        "    object_type = 'sequence'\n"
        "    fidelity = 'exact'\n"
        "    def evaluate(self, objects):\n        raise AssertionError('called')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = {**CONFIG, "oracle": {"target": "planned_levels:Levels"}, "acquisition": {"kind": "multi_fidelity_ei"},
              "surrogate": {"kind": "multi_fidelity"}}  # fmt: skip
    plan = al_loop.plan(config, goal=1.0, simulations=2, calls=(4, 8), pool=60, batches=(6,))
    assert [v.kind for v in plan.variants] == ["config", "fidelity"]
    assert any(line.startswith("Best fidelity") for line in plan.lines())


def test_several_objectives_are_planned_by_hypervolume(tmp_path, monkeypatch):
    (tmp_path / "planned_two.py").write_text(
        "from al_loop import Objective, Oracle\n"
        "class Two(Oracle):\n"
        "    objectives = (Objective('a'), Objective('b', goal='minimise'))\n"
        "    object_type = 'sequence'\n"
        "    def evaluate(self, objects):\n        raise AssertionError('called')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = {**CONFIG, "oracle": {"target": "planned_two:Two"}, "optimise": ["a", "b"],
              "acquisition": {"kind": "qlognehvi"}}  # fmt: skip
    plan = al_loop.plan(config, goal=1.0, has_variants=False, simulations=2, calls=(6, 12), pool=60)
    assert plan.objective == "hypervolume"
    assert (np.diff(plan.main.curves[:, 6:], axis=1) >= 0).all()
    with pytest.raises(ConfigError, match="hypervolume"):
        al_loop.plan(config, goal="1%", has_variants=False, **SMALL)
