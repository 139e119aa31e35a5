import pytest

from al_loop.smiles import canonical_smiles, read_smiles


def test_rdkit_is_silent_about_texts_that_are_no_molecules(capfd):
    assert read_smiles("world of words") is None
    assert capfd.readouterr().err == ""


def test_a_molecule_is_read_once_and_nonsense_is_none():
    assert read_smiles("c1ccccc1O") is read_smiles("c1ccccc1O")
    assert read_smiles("c1ccccc1O").GetNumAtoms() == 7
    assert read_smiles("not a molecule") is None


@pytest.mark.parametrize(
    ("spellings", "canonical"),
    [
        (("N=C1CCCCC1", "[H]/N=C1\\CCCCC1", "[H]N=C1CCCCC1"), "N=C1CCCCC1"),
        (("[H]N=C(N)N", "[H]/N=C(/N)N", "NC(=N)N"), "N=C(N)N"),
        (("OCC", "[H]OCC"), "CCO"),
        (("", "xyz"), None),
        (("[CH3:5][OH:6]", "[CH3:1]O[H:2]"), "CO"),
        (("[CH3:5]c1ccc([*:1])cc1",), "Cc1ccc([*:1])cc1"),  # the number of an attachment point has a meaning
        (("[CH3:1]/[CH:2]=[CH:3]/[C@H:4](F)[Cl:5]", "C/C=C/[C@H](F)Cl"), "C/C=C/[C@H](F)Cl"),
    ],
)
def test_all_spellings_of_a_molecule_have_one_canonical_one(spellings, canonical):
    assert {canonical_smiles(smiles) for smiles in spellings} == {canonical}
