"""RDKit properties, compared with published values and other code."""

import sys
from typing import get_args

import pytest
from pydantic import ValidationError

from al_loop.config.plugins import arguments_model
from al_loop.errors import ConfigError
from al_loop.oracles.base import Objective, evaluate_all
from al_loop.oracles.rdkit_properties import PropertyName, PropertyObjective, RDKitProperties
from al_loop.oracles.testing import OracleContract
from al_loop.properties.logp import LogP
from al_loop.properties.mol_weight import MolWeight
from al_loop.properties.qed import QED
from al_loop.properties.sa_score import SAScore

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
IBUPROFEN = "CC(C)Cc1ccc(cc1)C(C)C(=O)O"
BENZOIC_ACID = "c1ccccc1C(=O)O"
CYCLODODECANE = "C1CCCCCCCCCCC1"


class TestContract(OracleContract):
    valid = (ASPIRIN, IBUPROFEN, "C")
    invalid = ("", "not a molecule", "c1cccc1")

    def make(self):
        return RDKitProperties(list(get_args(PropertyName)))


def value(name, smiles):
    return evaluate_all(RDKitProperties([name]), [smiles])[0].values[0]


@pytest.mark.parametrize(
    ("name", "smiles", "published", "digits"),
    [
        # PubChem: aspirin (2244), ibuprofen (3672)
        ("mol_weight", ASPIRIN, 180.16, 0.005),
        ("tpsa", ASPIRIN, 63.6, 0.05),
        ("n_hbd", ASPIRIN, 1, 0),
        ("mol_weight", IBUPROFEN, 206.28, 0.01),
        ("tpsa", IBUPROFEN, 37.3, 0.05),
        ("n_rotatable_bonds", IBUPROFEN, 4, 0),
        # RDKit's values as blogs and tutorials show them
        ("logp", ASPIRIN, 1.3101, 5e-5),
        ("logp", BENZOIC_ACID, 1.3848, 5e-5),
        ("tpsa", BENZOIC_ACID, 37.3, 0.05),
        ("mol_weight", BENZOIC_ACID, 122.123, 0.0005),
        ("qed", ASPIRIN, 0.5501, 5e-5),
        ("sa_score", ASPIRIN, 1.58, 0.005),
        # counted by eye
        ("n_hba", ASPIRIN, 3, 0),
        ("n_rings", ASPIRIN, 1, 0),
        ("n_rings", "C", 0, 0),
        ("fraction_csp3", IBUPROFEN, 6 / 13, 1e-9),
        # penalized_logp of PyTDC 1.1.15, with RDKit's SA score
        ("penalised_logp", ASPIRIN, 1.1367875481574274, 1e-6),
        ("penalised_logp", IBUPROFEN, 1.6321135868567602, 1e-6),
        ("penalised_logp", CYCLODODECANE, -16.79448128413227, 1e-6),
    ],
)
def test_known_values(name, smiles, published, digits):
    assert value(name, smiles) == pytest.approx(published, abs=digits, rel=0)


@pytest.mark.parametrize("bounded", [LogP(), MolWeight(), QED(), SAScore()])
def test_an_objective_is_the_property_that_constraints_bound(bounded):
    values = [value(bounded.kind, smiles) for smiles in (ASPIRIN, IBUPROFEN)]
    assert values == bounded.compute([ASPIRIN, IBUPROFEN]).tolist()


def test_several_come_in_the_order_in_which_they_are_named():
    oracle = RDKitProperties(["tpsa", "qed"])
    assert evaluate_all(oracle, [ASPIRIN])[0].values == (value("tpsa", ASPIRIN), value("qed", ASPIRIN))


def test_objectives_have_a_unit_and_the_goal_that_is_given_or_usual():
    oracle = RDKitProperties(["tpsa", "sa_score", PropertyObjective("logp", "minimise")])
    assert oracle.objectives == (
        Objective("tpsa", "Å2", "minimise"),
        Objective("sa_score", "", "minimise"),
        Objective("logp", "", "minimise"),
    )


def test_a_config_names_properties_with_or_without_a_goal():
    model = arguments_model(RDKitProperties)
    checked = model.model_validate({"properties": ["qed", {"name": "sa_score", "goal": "minimise"}]})
    assert checked.properties == ["qed", PropertyObjective("sa_score", "minimise")]
    for wrong in (["weight"], [{"name": "qed", "gaol": "minimise"}], [{"name": "qed", "goal": "min"}]):
        with pytest.raises(ValidationError):
            model.model_validate({"properties": wrong})


@pytest.mark.parametrize("names", [[], ["qed", "qed"], ["weight"]])
def test_names_that_cannot_be_objectives_are_refused_with_those_that_can(names):
    with pytest.raises(ConfigError, match="penalised_logp"):
        RDKitProperties(names)


def test_a_missing_library_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(ConfigError, match="pip install rdkit"):
        RDKitProperties(["qed"]).check()
