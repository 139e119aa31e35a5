"""GFN-xTB, compared with reference values."""

import importlib.util
import math
import os
import re
import sys

import numpy as np
import pytest

from al_loop.errors import ConfigError
from al_loop.oracles.base import Call, evaluate_all
from al_loop.oracles.testing import OracleContract
from al_loop.oracles.wrap import oracle_from
from al_loop.oracles.xtb import GRADIENT_NORM, IP_SHIFT_EV, XTB

needs_tblite = pytest.mark.skipif(importlib.util.find_spec("tblite") is None, reason="tblite is not installed")


ALL = ["ionisation_potential", "electron_affinity", "homo_lumo_gap"]
#: in the gas phase its proton goes over to the carboxylate
ZWITTERION = "[NH3+]CC(=O)[O-]"
GLUCOSE = "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O"


def outcome_of(oracle, smiles):
    return evaluate_all(oracle, [smiles])[0]


def failure_of(oracle, smiles):
    return outcome_of(oracle, smiles).failure


def read_xyz(content):
    """Elements and positions in Å of an XYZ file, checked against its own count."""
    n, _, *rows = content.decode().splitlines()
    assert int(n) == len(rows)
    return [row.split()[0] for row in rows], [[float(x) for x in row.split()[1:]] for row in rows]


@needs_tblite
class TestContract(OracleContract):
    valid = ("c1ccccc1", "CCO", "O")
    invalid = ("", "C1CC", "[CH3]", "[NH4+]", "C.C", "*C", "[U]")

    def make(self):
        return XTB()


@needs_tblite
class TestGapContract(OracleContract):
    valid = ("CC(=O)Nc1ccc(O)cc1", "C")
    invalid = ("[O-]C=O",)

    def make(self):
        return XTB("homo_lumo_gap", method="GFN1-xTB", n_conformers=3)


@needs_tblite
class TestSeveralQuantitiesOfOptimisedGeometriesContract(OracleContract):
    valid = ("CCO", "[He]", "[H][H]", "OO")
    invalid = (ZWITTERION, "C1CC")

    def make(self):
        return XTB(ALL, fidelity="optimised")


@needs_tblite
class TestConformersContract(OracleContract):
    valid = ("OCCO", "CC(=O)O")
    invalid = ("[NH4+]",)

    def make(self):
        return XTB("electron_affinity", method="IPEA1-xTB", fidelity="conformers", n_screened=4, n_optimised=2)


def test_the_shift_is_what_xtb_prints():
    assert pytest.approx(4.8455, abs=5e-5) == IP_SHIFT_EV


@needs_tblite
def test_benzene_energy_and_gap():
    outcome = evaluate_all(XTB("homo_lumo_gap"), ["c1ccccc1"])[0]
    # the tolerances allow for another RDKit's geometry
    assert outcome.info["energy_eh"] == pytest.approx(-15.878843, abs=1e-3)
    assert outcome.info["n_atoms"] == 12
    assert outcome.values[0] == pytest.approx(4.826, abs=0.05)


@needs_tblite
@pytest.mark.parametrize(("method", "expected"), [("GFN2-xTB", 9.326), ("GFN1-xTB", 10.173), ("IPEA1-xTB", 9.498)])
def test_benzene_ionisation_potential(method, expected):
    assert evaluate_all(XTB(method=method), ["c1ccccc1"])[0].values[0] == pytest.approx(expected, abs=0.03)


@needs_tblite
def test_ionisation_potentials_follow_experiment():
    # NIST WebBook, eV: aniline 7.72, benzene 9.24, methane 12.61
    aniline, benzene, methane = (o.values[0] for o in evaluate_all(XTB(), ["Nc1ccccc1", "c1ccccc1", "C"]))
    assert aniline < benzene < methane
    assert benzene == pytest.approx(9.24, abs=0.3)


@needs_tblite
def test_electron_affinities_follow_experiment():
    # eV, adiabatic: tetracyanoethylene 3.16 (Khuseynov, Fontana, Sanov, Chem. Phys. Lett. 2012, 550, 15),
    # p-benzoquinone 1.860 (Schiedt, Weinkauf, J. Chem. Phys. 1999, 110, 304); benzene's anion is not bound at all
    found = evaluate_all(XTB("electron_affinity"), ["N#CC(C#N)=C(C#N)C#N", "O=C1C=CC(=O)C=C1", "c1ccccc1"])
    cyano, quinone, benzene = (o.values[0] for o in found)
    assert cyano == pytest.approx(3.16, abs=0.4)
    assert quinone == pytest.approx(1.86, abs=0.4)
    assert benzene < -1


@needs_tblite
def test_water_is_as_the_documentation_of_xtb_has_it():
    # xtb's documentation, "xtb coord --vipea" of water at its optimised geometry: delta SCC IP 13.7897, EA -2.0320 eV
    values = outcome_of(XTB(ALL[:2], method="IPEA1-xTB", fidelity="optimised"), "O").values
    assert values == pytest.approx((13.7897, -2.0320), abs=0.01)


