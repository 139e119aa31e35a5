"""Docking of small, mostly rigid ligands at exhaustiveness 1, in a small box, whose maps are computed quickly."""

import importlib.util
import json
import pickle
import subprocess
import sys

import pytest

from al_loop.config import Part, build
from al_loop.errors import ConfigError
from al_loop.oracles._chemistry.receptors import SHIPPED, Protein
from al_loop.oracles.base import Objective, evaluate_all
from al_loop.oracles.docking import Docking
from al_loop.oracles.testing import OracleContract

needs_vina = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("vina", "meeko", "gemmi")), reason="vina is not installed"
)
needs_dockstring = pytest.mark.skipif(
    importlib.util.find_spec("dockstring") is None, reason="dockstring is not installed"
)
BOX = (12.0, 12.0, 12.0)
SMALL = {"box_size": BOX, "exhaustiveness": 1}
NAPHTHALENE = "c1ccc2ccccc2c1"
#: E and S, two rotatable bonds
FLEXIBLE = "C/C=C/[C@H](C)O"
#: the same receptor, another wall of the pocket
BESIDE = (-13.39, 26.34, -10.32)
TWO = {
    "target": Protein("seh_4jnc", box_size=BOX),
    "off_target": Protein("seh_4jnc", center=BESIDE, box_size=BOX, goal="maximise"),
}


def score(oracle, smiles):
    outcome = evaluate_all(oracle, [smiles])[0]
    assert outcome.failure is None, outcome.failure
    return outcome.values[0]


def pdbqt_atoms(text):
    """(heavy atom symbol, x, y, z) in order."""
    lines = [line for line in text.splitlines() if line.startswith("ATOM")]
    heavy = [line for line in lines if line[77:79].strip() not in ("H", "HD")]
    return [(line[12:16].strip()[0], *(float(line[i : i + 8]) for i in (30, 38, 46))) for line in heavy]


@needs_vina
class TestContract(OracleContract):
    valid = ("c1ccccc1", "O")
    invalid = ("", "C1CC", "C.C", "*C", "OB(O)c1ccccc1", "C[Se]c1ccccc1", "[He]")

    def make(self):
        return Docking(**SMALL)


@needs_vina
class TestSeveralProteinsContract(OracleContract):
    valid = ("CO", "O")
    invalid = ("C1CC", "OB(O)c1ccccc1")

    def make(self):
        return Docking(proteins=TWO, exhaustiveness=1)


# ---- against other sources of truth ------------------------------------------------------------------------------


@needs_vina
@pytest.mark.parametrize("scoring", ["vina", "vinardo"])
def test_the_score_is_that_of_vina_and_meeko_called_by_hand(tmp_path, scoring):
    import gzip
    from importlib import resources

    import meeko
    import vina
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles("c1ccccc1"))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    AllChem.MMFFOptimizeMolecule(molecule, maxIters=2000)
    ligand, _, _ = meeko.PDBQTWriterLegacy.write_string(meeko.MoleculePreparation().prepare(molecule)[0])
    receptor = tmp_path / "receptor.pdbqt"
    packed = resources.files("al_loop.oracles").joinpath("data/seh_4jnc_receptor.pdbqt.gz").read_bytes()
    receptor.write_bytes(gzip.decompress(packed))
    by_hand = vina.Vina(sf_name=scoring, cpu=1, seed=1, verbosity=0)
    by_hand.set_receptor(str(receptor))
    by_hand.compute_vina_maps(center=[-13.39, 26.34, -13.32], box_size=[12, 12, 12])
    by_hand.set_ligand_from_string(ligand)
    by_hand.dock(exhaustiveness=1, n_poses=9)
    expected = by_hand.energies()[0][0]
    assert score(Docking(**SMALL, scoring=scoring), "c1ccccc1") == expected


@pytest.mark.slow
@needs_vina
@needs_dockstring
def test_scores_are_those_that_dockstring_publishes():
    # its own test's values: receptor, box and exhaustiveness as here, but Open Babel and Vina 1.1.2; one decimal.
    # Twelve drug-like ones: benchmarks/oracles/docking_published.py
    outcomes = evaluate_all(Docking("dockstring:ABL1"), ["CCO", "CC"])
    assert [outcome.values[0] for outcome in outcomes] == pytest.approx([-2.4, -1.8], abs=0.1)


# ---- the same seed gives the same score --------------------------------------------------------------------------


@needs_vina
def test_a_new_process_gives_the_same_score_as_this_one_after_other_ligands():
    oracle = Docking(**SMALL)
    evaluate_all(oracle, ["O", "OB(O)c1ccccc1", NAPHTHALENE])
    code = (
        "import json; from al_loop.oracles.base import evaluate_all; from al_loop.oracles.docking import Docking; "
        f"print(json.dumps(evaluate_all(Docking(**{SMALL!r}), [{FLEXIBLE!r}])[0].values))"
    )
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(fresh) == [score(oracle, FLEXIBLE)]


