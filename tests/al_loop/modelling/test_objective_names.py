"""Names of objectives that would be lost in a table are refused, by one function for every oracle."""

import pytest

from al_loop.errors import ConfigError
from al_loop.modelling.objective_names import RESERVED_NAMES, check_objective_names
from al_loop.oracles.base import Fidelity, Objective


@pytest.mark.parametrize("name", ["object", "ID", "round", "fidelity", "Cost", "failure", "origin", "predicted_mean"])
def test_the_name_of_a_column_is_refused(name):
    with pytest.raises(ConfigError, match=f"objective '{name}'.*rename"):
        check_objective_names([Objective("g"), Objective(name)])


@pytest.mark.parametrize(
    "names",
    [
        ("x", "x"),
        ("x", "X"),
        ("x", "x_std"),
        ("x_std", "x"),
        ("x", "x std"),
        ("x", "predicted_mean_x"),
        ("x", "x (nM)"),
    ],
)
def test_two_objectives_that_would_share_a_column_are_refused(names):
    with pytest.raises(ConfigError, match="would be both"):
        check_objective_names([Objective(names[0], "nM"), Objective(names[1], "nM")])


def test_a_name_that_is_the_heading_of_another_is_refused():
    with pytest.raises(ConfigError, match="would be both"):
        check_objective_names([Objective("x", "nM"), Objective("x (nM)")])


@pytest.mark.parametrize("name", ["", " x", "x\n"])
def test_a_name_that_cannot_be_a_heading_is_refused(name):
    with pytest.raises(ConfigError, match="printable"):
        check_objective_names([Objective(name)])


def test_ordinary_names_and_fidelities_are_accepted_and_a_fidelity_is_there_once():
    check_objective_names([Objective("logP(o/w)"), Objective("IC50 (mean)", "nM"), Objective("std")])
    with pytest.raises(ConfigError, match="'low' is there twice"):
        check_objective_names([Objective("g")], [Fidelity("low", 1.0), Fidelity("low", 2.0)])


def test_every_column_of_a_runs_tables_is_reserved(tmp_path):
    from al_loop.analysis import open_run
    from tests.support.synthetic_run import fill

    run = open_run(fill(tmp_path / "run"))
    columns = {*run.evaluations, *run.candidates, run.evaluations.index.name} - {"gap", "value_round"}
    assert columns <= {*RESERVED_NAMES}
