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
    ],
)
def test_all_spellings_of_a_molecule_have_one_canonical_one(spellings, canonical):
    assert {canonical_smiles(smiles) for smiles in spellings} == {canonical}
