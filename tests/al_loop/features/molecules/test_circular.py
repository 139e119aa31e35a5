"""Circular substructures of graphs equal those of RDKit's Morgan generator, number for number."""

import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from al_loop.features.molecules.circular import distinct_counts, folded_counts, substructures
from al_loop.features.molecules.reading import read_graphs

#: charges, isotopes, rings of all sizes, cages, several molecules, single atoms, equal substructures, many neighbours
SMILES = [
    "C", "CC", "CCC", "O", "[Na+].[Cl-]", "C1CC1", "[13CH4]", "c1ccccc1", "C#N", "C12C3C4C1C5C2C3C45", "CC(C)(C)C",
    "FS(F)(F)(F)(F)F", "CC.CC", "C[N+](C)(C)C", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "F/C=C/F", "OP(=O)(O)OC",
    "CN1CCC[C@H]1c1cccnc1", "CC(=O)Oc1ccccc1C(=O)O", "O=c1[nH]c(=O)c2[nH]cnc2[nH]1", "c1ccc2cc3ccccc3cc2c1",
    "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC",
    "C1CCC2(CC1)OCC1(CCCCC1)O2", "ClC(Cl)(Cl)c1ccc(Br)cc1I", "N[C@@H](Cc1c[nH]c2ccccc12)C(=O)N1CCC[C@H]1C(=O)O",
]  # fmt: skip


@pytest.fixture(scope="module")
def molecules():
    return [Chem.MolFromSmiles(s) for s in SMILES]


@pytest.fixture(scope="module")
def graphs(molecules):
    return read_graphs(molecules)


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5])
def test_unfolded_counts_equal_those_of_rdkit(radius, molecules, graphs):
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius)
    ids, counts = distinct_counts(substructures(graphs, radius))
    for row, molecule in enumerate(molecules):
        own = {i: n for i, n in zip(ids[row].tolist(), counts[row].tolist(), strict=True) if n}
        assert own == generator.GetSparseCountFingerprint(molecule).GetNonzeroElements(), SMILES[row]


@pytest.mark.parametrize("n_bits", [64, 2048])
def test_folded_counts_equal_those_of_rdkit(n_bits, molecules, graphs):
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=n_bits)
    counts = folded_counts(substructures(graphs, 2), n_bits)
    expected = [generator.GetCountFingerprintAsNumPy(molecule) for molecule in molecules]
    assert counts.tolist() == [row.tolist() for row in expected]


def test_counts_do_not_depend_on_the_order_of_atoms():
    spellings = [Chem.MolFromSmiles(s) for s in ("CCOC(=O)c1ccncc1", "c1nccc(c1)C(OCC)=O")]
    counts = folded_counts(substructures(read_graphs(spellings), 3), 4096)
    assert torch.equal(counts[0], counts[1])


def test_distinct_identifiers_are_in_order_with_zeros_behind(graphs):
    ids, counts = distinct_counts(substructures(graphs, 2))
    for row in range(len(ids)):
        n = int((counts[row] > 0).sum())
        assert counts[row, n:].sum() == ids[row, n:].sum() == 0
        assert (ids[row, 1:n] > ids[row, : n - 1]).all()


def test_no_molecules_have_no_substructures(graphs):
    none = read_graphs([])
    assert folded_counts(substructures(none, 2), 16).shape == (0, 16)
