"""Similarity of molecules by all of their substructures."""

import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from rdkit.DataStructs import BulkTanimotoSimilarity

from al_loop.features.molecules.circular import distinct_counts, substructures
from al_loop.features.molecules.reading import read_graphs
from al_loop.features.molecules.similarity import Counts, SharedCounts, shared_in_groups, tanimoto

SMILES = ["CCO", "CCCO", "c1ccccc1O", "CCOC(=O)c1ccccc1", "CN1CCC[C@H]1c1cccnc1", "O", "CCCCCCCC"]


def random_counts(*shape, n_ids=12, seed=0):
    """Return counts, a few of them 0, of identifiers that some molecules share; and the same as dense rows."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randint(0, 4, (*shape, n_ids), generator=generator)
    ids = (torch.arange(n_ids) * 1_000_003 % 2**32).expand_as(dense)
    order = (dense == 0).long().argsort(dim=-1, stable=True)  # zeros behind
    return Counts(ids.gather(-1, order), dense.gather(-1, order)), dense


def dense_shared(a, b, is_minimum):
    pairs = a.unsqueeze(-2), b.unsqueeze(-3)
    return (torch.minimum(*pairs) if is_minimum else pairs[0] * pairs[1]).sum(-1).float()


@pytest.mark.parametrize("is_minimum", [True, False])
def test_shared_counts_equal_those_of_dense_rows(is_minimum):
    (a, dense_a), (b, dense_b) = random_counts(9), random_counts(5, seed=1)
    assert torch.equal(SharedCounts(b, is_minimum)(a), dense_shared(dense_a, dense_b, is_minimum))


@pytest.mark.parametrize("is_minimum", [True, False])
def test_shared_counts_of_small_groups_equal_those_of_dense_rows(is_minimum):
    (a, dense_a), (b, dense_b) = random_counts(4, 3), random_counts(4, 2, seed=1)
    assert torch.equal(shared_in_groups(a, b, is_minimum), dense_shared(dense_a, dense_b, is_minimum))


def test_similarities_equal_those_of_rdkit():
    molecules = [Chem.MolFromSmiles(s) for s in SMILES]
    counts = Counts(*distinct_counts(substructures(read_graphs(molecules), 2)))
    total = counts.counts.sum(1)
    own = tanimoto(SharedCounts(counts, is_minimum=True)(counts), total, total)
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    theirs = [generator.GetSparseCountFingerprint(m) for m in molecules]
    assert own.tolist() == [pytest.approx(list(BulkTanimotoSimilarity(f, theirs)), abs=1e-12) for f in theirs]


@pytest.mark.parametrize("is_minimum", [True, False])
def test_empty_molecules_share_nothing_and_are_equal_to_each_other(is_minimum):
    empty = Counts(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64))
    counts, _ = random_counts(4)
    assert SharedCounts(empty, is_minimum)(counts).tolist() == [[0.0, 0.0]] * 4
    assert SharedCounts(counts, is_minimum)(empty).tolist() == [[0.0] * 4] * 2
    zero = torch.zeros(2)
    assert tanimoto(SharedCounts(empty, is_minimum)(empty), zero, zero).tolist() == [[1.0, 1.0]] * 2
