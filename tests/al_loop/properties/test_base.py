"""The properties of molecules against published values and RDKit's functions."""

import pickle

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import QED as RDKIT_QED
from rdkit.Chem import Crippen, Descriptors
from rdkit.Contrib.SA_Score import sascorer

from al_loop.config import plugins as parts
from al_loop.properties.descriptor import Descriptor
from al_loop.properties.logp import LogP
from al_loop.properties.mol_weight import MolWeight
from al_loop.properties.motif import Motif
from al_loop.properties.qed import QED
from al_loop.properties.sa_score import SAScore
from al_loop.properties.similarity import SimilarityTo
from al_loop.properties.smarts import Smarts

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
SMILES = [ASPIRIN, "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "CCO"]


@pytest.mark.parametrize(
    ("part", "function"),
    [
        (QED(), RDKIT_QED.qed),
        (MolWeight(), Descriptors.MolWt),
        (LogP(), Crippen.MolLogP),
        (SAScore(), sascorer.calculateScore),
    ],
)
def test_molecular_properties_are_rdkits(part, function):
    values = part.compute([*SMILES, "not a molecule"])
    assert values[:3].tolist() == pytest.approx([function(Chem.MolFromSmiles(s)) for s in SMILES])
    assert np.isnan(values[3])
    assert part.compute([]).shape == (0,)


def test_aspirin_has_its_known_values():
    assert MolWeight().compute([ASPIRIN])[0] == pytest.approx(180.16, abs=0.01)
    assert QED().compute([ASPIRIN])[0] == pytest.approx(0.550, abs=0.001)
    assert SAScore().compute([ASPIRIN])[0] == pytest.approx(1.58, abs=0.01)
    assert LogP().compute([ASPIRIN])[0] == pytest.approx(1.31, abs=0.01)


def test_every_property_is_found_by_its_kind():
    assert {"alerts", "gc_content", "logp", "mol_weight", "qed", "sa_score"} <= {
        p.kind for p in parts.built_in("property")
    }
    assert parts.find("property", "qed") is QED


@pytest.mark.parametrize(
    ("part", "asked"),
    [(Smarts(["C"]), "CC"), (Descriptor("TPSA"), "CCO"), (SimilarityTo(["CCO"]), "CCN"), (Motif(["AC"]), "ACAC")],
)
def test_they_pickle(part, asked):
    assert pickle.loads(pickle.dumps(part)).compute([asked]).tolist() == part.compute([asked]).tolist()
