import numpy as np
import pytest

from al_loop.properties.smarts import Smarts

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
NITRO = "O=[N+]([O-])c1ccc([N+](=O)[O-])cc1"


def test_matches_of_all_patterns_are_counted():
    values = Smarts(["[N+](=O)[O-]", "c1ccccc1"]).compute([NITRO, ASPIRIN, "CCO", "nonsense"])
    assert values[:3].tolist() == [3, 1, 0]
    assert np.isnan(values[3])


@pytest.mark.parametrize("pattern", ["[N+", "", "c1ccccc"])
def test_what_is_no_smarts_is_refused(pattern):
    with pytest.raises(ValueError, match="is not a SMARTS pattern"):
        Smarts(["CC", pattern])
