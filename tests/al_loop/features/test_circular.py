"""Circular substructures that are not folded."""

import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from rdkit.DataStructs import BulkTanimotoSimilarity

from al_loop.environments.fragments import Fragments
from al_loop.features.circular import Circular
from al_loop.features.testing import FeaturesContract
from al_loop.gflownet.rollout import rollout

SMILES = ("CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1")


class TestCircular(FeaturesContract):
    objects = SMILES
    invalid = ("not a molecule", "c1ccc(C(=O)NCC(F)(Cl)Br)cc1-c1ncc[nH]1")

    def make(self):
        return Circular(max_substructures=32)


def test_a_row_lists_the_substructures_of_rdkit_and_their_counts():
    features = Circular(radius=2)
    ids, counts = features(SMILES[3:])[0].long().chunk(2)
    found = {i: n for i, n in zip(ids.tolist(), counts.tolist(), strict=True) if n}
    molecule = Chem.MolFromSmiles(SMILES[3])
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    assert found == generator.GetSparseCountFingerprint(molecule).GetNonzeroElements()


def test_similarity_is_that_of_rdkit():
    features = Circular()
    X = features(SMILES)
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    theirs = [generator.GetSparseCountFingerprint(Chem.MolFromSmiles(s)) for s in SMILES]
    expected = [list(BulkTanimotoSimilarity(f, theirs)) for f in theirs]
    assert features.similarity(X, X).tolist() == [pytest.approx(row, abs=1e-12) for row in expected]


def test_rows_of_graphs_equal_those_of_smiles():
    environment, features = Fragments(), Circular()
    states = rollout(environment, None, 30, generator=torch.Generator().manual_seed(0)).terminal
    rows = features.of_graphs(environment.graphs(states))
    assert torch.equal(rows.double(), features(environment.decode(states)))


def test_graphs_that_may_be_too_large_are_refused_before_they_are():
    environment = Fragments()
    graphs = environment.graphs(environment.initial(1))
    with pytest.raises(ValueError, match=r"114 substructures, more than 100; raise features.max_substructures"):
        Circular(max_substructures=100).of_graphs(graphs)