@needs_vina
def test_each_of_several_proteins_scores_as_it_does_alone():
    together = evaluate_all(Docking(proteins=TWO, exhaustiveness=1), [FLEXIBLE])[0]
    for i, (name, protein) in enumerate(TWO.items()):
        alone = Docking("seh_4jnc", protein.center, protein.box_size, exhaustiveness=1)
        outcome = evaluate_all(alone, [FLEXIBLE])[0]
        assert outcome.values == (together.values[i],)
        assert outcome.artifacts["pose.pdbqt"] == together.artifacts[f"pose_{name}.pdbqt"]
    assert together.values[0] != together.values[1]


@needs_vina
def test_the_number_of_threads_does_not_change_the_score():
    several = {"box_size": BOX, "exhaustiveness": 2}
    assert score(Docking(**several, cpu=2), FLEXIBLE) == score(Docking(**several, cpu=1), FLEXIBLE)


@needs_vina
def test_another_seed_searches_otherwise():
    assert score(Docking(**SMALL, seed=1), FLEXIBLE) != score(Docking(**SMALL, seed=2), FLEXIBLE)


# ---- poses -------------------------------------------------------------------------------------------------------


@needs_vina
def test_the_kept_pose_has_the_score_that_is_reported(tmp_path):
    import vina

    outcome = evaluate_all(Docking(**SMALL), [NAPHTHALENE])[0]
    receptor = tmp_path / "receptor.pdbqt"
    receptor.write_text(Protein("seh_4jnc").read().pdbqt)
    again = vina.Vina(cpu=1, verbosity=0)
    again.set_receptor(str(receptor))
    again.compute_vina_maps(center=list(SHIPPED["seh_4jnc"]), box_size=list(BOX))
    pose = outcome.artifacts["pose.pdbqt"].decode()
    again.set_ligand_from_string(
        "".join(line + "\n" for line in pose.splitlines() if "MODEL" not in line and line != "ENDMDL")
    )
    # the coordinates in the file have three decimals
    assert again.score()[0] == pytest.approx(outcome.values[0], abs=0.01)


@needs_vina
def test_the_sdf_holds_the_molecule_and_the_coordinates_of_the_pdbqt():
    from rdkit import Chem

    outcome = evaluate_all(Docking(**SMALL), [FLEXIBLE])[0]
    supplier = Chem.SDMolSupplier()
    supplier.SetData(outcome.artifacts["pose.sdf"].decode())
    (molecule,) = supplier
    assert Chem.MolToSmiles(molecule) == Chem.CanonSmiles(FLEXIBLE)
    assert float(molecule.GetProp("docking_score")) == outcome.values[0]
    positions = molecule.GetConformer().GetPositions()
    in_sdf = [(atom.GetSymbol(), *(round(x, 3) for x in positions[atom.GetIdx()])) for atom in molecule.GetAtoms()]
    in_pdbqt = pdbqt_atoms(outcome.artifacts["pose.pdbqt"].decode())
    assert len(in_pdbqt) == 6
    assert sorted(in_sdf) == sorted(in_pdbqt)
    assert all(abs(x - c) <= 6.0 for _, *at in in_pdbqt for x, c in zip(at, SHIPPED["seh_4jnc"], strict=True))


@needs_vina
def test_poses_are_named_by_their_protein_and_can_be_left_out():
    kept = evaluate_all(Docking(proteins=TWO, exhaustiveness=1), ["O"])[0]
    files = ["pose_target.pdbqt", "pose_target.sdf", "pose_off_target.pdbqt", "pose_off_target.sdf"]
    assert list(kept.artifacts) == files
    assert evaluate_all(Docking(**SMALL, keep_pose=False), ["O"])[0].artifacts == {}


@needs_vina
def test_a_pose_without_sdf_keeps_its_score(monkeypatch):
    import meeko

    monkeypatch.setattr(meeko.RDKitMolCreate, "from_pdbqt_mol", lambda _: 1 / 0)
    outcome = evaluate_all(Docking(**SMALL), ["O"])[0]
    assert outcome.values is not None
    assert list(outcome.artifacts) == ["pose.pdbqt"]
    assert "ZeroDivisionError" in outcome.info["pose.sdf"]


# ---- failures ----------------------------------------------------------------------------------------------------


@needs_vina
def test_an_atom_type_without_parameters_is_invalid():
    failure = evaluate_all(Docking(**SMALL), ["OB(O)c1ccccc1"])[0].failure
    assert failure.kind == "invalid"
    assert "Atom type B" in failure.reason


