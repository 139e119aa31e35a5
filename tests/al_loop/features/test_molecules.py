import pytest

from al_loop.features.atom_pairs import AtomPairs
from al_loop.features.descriptors import Descriptors


@pytest.mark.parametrize("features", [Descriptors(), AtomPairs()])
def test_what_is_no_molecule_is_refused(features):
    with pytest.raises(ValueError, match="RDKit cannot read the SMILES 'nonsense'"):
        features(["nonsense"])
