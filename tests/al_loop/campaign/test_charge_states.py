import pytest

from al_loop.campaign.charge_states import charge_states


@pytest.mark.parametrize(
    ("smiles", "states"),
    [
        ("CC(=O)O", ["CC(=O)[O-]"]),
        ("CC(=O)[O-]", ["CC(=O)O"]),
        ("CCN", ["CC[NH3+]"]),
        ("CN1CCNCC1", ["CN1CC[NH2+]CC1", "C[NH+]1CCNCC1", "C[NH+]1CC[NH2+]CC1"]),
        ("NCC(=O)O", ["NCC(=O)[O-]", "[NH3+]CC(=O)[O-]", "[NH3+]CC(=O)O"]),
        ("c1nn[nH]n1", ["c1nn[n-]n1"]),
        ("CC(=O)NS(C)(=O)=O", ["CC(=O)[N-]S(C)(=O)=O"]),
        ("CC(=O)Nc1ccccc1O", []),  # amides, anilines and phenols stay as they are
        ("", []),
        ("no molecule", []),
    ],
)
def test_acids_lose_a_proton_and_amines_take_one_up(smiles, states):
    assert sorted(state for state, _ in charge_states(smiles)) == sorted(states)
