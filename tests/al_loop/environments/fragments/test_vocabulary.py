"""Vocabularies made from molecules, and molecules cut into fragments."""

import json

import pytest
from rdkit import Chem

from al_loop.environments.fragments import SHIPPED_VOCABULARY, vocabulary
from al_loop.environments.fragments.vocabulary import build, describe_block, take_apart


@pytest.mark.parametrize(
    ("smiles", "pieces"),
    [
        ("CC(=O)Oc1ccccc1C(=O)O", ["CC(=O)O", "O=CO", "c1ccccc1"]),  # aspirin
        ("CC(C)Cc1ccc(C(C)C(=O)O)cc1", ["CC(C)C", "CCC(=O)O", "c1ccccc1"]),  # ibuprofen
        ("CC(=O)Nc1ccc(O)cc1", ["CC(N)=O", "O", "c1ccccc1"]),  # paracetamol
        ("Cn1c(=O)c2c(ncn2C)n(C)c1=O", ["C", "C", "C", "O=c1[nH]c(=O)c2[nH]cnc2[nH]1"]),  # caffeine
        ("NS(=O)(=O)c1ccc(N)cc1", ["N", "N[SH](=O)=O", "c1ccccc1"]),  # sulfanilamide
    ],
)
def test_take_apart_cuts_drugs_at_their_rings(smiles, pieces):
    found = take_apart(Chem.MolFromSmiles(smiles))
    assert sorted(piece.smiles for piece in found) == pieces
    ends = sorted(bond for piece in found for _, bond in piece.bonds)
    assert ends == sorted([*range(len(pieces) - 1)] * 2)


def test_build_counts_rings_chains_and_sites():
    smiles = ["Cc1ccccc1", "Cc1ccccc1F", "c1ccc(Cc2ccccc2)cc1", "Fc1ccncc1", "CCO", "[Na+].Cc1ccccc1", "broken("]
    blocks = {block["smiles"]: block for block in build(smiles, n_rings=2, n_chains=2, min_count=1)}
    assert list(blocks) == ["c1ccccc1", "C", "F", "c1ccncc1"]  # by how often they occur
    assert blocks["c1ccccc1"]["sites"] == [0, 1, 2, 3, 4, 5]
    assert len(blocks["c1ccccc1"]["symmetries"]) == 12
    assert blocks["C"]["sites"] == [0, 0]  # toluene once, diphenylmethane twice
    assert blocks["F"]["sites"] == [0]
    assert blocks["c1ccncc1"]["sites"] == [0]  # opposite to its nitrogen
    assert build(smiles, n_rings=1, n_chains=0, min_count=1) == [blocks["c1ccccc1"]]
    assert [b["smiles"] for b in build(smiles, min_count=2)] == ["c1ccccc1", "C", "F"]


def test_describe_block_gives_what_the_environment_needs():
    assert describe_block("N[SH](=O)=O", [0, 1]) == {
        "smiles": "N[SH](=O)=O",
        "is_ring": False,
        "sites": [0, 1],
        "classes": ["hetero", "sulfonyl"],
        "required": 1,
        "n_atoms": 4,
        "tokens": ["N", "[SH]", "(=O", ")=O", ""],
        "symmetries": [[0, 1]],
    }


def test_shipped_blocks_are_what_describe_block_gives():
    for block in json.loads(SHIPPED_VOCABULARY.read_text(encoding="utf-8")):
        assert describe_block(block["smiles"], block["sites"]) == block


def test_describe_block_refuses_half_an_orbit():
    """Ortho and para sites of benzene alone: drawings that are the same molecule would be counted as different."""
    assert describe_block("c1ccccc1", [0, 1, 3]) is None
    assert describe_block("CO", [0, 0, 1]) is not None


def test_too_few_molecules_give_an_error_and_no_file(tmp_path, monkeypatch, capsys):
    source, out = tmp_path / "few.smi", tmp_path / "out.json"
    source.write_text("CCc1ccccc1 a\n\nCc1ccncc1\n")
    monkeypatch.setattr("sys.argv", ["vocabulary", str(source), str(out)])
    with pytest.raises(SystemExit) as stop:
        vocabulary.main()
    assert stop.value.code == 2
    assert not out.exists()
    assert "lower --min-count" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["vocabulary", str(source), str(out), "--min-count", "1"])
    vocabulary.main()
    assert out.read_text().count("smiles") > 0
