import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from al_loop import Campaign, open_run
from al_loop.campaign.preparation import prepare
from al_loop.config import load_config, parse_config
from al_loop.errors import ConfigError
from tests.support.project import (
    CHOOSES_FIDELITIES,
    FIDELITIES_ORACLE,
    VALUES_CONFIG,
    VALUES_ORACLE,
    Project,
    enter_project,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An oracle of three values."""
    return enter_project(tmp_path, monkeypatch, VALUES_CONFIG, VALUES_ORACLE)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return enter_project(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("optimise=[up, down]",),
            r"'ucb' supports a single objective, but the campaign optimises 2 \(up, down\); use .*qlognehvi",
        ),
        (("acquisition.kind=qlognehvi",), "requires several objectives, but the campaign optimises one"),
        (
            ("optimise=[up, sideways]", "acquisition.kind=qlognehvi"),
            "'sideways' is not one of the values that the oracle measures",
        ),
        (("optimise=[up, up]", "acquisition.kind=qlognehvi"), "names a value twice"),
        (("optimise=[up, down]", "acquisition.kind=qlognehvi", "goal=maximise"), "single objective"),
        (
            ("optimise=[up, down]", "acquisition.kind=qlognehvi", "reference_point={up: 0}"),
            "one value for each of up, down",
        ),
        (("reference_point={up: 0}",), "remove it"),
        (("outcome_constraints=[{objective: up}]",), "give 'min', 'max' or both"),
        (("outcome_constraints=[{objective: height, min: 1}]",), "'height' is not one of the values"),
        (
            ("optimise=[up, down]", "acquisition.kind=qlognehvi", "sampler.objective.kind=flow_matching"),
            "does not learn log Z",
        ),
        (("sampler.execution=graphed",), r"sampler\.execution: graphed requires a GPU, not the device 'cpu'"),
        (("sampler.objective=relative_trajectory_balance",), r"sampler\.objective: .*requires sampler\.prior"),
        (("sampler.objective=modified_sub_trajectory_balance",), "requires a reward of unfinished objects"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(project: Project, overrides: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Campaign(load_config(project.config, overrides), project / "run")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (CHOOSES_FIDELITIES[:1], "'multi_fidelity' requires an acquisition that chooses fidelities"),
        (CHOOSES_FIDELITIES[1:], "'multi_fidelity_mes' requires a multi-fidelity surrogate"),
        (CHOOSES_FIDELITIES, "has none that costs less than its own"),
    ],
)
def test_fidelities_that_are_not_there_are_refused(project: Project, overrides: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Campaign(load_config(project.config, overrides), project / "run")


def test_an_oracle_of_several_values_needs_to_be_told_which_to_optimise(words: Project) -> None:
    words.set_oracle(
        "from al_loop import Objective\n"
        "def measure(word):\n    return word.count('G'), word.count('A')\n"
        "measure.objectives = (Objective('g'), Objective('a', 'mol', 'minimise'))\n",
    )
    with pytest.raises(ConfigError, match=r"optimise: missing; .*: g, a"):
        words.run()
    with pytest.raises(ConfigError, match="optimise: 'b' is not one of the values"):
        words.run("optimise=b")
    notes = words.run("optimise=a")
    opened = open_run(words / "run")
    table = opened.evaluations
    assert {"g", "a"} <= set(table.columns)
    assert (opened.objective.name, opened.objective.goal) == ("a", "minimise")
    assert notes.rounds[-1].best == table["a"].min()
    assert opened.best(1)["a"].iloc[0] == table["a"].min()


def test_molecules_by_default_go_through_morgan_counts_and_scaffolds(words: Project) -> None:
    words.set_oracle("def measure(smiles):\n    return smiles.count('N') + smiles.count('n')\n")
    notes = words.run(
        "environment={kind: fragments, max_fragments: 3}",
        "constraints=[{kind: qed, min: 0.3}]",
        "rounds.count=1",
        "sampler.steps=3",
    )
    assert notes.rounds[0].new_scaffolds is not None
    assert 0 < notes.rounds[0].diversity < 1
    assert not math.isnan(notes.rounds[1].top10_mean)


def test_each_part_is_built_once(project: Project) -> None:
    parts = prepare(load_config(project.config))
    assert parts.environment is parts.environment
    assert parts.oracle is parts.oracle
    assert parts.fitter is parts.fitter
    assert len(parts.reference) == 256
    assert parts.reference == prepare(load_config(project.config)).reference


def test_fidelities_are_those_that_are_chosen_with_their_costs(project: Project) -> None:
    project.set_oracle(FIDELITIES_ORACLE)
    chosen = prepare(load_config(project.config, [*CHOOSES_FIDELITIES, "evaluation.cost=2"])).fidelities
    assert (chosen.names, chosen.costs) == (("rough", "exact"), (2.0, 20.0))
    single = prepare(load_config(project.config, ["evaluation.cost=2"])).fidelities
    assert (single.names, single.costs) == (("exact",), (20.0,))


def test_opening_the_parts_loads_no_torch(project: Project) -> None:
    code = "import sys; import al_loop.campaign.preparation, al_loop.campaign.campaign; print('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout == "False\n", done.stderr


def test_a_reward_without_decoding_is_refused_for_words(words: Project) -> None:
    config = load_config(words.config, ["reward.decode=never"])
    with pytest.raises(ConfigError, match=r"reward\.decode: never is impossible, since the states of .* sequence"):
        prepare(config).check()


def test_the_included_prior_draws_the_first_objects_and_fits_a_conditioned_sampler():
    content = {"name": "x", "environment": "fragments", "oracle": {"kind": "rdkit_properties", "properties": ["qed"]}}
    parts = prepare(parse_config(content))
    assert parts.first_source is not None
    drawn = parts.first_source(4, 7)
    assert drawn == parts.first_source(4, 7) != parts.first_source(4, 8)
    assert parts.environment.encode(drawn).shape[0] == 4
    several = {"kind": "rdkit_properties", "properties": ["qed", "logp"]}
    weights = prepare(
        parse_config({**content, "oracle": several, "optimise": ["qed", "logp"], "acquisition": "parego"})
    ).build_policy()
    assert weights.state_dict()["frequency"] == parts.build_policy().state_dict()["frequency"]
    names = [name for name in weights.state_dict() if name.startswith("condition.")]
    assert all(not weights.state_dict()[name].any() for name in names)
    assert names
