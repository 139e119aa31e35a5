"""Docking of small, mostly rigid ligands at exhaustiveness 1; a small box keeps the maps quick."""

import gzip
import importlib.util
import sys

import pytest

from al_loop.errors import ConfigError
from oracles.base import evaluate_all
from oracles.docking import SHIPPED, Docking
from oracles.testing import OracleContract

needs_vina = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("vina", "meeko", "gemmi")), reason="vina is not installed"
)
SMALL = {"box_size": (14.0, 14.0, 14.0), "exhaustiveness": 1}


@needs_vina
class TestContract(OracleContract):
    valid = ("c1ccc2ccccc2c1", "O")
    invalid = ("", "C1CC", "C.C", "*C", "OB(O)c1ccccc1", "C[Se]c1ccccc1", "[He]")

    def make(self):
        return Docking(**SMALL)


@needs_vina
def test_naphthalene_scores_in_a_sane_range():
    assert -8.0 < evaluate_all(Docking(**SMALL), ["c1ccc2ccccc2c1"])[0].values[0] < -4.0


@needs_vina
def test_an_atom_type_without_parameters_is_invalid():
    failure = evaluate_all(Docking(**SMALL), ["OB(O)c1ccccc1"])[0].failure
    assert failure.kind == "invalid"
    assert "Atom type B" in failure.reason


@needs_vina
def test_a_ligand_larger_than_the_box_is_invalid():
    failure = evaluate_all(Docking(box_size=(3.0, 3.0, 3.0), exhaustiveness=1), ["c1ccc2ccccc2c1"])[0].failure
    assert failure.kind == "invalid"
    assert "box" in failure.reason


@needs_vina
def test_the_pose_is_kept_on_request():
    outcome = evaluate_all(Docking(**SMALL, keep_pose=True), ["O"])[0]
    assert "REMARK VINA RESULT" in outcome.info["pose_pdbqt"]
    assert evaluate_all(Docking(**SMALL), ["O"])[0].info == {}


@needs_vina
@pytest.mark.parametrize("suffix", [".pdbqt", ".pdbqt.gz"])
def test_a_receptor_file_gives_the_same_score(tmp_path, suffix):
    from oracles.docking import _receptor_text

    text = _receptor_text("seh_4jnc").encode()
    path = tmp_path / f"receptor{suffix}"
    path.write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)
    own = Docking(str(path), center=SHIPPED["seh_4jnc"], **SMALL)
    own.check()
    assert evaluate_all(own, ["O"])[0].values == evaluate_all(Docking(**SMALL), ["O"])[0].values


@needs_vina
def test_nothing_is_printed(capfd):
    evaluate_all(Docking(**SMALL), ["O", "OB(O)c1ccccc1", "C1CC", "[He]"])
    assert capfd.readouterr() == ("", "")


def test_a_receptor_file_needs_a_centre():
    with pytest.raises(ConfigError, match="center"):
        Docking("mine.pdbqt")


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


@needs_vina
def test_check_refuses_a_box_away_from_the_receptor():
    with pytest.raises(ConfigError, match="no receptor atom"):
        Docking(center=(500.0, 0.0, 0.0)).check()


@needs_vina
@pytest.mark.parametrize("content", [None, b"", b"ATOM  nothing like a coordinate in this line, and yet long enough"])
def test_check_refuses_what_is_no_receptor(tmp_path, content):
    path = tmp_path / "receptor.pdbqt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="receptor"):
        Docking(str(path), center=(0.0, 0.0, 0.0)).check()


def test_a_missing_library_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "vina", None)
    with pytest.raises(ConfigError, match=r'pip install "al-loop\[docking\]"'):
        Docking().check()
