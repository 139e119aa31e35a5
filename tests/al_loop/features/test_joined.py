import pytest
import torch

from al_loop.config import Part
from al_loop.features.descriptors import Descriptors
from al_loop.features.joined import Joined
from al_loop.features.morgan import Morgan
from al_loop.surrogates.gp import ExactGP

SMILES = ["CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C[N+](C)(C)CC([O-])=O", "[Na+].[Cl-]"]


def joined(*parts, **arguments):
    return Joined([Part.model_validate(part) for part in parts], **arguments)


def test_joined_features_stand_side_by_side_with_their_kernels():
    features = joined({"kind": "morgan", "n_bits": 128}, {"kind": "descriptors"})
    X = features(SMILES)
    n = Descriptors().d
    assert features.kernel == f"tanimoto[0:128] + matern52[128:{128 + n}]"
    assert joined({"kind": "morgan", "n_bits": 128}, {"kind": "atom_pairs"}, combine="product").kernel == (
        "tanimoto[0:128] * tanimoto[128:4224]"
    )
    assert torch.equal(X[:, :128], Morgan(n_bits=128)(SMILES))
    assert torch.equal(X[:, 128:], Descriptors()(SMILES))
    assert torch.equal(features.similarity(X, X), Morgan(n_bits=128).similarity(X[:, :128], X[:, :128]))
    assert features.object_type == "molecule"
    model = ExactGP(features.kernel).fit(X, torch.arange(5.0)[:, None])
    assert model.mean_and_variance(X)[0].isfinite().all()


def test_joined_features_are_remembered_once_and_compactly():
    features = joined({"kind": "morgan", "n_bits": 128}, {"kind": "descriptors"})
    X = features([*SMILES, SMILES[0]])
    assert torch.equal(X[0], X[5])
    assert not features._cache
    assert features.parts[0]._cache.dtype == torch.uint8
    assert features([]).shape == (0, features.d)


def test_joined_features_hand_the_alphabet_on():
    features = joined({"kind": "one_hot"}, {"kind": "kmers", "k": 2}, alphabet="ACGU", length=6)
    assert features.kernel == "hamming[0:30] + tanimoto[30:50]"
    assert features(["ACGUAC"]).shape == (1, 50)


def test_features_of_different_objects_cannot_be_joined():
    with pytest.raises(ValueError, match="one describes molecules, another sequences"):
        joined({"kind": "morgan"}, {"kind": "kmers", "alphabet": "ACGU"})
