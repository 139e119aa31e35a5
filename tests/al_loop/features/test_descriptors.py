import pytest
import torch
from rdkit import Chem
from rdkit.Chem import Descriptors as RDKit

from al_loop.features.descriptors import Descriptors

SMILES = ["CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C[N+](C)(C)CC([O-])=O", "[Na+].[Cl-]"]


def test_descriptors_are_rdkits_and_finite():
    features = Descriptors()
    X = features(SMILES)
    names = [name for name, _ in features._functions()]
    assert X.shape == (5, features.d)
    assert X.isfinite().all()
    molecule = Chem.MolFromSmiles(SMILES[2])
    assert X[2, names.index("MolWt")].item() == pytest.approx(RDKit.MolWt(molecule), rel=1e-6)
    assert X[2, names.index("TPSA")].item() == pytest.approx(RDKit.TPSA(molecule), rel=1e-6)
    S = features.similarity(X, X)
    assert torch.allclose(S.diagonal(), torch.ones(5).double())
    assert ((S >= 0) & (S <= 1 + 1e-9)).all()