@needs_vina
def test_a_ligand_larger_than_the_box_is_invalid():
    failure = evaluate_all(Docking(box_size=(3.0, 3.0, 3.0), exhaustiveness=1), [NAPHTHALENE])[0].failure
    assert failure.kind == "invalid"
    assert "box" in failure.reason


@needs_vina
def test_the_protein_that_has_no_score_is_named_and_none_is_given():
    proteins = {**TWO, "tight": Protein("seh_4jnc", box_size=(3.0, 3.0, 3.0))}
    outcome = evaluate_all(Docking(proteins=proteins, exhaustiveness=1), [NAPHTHALENE])[0]
    assert outcome.values is None
    assert outcome.failure.kind == "invalid"
    assert outcome.failure.reason.startswith("tight: ")


@needs_vina
def test_nothing_is_printed(capfd):
    evaluate_all(Docking(**SMALL), ["O", "OB(O)c1ccccc1", "C1CC", "[He]"])
    assert capfd.readouterr() == ("", "")


# ---- several proteins as a config says them ----------------------------------------------------------------------


def test_each_protein_is_an_objective_with_its_own_goal():
    part = Part(
        kind="docking",
        proteins={
            "seh": {"receptor": "seh_4jnc"},
            "other": {"receptor": "mine.pdbqt", "center": [1, 2, 3], "goal": "maximise"},
        },
    )
    assert build("oracle", part).objectives == (
        Objective("seh", "kcal/mol", "minimise"),
        Objective("other", "kcal/mol", "maximise"),
    )
    assert Docking().objectives == (Objective("docking_score", "kcal/mol", "minimise"),)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"seh": {"receptor": "seh_4jnc", "centre": [1, 2, 3]}}, r"proteins\.seh\.centre"),
        ({"seh": {"receptor": "seh_4jnc", "goal": "lower"}}, r"proteins\.seh\.goal"),
        ({"seh": {"receptor": "seh_4jnc", "center": [1, 2]}}, r"proteins\.seh\.center"),
        ({"mine": {"receptor": "mine.pdbqt"}}, r"proteins\.mine: .*center: required"),
        ({"mine": {}}, r"proteins\.mine\.receptor"),
        ({"a/b": {"receptor": "seh_4jnc"}}, "'a/b'"),
        ({}, "none"),
    ],
)
def test_a_wrong_protein_in_a_config_is_refused(wrong, named):
    with pytest.raises(ConfigError, match=named):
        build("oracle", Part(kind="docking", proteins=wrong))


@pytest.mark.parametrize("beside", [{"receptor": "seh_4jnc"}, {"center": BESIDE}, {"box_size": BOX}])
def test_a_receptor_beside_several_proteins_is_refused(beside):
    with pytest.raises(ConfigError, match="do not apply beside it"):
        Docking(proteins=TWO, **beside)


# ---- arguments, versions -------------------------------------------------------------------------------------------


def test_the_version_follows_the_content_of_the_receptor(tmp_path):
    path, copy = tmp_path / "receptor.pdbqt", tmp_path / "copy.pdbqt"
    text = Protein("seh_4jnc").read().pdbqt
    path.write_text(text)
    copy.write_text(text)

    def version(file):
        return Docking(str(file), center=SHIPPED["seh_4jnc"]).version

    before = version(path)
    assert version(path) == version(copy) == before
    assert pickle.loads(pickle.dumps(Docking(str(path), center=SHIPPED["seh_4jnc"]))).version == before
    path.write_text(text.replace("-9.996", "-9.997", 1))
    assert version(path) != before
    several = [Docking(proteins={"a": TWO["target"], "b": other}).version for other in TWO.values()]
    assert several[0] != several[1]


def test_an_oracle_answers_for_the_receptor_that_its_version_names(tmp_path):
    path = tmp_path / "receptor.pdbqt"
    path.write_text(Protein("seh_4jnc").read().pdbqt)
    oracle = Docking(str(path), center=SHIPPED["seh_4jnc"])
    read, version = oracle._read(), oracle.version
    path.unlink()
    assert oracle._read() == read
    assert oracle.version == version


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"receptor": "nowhere"}, "seh_4jnc"),
        ({"seed": 0}, "seed"),
        ({"exhaustiveness": 0}, "exhaustiveness"),
        ({"box_size": (20.0, 0.0, 20.0)}, "box_size"),
        ({"center": (1.0, float("nan"), 2.0)}, "center"),
        ({"scoring": "gold"}, "vinardo"),
    ],
)
def test_wrong_arguments_are_refused(wrong, named):
    with pytest.raises(ConfigError, match=named):
        Docking(**wrong)


def test_a_missing_library_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "vina", None)
    with pytest.raises(ConfigError, match=r'pip install "al-loop\[docking\]"'):
        Docking().check()