@needs_tblite
def test_several_quantities_are_those_of_each_alone():
    together = outcome_of(XTB(ALL), "Oc1ccccc1").values
    assert together == tuple(outcome_of(XTB(name), "Oc1ccccc1").values[0] for name in ALL)


@needs_tblite
def test_several_quantities_share_the_neutral_molecule(monkeypatch):
    charges = []
    single_point = XTB._single_point
    monkeypatch.setattr(
        XTB, "_single_point", lambda *args, **kw: charges.append(kw["charge"]) or single_point(*args, **kw)
    )
    assert outcome_of(XTB(ALL), "CCO").values is not None
    assert sorted(charges) == [-1, 0, 1]


@needs_tblite
def test_optimised_water_has_the_geometry_energy_and_gap_of_xtb():
    # xtb 6.7.1, --opt with GFN2-xTB: -5.070544443 Eh, O-H 0.9592 Å, H-O-H 107.23 degrees; gap there 14.39089 eV
    outcome = outcome_of(XTB("homo_lumo_gap", fidelity="optimised"), "O")
    elements, positions = read_xyz(outcome.artifacts["geometry.xyz"])
    assert elements == ["O", "H", "H"]
    assert math.dist(positions[0], positions[1]) == pytest.approx(0.9592, abs=5e-4)
    assert math.dist(positions[0], positions[2]) == pytest.approx(0.9592, abs=5e-4)
    half = math.dist(positions[1], positions[2]) / 2 / 0.9592
    assert 2 * math.degrees(math.asin(half)) == pytest.approx(107.23, abs=0.1)
    assert outcome.info["energy_eh"] == pytest.approx(-5.070544443, abs=1e-6)
    assert outcome.values[0] == pytest.approx(14.39089, abs=2e-3)


@needs_tblite
@pytest.mark.parametrize("smiles", ["O=C=O", "CC(=O)Nc1ccc(O)cc1"])
def test_an_optimisation_ends_at_a_lower_energy_and_a_small_gradient(smiles):
    before = outcome_of(XTB(), smiles).info
    after = outcome_of(XTB(fidelity="optimised"), smiles).info
    assert after["energy_eh"] < before["energy_eh"] - 1e-3
    assert 0 < after["gradient_norm"] <= GRADIENT_NORM


@needs_tblite
def test_an_optimised_energy_is_that_of_xtb():
    # carbon dioxide, xtb --ohess with GFN2-xTB
    assert outcome_of(XTB(fidelity="optimised"), "O=C=O").info["energy_eh"] == pytest.approx(-10.308452289, abs=1e-6)


@needs_tblite
def test_the_geometry_kept_is_the_one_that_was_measured():
    from tblite.interface import Calculator

    outcome = outcome_of(XTB(ALL, fidelity="optimised"), "CC=O")
    elements, positions = read_xyz(outcome.artifacts["geometry.xyz"])
    energies = {}
    for charge in (-1, 0, 1):
        numbers = np.array([{"C": 6, "H": 1, "O": 8}[e] for e in elements])
        calculator = Calculator("GFN2-xTB", numbers, np.array(positions) / 0.529177210903, charge, abs(charge))
        calculator.set("verbosity", 0)
        energies[charge] = calculator.singlepoint().get("energy") * 27.211386245988
    assert outcome.values[0] == pytest.approx(energies[1] - energies[0] - 4.8455, abs=1e-3)
    assert outcome.values[1] == pytest.approx(energies[0] - energies[-1] - 4.8455, abs=1e-3)


@needs_tblite
def test_the_cheapest_fidelity_keeps_no_geometry():
    assert outcome_of(XTB(), "O").artifacts == {}


@needs_tblite
def test_fidelities_cost_more_and_lie_lower_in_energy():
    cheap = XTB(n_screened=8)
    assert [f.name for f in cheap.fidelities] == ["force_field", "optimised", "conformers"]
    energies = [outcome_of(cheap.at(f.name), GLUCOSE).info["energy_eh"] for f in cheap.fidelities]
    assert energies[0] > energies[1] > energies[2]  # glucose: the first conformer is not the best one
    assert cheap.fidelity == "force_field"


@needs_tblite
def test_conformers_are_told_apart_screened_and_the_best_optimised():
    facts = outcome_of(XTB(fidelity="conformers", n_screened=12, n_optimised=2), GLUCOSE).info
    assert 2 <= facts["n_distinct"] <= 12
    assert facts["n_optimised"] == 2
    rigid = outcome_of(XTB(fidelity="conformers", n_screened=12), "c1ccccc1").info
    assert (rigid["n_distinct"], rigid["n_optimised"]) == (1, 1)


@needs_tblite
def test_a_call_may_ask_for_a_fidelity():
    asked = evaluate_all(XTB(), ["CCO"], Call(fidelity="optimised"))[0]
    assert asked.values == outcome_of(XTB(fidelity="optimised"), "CCO").values
    assert asked.values != outcome_of(XTB(), "CCO").values


def test_a_fidelity_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="dft"):
        XTB().at("dft")


