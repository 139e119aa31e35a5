import pickle

import pytest
import torch
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from al_loop.features import row_cache
from al_loop.features.morgan import Morgan

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CCO", "CCCCCCCCCCCC"]


def test_similarity_of_bits_is_rdkits_tanimoto():
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in SMILES]
    expected = torch.tensor([DataStructs.BulkTanimotoSimilarity(p, prints) for p in prints]).double()
    features = Morgan(n_bits=1024, counts=False)
    X = features(SMILES)
    assert torch.allclose(features.similarity(X, X), expected, atol=1e-6)
    assert set(X.unique().tolist()) == {0.0, 1.0}


def test_similarity_of_counts_is_rdkits_tanimoto():
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetCountFingerprint(Chem.MolFromSmiles(s)) for s in SMILES]
    expected = torch.tensor([DataStructs.BulkTanimotoSimilarity(p, prints) for p in prints]).double()
    features = Morgan()
    assert torch.allclose(features.similarity(features(SMILES), features(SMILES)), expected, atol=1e-6)


def test_similarity_of_counts_is_sum_of_minima_over_sum_of_maxima():
    X = torch.randint(0, 6, (7, 30), generator=torch.Generator().manual_seed(0)).double()
    X[3] = 0
    minima = torch.minimum(X.unsqueeze(1), X.unsqueeze(0)).sum(-1)
    maxima = torch.maximum(X.unsqueeze(1), X.unsqueeze(0)).sum(-1)
    expected = torch.where(maxima == 0, 1.0, minima / maxima)
    assert torch.allclose(Morgan(n_bits=30).similarity(X, X), expected)
    assert Morgan(n_bits=30).similarity(X[:0], X).shape == (0, 7)


def test_features_are_float64_rows_and_the_same_from_the_cache():
    features = Morgan()
    X = features(SMILES)
    assert X.dtype == torch.float64
    assert X.shape == (5, features.d)
    assert torch.equal(features([SMILES[3], SMILES[0], SMILES[3]]), X[[3, 0, 3]])
    assert features([]).shape == (0, 2048)


def test_counts_saturate():
    assert Morgan()(["C" * 400]).max() == 255


def test_the_cache_stays_within_its_bound(monkeypatch):
    monkeypatch.setattr(row_cache, "_BYTES", 0)
    features = Morgan()
    features._cache.capacity = 3
    for _ in range(3):
        assert features(SMILES).shape == (5, 2048)
        assert len(features._cache) <= 3


def test_features_travel_without_their_cache():
    features = Morgan()
    X = features(SMILES)
    again = pickle.loads(pickle.dumps(features))
    assert not again._cache
    assert torch.equal(again(SMILES), X)


def test_unreadable_smiles_are_named():
    with pytest.raises(ValueError, match="C1CC"):
        Morgan()(["CCO", "C1CC"])


def test_morgan_by_roles_is_rdkits_and_takes_one_halogen_for_another():
    X = Morgan(roles=True)(["Clc1ccccc1", "Brc1ccccc1"])
    assert torch.equal(X[0], X[1])
    assert not torch.equal(*Morgan()(["Clc1ccccc1", "Brc1ccccc1"]))
