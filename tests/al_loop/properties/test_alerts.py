import pickle

import pytest

from al_loop.properties.alerts import Alerts

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
SMILES = [ASPIRIN, "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "CCO"]


def test_alerts_are_counted_by_catalog():
    rhodanine, aldehyde = "O=C1NC(=S)SC1=Cc1ccccc1", "O=Cc1ccccc1"  # a PAINS group; a group that BRENK lists
    pains, brenk, both = (Alerts(name).compute([rhodanine, aldehyde, "CCO"]) for name in ("PAINS", "BRENK", "both"))
    assert pains[0] >= 1
    assert pains[1] == 0
    assert brenk[1] >= 1
    assert (both == pains + brenk).all()
    assert both[2] == 0
    with pytest.raises(ValueError, match="not one of PAINS"):
        Alerts("NIH")


def test_alerts_can_be_pickled_after_use():
    alerts = Alerts("BRENK")
    expected = alerts.compute(SMILES)
    assert (pickle.loads(pickle.dumps(alerts)).compute(SMILES) == expected).all()
