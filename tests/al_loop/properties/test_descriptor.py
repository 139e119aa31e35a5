import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors

from al_loop.properties.descriptor import Descriptor

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_a_descriptor_is_rdkits():
    assert Descriptor("TPSA").compute([ASPIRIN])[0] == pytest.approx(Descriptors.TPSA(Chem.MolFromSmiles(ASPIRIN)))
    assert Descriptor("NumRotatableBonds").compute(["CCCC"])[0] == 1
    with pytest.raises(ValueError, match=r"'NumRotatableBond' is not a descriptor.*NumRotatableBonds"):
        Descriptor("NumRotatableBond")
    with pytest.raises(ValueError, match="above 0"):
        Descriptor("TPSA", scale=0)


@pytest.mark.parametrize("name", [name for name, _ in Descriptors.descList])
def test_every_descriptor_has_a_number_or_nan_for_everything(name):
    values = Descriptor(name).compute(["CCO", "", "[Na+].[Cl-]", "nonsense"])
    assert np.isfinite(values[0])
    assert np.isnan(values[3])
