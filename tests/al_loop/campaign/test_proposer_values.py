from pathlib import Path

import numpy as np
import pytest

from al_loop import open_run
from al_loop.errors import ConfigError
from tests.support.project import (
    CHOOSES_FIDELITIES,
    FIDELITIES_ORACLE,
    VALUES_CONFIG,
    VALUES_ORACLE,
    Project,
    enter_project,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An oracle of three values."""
    return enter_project(tmp_path, monkeypatch, VALUES_CONFIG, VALUES_ORACLE)


def test_a_forecast_is_made_of_every_batch_before_it_goes_out(project: Project) -> None:
    project.start()
    assert "forecast" not in project.infos()[0]
    for info in project.infos()[1:]:
        forecast = info["forecast"]
        assert 0 <= forecast["probability"] <= 1
        assert forecast["low"] <= forecast["expected_best"] <= forecast["high"]
        assert len(info["nearest"]) == 8


def test_what_will_break_its_bounds_is_forecast_to_bring_nothing(project: Project) -> None:
    """At most one G is allowed, which the first batch shows; a sampler that is hardly paid draws more of them."""
    bound = "outcome_constraints=[{objective: up, max: 1.0}]"
    project.start("optimise=down", bound, "reward.beta=0.01", "rounds.count=3", "rounds.initial=24", run_dir="held")
    project.start("optimise=down", "reward.beta=0.01", "rounds.count=3", "rounds.initial=24", run_dir="free")
    held, free = ([i["forecast"]["probability"] for i in project.infos(where)[1:]] for where in ("held", "free"))
    assert np.mean(held) < np.mean(free)


def test_deviations_are_recalibrated_by_what_came_back_unless_told_not_to(project: Project) -> None:
    project.start("rounds.count=3")
    project.start("rounds.count=3", "recalibrate=false", run_dir="plain")
    learned = [info["factors"][0] for info in project.infos()[1:]]
    assert learned[0] == 1.0  # nothing was predicted before
    assert len(set(learned)) == 3
    assert all(0.5 <= factor <= 3 for factor in learned)
    assert [info["factors"] for info in project.infos("plain")[1:]] == [[1.0]] * 3


def test_a_bound_on_another_outcome_is_kept(project: Project) -> None:
    free = project.start("rounds.count=4", run_dir="free")
    held = project.start("rounds.count=4", "outcome_constraints=[{objective: weight, max: 4}]", run_dir="held")
    free_table, held_table = (open_run(project / name).evaluations for name in ("free", "held"))
    last = slice(8, None)
    assert (held_table["weight"].iloc[last] <= 4).mean() > (free_table["weight"].iloc[last] <= 4).mean() + 0.2
    # what breaks the bound is not the best
    within = held_table[held_table["weight"] <= 4]
    assert held.rounds[-1].best == within["up"].max()
    assert free.rounds[-1].best == free_table["up"].max()


def test_objects_that_cost_more_are_asked_for_less_where_the_cost_counts(project: Project) -> None:
    project.start("rounds.count=4", run_dir="free")
    project.start("rounds.count=4", "reward.cost=3", run_dir="thrifty")
    costs = [open_run(project / name).evaluations["cost"].iloc[8:].mean() for name in ("free", "thrifty")]
    assert costs[1] < costs[0]


def test_objects_that_are_likely_to_fail_are_asked_for_less_where_feasibility_counts(project: Project) -> None:
    same = ("rounds.count=4", "oracle.fails=A", "selector.kind=greedy", "sampler.pool=512")
    project.start(*same, run_dir="free")
    project.start(*same, "reward.feasibility=2", run_dir="careful")
    failures = [open_run(project / name).evaluations["failure"].iloc[8:].notna().sum() for name in ("free", "careful")]
    assert failures[1] < 0.8 * failures[0]


@pytest.mark.parametrize("transform", ["yeo_johnson", "rank"])
def test_transformed_targets_are_predicted_in_the_oracles_unit(project: Project, transform: str) -> None:
    project.start(f"transform={transform}")
    table = open_run(project / "run").evaluations.iloc[8:]
    assert ((table["predicted_mean"] > -2) & (table["predicted_mean"] < 10)).all()
    assert (table["predicted_std"] > 0).all()


def test_several_objectives_are_traded_off(project: Project) -> None:
    notes = project.start("rounds.count=3", "optimise=[up, down]", "acquisition.kind=qlognehvi")
    assert all(s.hypervolume is not None for s in notes.rounds)
    volumes = [s.hypervolume for s in notes.rounds]
    assert volumes == sorted(volumes)
    assert volumes[-1] > volumes[0]
    table = open_run(project / "run").evaluations
    assert table["up"].max() > table["up"].iloc[:8].max() or table["down"].min() < table["down"].iloc[:8].min()
    assert set(project.reports()[1]["predictions"]) == {"up", "down"}
    assert len(project.infos()[1]["factors"]) == 2


@pytest.mark.parametrize("overrides", [("acquisition.kind=parego",), ("reward.preferences=false",)])
def test_several_objectives_also_without_preferences_or_by_scalarisation(project: Project, overrides: tuple) -> None:
    kind = () if "acquisition.kind=parego" in overrides else ("acquisition.kind=qlognehvi",)
    notes = project.start("rounds.count=1", "optimise=[up, down]", *overrides, *kind)
    assert notes.rounds[-1].hypervolume >= notes.rounds[0].hypervolume


@pytest.mark.parametrize("kind", ["multi_fidelity_mes", "multi_fidelity_ei"])
def test_a_campaign_chooses_the_fidelity_of_each_object(project: Project, kind: str) -> None:
    project.set_oracle(FIDELITIES_ORACLE)
    notes = project.start(
        *CHOOSES_FIDELITIES, f"acquisition.kind={kind}", "rounds={initial: 16, batch_size: 8, count: 5}"
    )
    table = open_run(project / "run").evaluations.join(open_run(project / "run").candidates["fidelity"])
    first = table[table["round"] == 0]
    assert (first["fidelity"] == "exact").sum() == 2
    later = table[table["round"] > 0]
    assert set(later["fidelity"]) == {"rough", "exact"}
    assert not table.duplicated(["object", "fidelity"]).any()
    exact = table[table["fidelity"] == "exact"]
    # what is best is so at the target fidelity alone, whose values are far below the rough ones
    assert notes.rounds[-1].best == exact["up"].max() < 10
    assert exact["up"].max() > exact["up"].iloc[:2].max()
    # predictions are of the fidelity that was asked for
    for fidelity, low, high in (("rough", 15, 50), ("exact", -5, 12)):
        predicted = later[later["fidelity"] == fidelity]["predicted_mean"]
        assert ((predicted > low) & (predicted < high)).all()
    info = project.infos()[1]["surrogate"]
    assert 0 < info["correlation"] <= 1


def test_a_batch_is_full_when_its_cost_is_spent(project: Project) -> None:
    project.set_oracle(FIDELITIES_ORACLE)
    project.start(*CHOOSES_FIDELITIES, "rounds={initial: 8, batch_size: 30, batch_cost: 12, count: 2}")
    table = open_run(project / "run").evaluations
    for number in (1, 2):
        costs = table[table["round"] == number]["cost"]
        assert 12 <= costs.sum() < 12 + 10
        assert len(costs) < 30


def test_the_automatic_surrogate_says_what_it_is_and_why_once(project: Project) -> None:
    notes = project.start("surrogate={kind: auto, max_exact: 12, n_inducing: 8}", "rounds.count=3")
    told = [note for note in notes.notes if note.startswith("surrogate ")]
    assert told == [
        "surrogate gp: 8 measurements, up to 12 are fitted exactly",
        "surrogate variational on 8 inducing rows: 16 measurements, more than the 12 that are fitted exactly "
        "(surrogate.max_exact)",
    ]
    assert [info["surrogate"]["is_exact"] for info in project.infos()[1:]] == [1.0, 0.0, 0.0]


def test_where_nothing_keeps_the_bounds_rounds_and_tables_agree_that_there_is_no_best(project: Project) -> None:
    notes = project.start("rounds.count=1", "outcome_constraints=[{objective: weight, min: 100}]", "stop.reached=0.5")
    assert [(np.isnan(s.best), s.within_bounds) for s in notes.rounds] == [(True, 0)] * 2
    run = open_run(project / "run")
    assert run.best().empty
    assert run.status().no_best == "none of 16 measured objects keeps the bounds (weight at least 100)"
    assert run.status().state == "finished"
    assert "ended after the last round at" in run.status().process


@pytest.mark.parametrize("name", ["cost", "up"])
def test_names_that_tables_need_are_refused_before_anything_is_written(project: Project, name: str) -> None:
    project.set_oracle(VALUES_ORACLE.replace('Objective("weight")', f'Objective("{name}")'))
    with pytest.raises(ConfigError, match=name):
        project.start()
    assert not (project / "run").exists()