@needs_tblite
@pytest.mark.parametrize("fidelity", ["optimised", "conformers"])
def test_a_molecule_that_turns_into_another_is_invalid_and_keeps_its_geometry(fidelity):
    outcome = outcome_of(XTB(fidelity=fidelity, n_screened=3), ZWITTERION)
    assert outcome.failure.kind == "invalid"
    assert re.search(r"bond N1-H\d+ was broken", outcome.failure.reason)
    elements, _ = read_xyz(outcome.artifacts["geometry.xyz"])
    assert sorted(elements) == sorted("CCNOOHHHHH")


@needs_tblite
def test_a_geometry_that_has_not_converged_is_a_permanent_failure_and_kept():
    outcome = outcome_of(XTB(fidelity="optimised", max_steps=2), GLUCOSE)
    assert outcome.failure.kind == "permanent"
    assert "max_steps = 2" in outcome.failure.reason
    elements, _ = read_xyz(outcome.artifacts["geometry.xyz"])
    assert len(elements) == 24


@needs_tblite
def test_the_spelling_of_a_smiles_does_not_matter():
    for fidelity in ("force_field", "optimised"):
        first, second = evaluate_all(XTB(fidelity=fidelity), ["OCC", "CCO"])
        assert first.values == second.values


@needs_tblite
def test_more_conformers_never_raise_the_force_field_energy():
    pytest.importorskip("rdkit")
    from rdkit.Chem import rdForceFieldHelpers

    from al_loop.oracles._chemistry.conformer import embed, parse

    def energy(n):
        molecule = embed(parse("CC(C)Cc1ccc(cc1)C(C)C(=O)O"), n, 7)
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
        return rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties).CalcEnergy()

    assert energy(8) <= energy(1) + 1e-6


@needs_tblite
@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("C1CC", "SMILES"),
        ("[CH3]", "radical"),
        ("[NH4+]", r"\+1"),
        ("C.C", "2 separate"),
        ("[U]", "radon"),
        ("*C", "attachment"),
        ("C" * 40, "122 atoms"),
    ],
)
def test_what_cannot_be_measured_is_invalid_with_its_reason(smiles, words):
    failure = failure_of(XTB(), smiles)
    assert failure.kind == "invalid"
    assert re.search(words, failure.reason)


@needs_tblite
def test_scf_that_does_not_converge_is_permanent():
    failure = failure_of(XTB(max_iterations=2), "CCO")
    assert failure.kind == "permanent"
    assert "converged" in failure.reason
    assert failure_of(XTB(max_iterations=2, fidelity="optimised"), "CCO").kind == "permanent"
    assert failure_of(XTB(max_iterations=2, fidelity="conformers"), "CCO").kind == "permanent"


@needs_tblite
def test_nothing_is_printed(capfd):
    evaluate_all(XTB(), ["CCO", "C1CC", "[He]", "[Pt]"])
    evaluate_all(XTB(max_iterations=2), ["CCO"])
    evaluate_all(XTB(fidelity="conformers", n_screened=2), ["CCO", ZWITTERION, "[He]"])
    evaluate_all(XTB(fidelity="optimised", max_iterations=2), ["CCO"])
    assert capfd.readouterr() == ("", "")


@needs_tblite
def test_the_environment_is_left_as_it_was():
    before = dict(os.environ)
    XTB().check()
    assert dict(os.environ) == before


def test_objectives_follow_the_outcome():
    assert (XTB().objectives[0].name, XTB().objectives[0].goal) == ("ionisation_potential", "minimise")
    gap = XTB("homo_lumo_gap").objectives[0]
    assert (gap.name, gap.unit, gap.goal) == ("homo_lumo_gap", "eV", "maximise")


def test_several_outcomes_are_several_objectives_in_order():
    assert [(o.name, o.unit, o.goal) for o in XTB(ALL[1:]).objectives] == [
        ("electron_affinity", "eV", "maximise"),
        ("homo_lumo_gap", "eV", "maximise"),
    ]


def test_a_config_may_name_one_outcome_or_several():
    assert oracle_from(XTB, outcome="homo_lumo_gap").outcomes == ("homo_lumo_gap",)
    assert oracle_from(XTB, outcome=["homo_lumo_gap", "electron_affinity"]).outcomes == tuple(ALL[:0:-1])
    with pytest.raises(ConfigError, match="fidelity"):
        oracle_from(XTB, fidelity="dft")


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_conformers": 0},
        {"max_atoms": 0},
        {"seed": -1},
        {"outcome": "charge"},
        {"outcome": []},
        {"outcome": ["homo_lumo_gap", "homo_lumo_gap"]},
        {"fidelity": "dft"},
        {"max_steps": 0},
        {"n_screened": 0},
        {"n_optimised": 0},
    ],
)
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        XTB(**wrong)


def test_a_missing_library_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    monkeypatch.setitem(sys.modules, "tblite", None)
    with pytest.raises(ConfigError, match=r'pip install "al-loop\[xtb\]"'):
        XTB().check()
