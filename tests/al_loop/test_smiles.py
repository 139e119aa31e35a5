from al_loop.smiles import read_smiles


def test_a_molecule_is_read_once_and_nonsense_is_none():
    assert read_smiles("c1ccccc1O") is read_smiles("c1ccccc1O")
    assert read_smiles("c1ccccc1O").GetNumAtoms() == 7
    assert read_smiles("not a molecule") is None
