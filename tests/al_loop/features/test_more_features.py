"""Descriptors, atom pairs, k-mers, and features side by side."""

import pickle

import pytest
import torch
from rdkit import Chem
from rdkit.Chem import Descriptors as RDKit
from rdkit.Chem import rdFingerprintGenerator

from al_loop.config import Part
from al_loop.features.atom_pairs import AtomPairs
from al_loop.features.descriptors import Descriptors
from al_loop.features.joined import Joined
from al_loop.features.kmers import Kmers
from al_loop.features.morgan import Morgan
from al_loop.surrogates.gp import ExactGP

SMILES = ["CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C[N+](C)(C)CC([O-])=O", "[Na+].[Cl-]"]


def joined(*parts, **arguments):
    return Joined([Part.model_validate(part) for part in parts], **arguments)


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


def test_atom_pairs_are_rdkits_counts():
    X = AtomPairs(n_bits=512)(SMILES)
    generator = rdFingerprintGenerator.GetAtomPairGenerator(fpSize=512)
    expected = generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(SMILES[2]))
    assert X[2].tolist() == expected.tolist()
    assert AtomPairs(n_bits=512).similarity(X, X).diagonal().tolist() == [1.0] * 5
    assert pickle.loads(pickle.dumps(AtomPairs(n_bits=512)))(SMILES).equal(X)


def test_morgan_by_roles_is_rdkits_and_takes_one_halogen_for_another():
    X = Morgan(roles=True)(["Clc1ccccc1", "Brc1ccccc1"])
    assert torch.equal(X[0], X[1])
    assert not torch.equal(*Morgan()(["Clc1ccccc1", "Brc1ccccc1"]))


@pytest.mark.parametrize("features", [Descriptors(), AtomPairs()])
def test_what_is_no_molecule_is_refused(features):
    with pytest.raises(ValueError, match="RDKit cannot read the SMILES 'nonsense'"):
        features(["nonsense"])


def test_kmers_count_every_word_wherever_it_stands():
    features = Kmers("AB", k=2)
    X = features(["ABAB", "", "BB"])
    assert features.d == 2 + 4
    #                         A  B  AA AB BA BB
    assert X.tolist() == [[2, 2, 0, 2, 1, 0], [0] * 6, [0, 2, 0, 0, 0, 1]]
    with pytest.raises(ValueError, match="has 'C' outside 'AB'"):
        features(["ABC"])
    with pytest.raises(ValueError, match="lower it"):
        Kmers("ACDEFGHIKLMNPQRSTVWY", k=6)


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
    assert {row.dtype for row in features.parts[0]._cache.values()} == {torch.uint8}
    assert features([]).shape == (0, features.d)


def test_joined_features_hand_the_alphabet_on():
    features = joined({"kind": "one_hot"}, {"kind": "kmers", "k": 2}, alphabet="ACGU", length=6)
    assert features.kernel == "hamming[0:30] + tanimoto[30:50]"
    assert features(["ACGUAC"]).shape == (1, 50)


def test_features_of_different_objects_cannot_be_joined():
    with pytest.raises(ValueError, match="one describes molecules, another sequences"):
        joined({"kind": "morgan"}, {"kind": "kmers", "alphabet": "ACGU"})
