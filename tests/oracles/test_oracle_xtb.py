"""GFN-xTB against reference values."""

import importlib.util
import os
import re
import sys

import pytest

from al_loop.errors import ConfigError
from oracles.base import evaluate_all
from oracles.testing import OracleContract
from oracles.xtb import IP_SHIFT_EV, XTB

needs_tblite = pytest.mark.skipif(importlib.util.find_spec("tblite") is None, reason="tblite is not installed")


def failure_of(oracle, smiles):
    return evaluate_all(oracle, [smiles])[0].failure


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
def test_the_spelling_of_a_smiles_does_not_matter():
    first, second = evaluate_all(XTB(), ["OCC", "CCO"])
    assert first.values == second.values


@needs_tblite
def test_more_conformers_never_raise_the_force_field_energy():
    pytest.importorskip("rdkit")
    from rdkit.Chem import rdForceFieldHelpers

    from oracles.conformer import embed, parse

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


@needs_tblite
def test_nothing_is_printed(capfd):
    evaluate_all(XTB(), ["CCO", "C1CC", "[He]", "[Pt]"])
    evaluate_all(XTB(max_iterations=2), ["CCO"])
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


@pytest.mark.parametrize("wrong", [{"n_conformers": 0}, {"max_atoms": 0}, {"seed": -1}, {"outcome": "charge"}])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        XTB(**wrong)


def test_a_missing_library_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    monkeypatch.setitem(sys.modules, "tblite", None)
    with pytest.raises(ConfigError, match=r'pip install "al-loop\[xtb\]"'):
        XTB().check()
