"""Receptors and boxes: shipped ones, dockstring's, and files, sound and damaged."""

import importlib.util
import sys

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles._chemistry.receptors import SHIPPED, Protein
from al_loop.oracles.base import evaluate_all
from al_loop.oracles.docking import Docking

needs_vina = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("vina", "meeko", "gemmi")), reason="vina is not installed"
)
needs_dockstring = pytest.mark.skipif(
    importlib.util.find_spec("dockstring") is None, reason="dockstring is not installed"
)
BOX = (12.0, 12.0, 12.0)
SMALL = {"box_size": BOX, "exhaustiveness": 1}


def score(oracle, smiles):
    outcome = evaluate_all(oracle, [smiles])[0]
    assert outcome.failure is None, outcome.failure
    return outcome.values[0]


@needs_vina
@pytest.mark.parametrize("suffix", [".pdbqt", ".pdbqt.gz"])
def test_a_receptor_file_gives_the_same_score(tmp_path, suffix):
    import gzip

    text = Protein("seh_4jnc").read().pdbqt.encode()
    path = tmp_path / f"receptor{suffix}"
    path.write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)
    own = Docking(str(path), center=SHIPPED["seh_4jnc"], **SMALL)
    own.check()
    assert score(own, "O") == score(Docking(**SMALL), "O")


@needs_dockstring
def test_a_dockstring_target_comes_with_its_box():
    site = Protein("dockstring:DRD2").read()
    assert (site.center, site.box_size) == ((9.25, 6.167, -7.0), (30.0, 30.0, 32.0))
    assert Protein("dockstring:DRD2", center=(9.0, 6.0, -7.0), box_size=BOX).read().box_size == BOX
    assert "dockstring" not in sys.modules


@needs_dockstring
def test_every_dockstring_target_can_be_read():
    with pytest.raises(ConfigError, match="not one of dockstring's 58 targets") as error:
        Protein("dockstring:NONE").read()
    names = str(error.value).rpartition(": ")[2].split(", ")
    assert len(names) == 58
    assert all(Protein(f"dockstring:{name}").read().pdbqt for name in names)


def test_without_dockstring_the_remedy_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "dockstring" else find(name))
    with pytest.raises(ConfigError, match="pip install dockstring"):
        Docking("dockstring:DRD2").check()


def test_a_receptor_file_needs_a_centre():
    with pytest.raises(ConfigError, match="center"):
        Docking("mine.pdbqt")


@needs_vina
def test_check_refuses_a_box_away_from_the_receptor():
    with pytest.raises(ConfigError, match="no receptor atom"):
        Docking(center=(500.0, 0.0, 0.0)).check()


ATOM = "ATOM      1  N   GLY A 237      -9.996  -2.849 -15.683  1.00 19.07     0.104 N \n"


@needs_vina
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "cannot read"),
        (b"", "contains no atoms"),
        (b"\xff\xfe", "cannot read"),
        (ATOM[:66].encode(), "line 1 has no AutoDock type"),  # a PDB file; Vina would end the process
        (ATOM.replace("-9.996", " x.xxx").encode(), "line 1: could not convert"),
        (ATOM.replace("0.104 N", "0.104 Xx").encode(), "Atom type Xx"),
        (f"ROOT\n{ATOM}ENDROOT\nTORSDOF 0\n".encode(), "Unknown or inappropriate tag"),  # a ligand
    ],
)
def test_check_refuses_what_is_no_receptor(tmp_path, content, named):
    path = tmp_path / "receptor.pdbqt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^proteins\.own\.receptor: .*{named}"):
        Docking(proteins={"own": Protein(str(path), center=(-9.0, -2.0, -15.0))}).check()


@needs_vina
def test_a_damaged_gzip_file_is_refused(tmp_path):
    import gzip

    path = tmp_path / "receptor.pdbqt.gz"
    packed = bytearray(gzip.compress(ATOM.encode() * 100))
    packed[12] ^= 0xFF
    path.write_bytes(bytes(packed))
    with pytest.raises(ConfigError, match="receptor: cannot read"):
        Docking(str(path), center=(-9.0, -2.0, -15.0)).check()
