"""The graph features, read back and held against RDKit."""

import pickle

import pytest
import torch

from al_loop.features.graph import Graph
from al_loop.features.morgan import Morgan
from al_loop.features.row_layout import ATOM_FIELDS, GRAPH_UNIT
from al_loop.surrogates.kernels.elementary import KERNELS

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "C#N", "[NH3+]CC([O-])=S", "C", "c1ccc2[nH]ccc2c1", "O=[Se]=O"]


def test_atoms_and_bonds_are_those_of_rdkit():
    Chem = pytest.importorskip("rdkit.Chem")
    features = Graph(max_atoms=15)
    atoms, bonds = features.layout.integers(features(SMILES))
    elements = ["C", "N", "O", "F", "S", "Cl", "Br", "I", "P", "B", "Si", "Se", "H", "other"]
    for smiles, row, links in zip(SMILES, atoms, bonds, strict=True):
        molecule = Chem.MolFromSmiles(smiles)
        found = []
        for code in row[row > 0] - 1:
            digits = []
            for size in ATOM_FIELDS:
                digits.append(int(code % size))
                code = code // size
            found.append((elements[digits[0]], digits[1], digits[2] - 1, bool(digits[3]), bool(digits[4])))
        assert found == [
            (a.GetSymbol(), a.GetTotalNumHs(), a.GetFormalCharge(), a.GetIsAromatic(), a.IsInRing())
            for a in molecule.GetAtoms()
        ]
        links = links[links > 0] - 1
        assert [(int(b // 4 // 15), int(b // 4 % 15), [1.0, 2.0, 3.0, 1.5][b % 4]) for b in links] == [
            (b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondTypeAsDouble()) for b in molecule.GetBonds()
        ]


def test_kernels_and_similarity_see_the_fingerprint_alone():
    graph, morgan = Graph(n_bits=512), Morgan(n_bits=512)
    X, F = graph(SMILES), morgan(SMILES)
    assert torch.equal(graph.similarity(X, X), morgan.similarity(F, F))
    for kernel in (KERNELS["tanimoto"], KERNELS["rbf"]):
        assert torch.allclose(kernel(X, X), kernel(F, F), atol=1e-12)


def test_the_largest_code_is_kept_exactly():
    features = Graph(max_atoms=1000)
    code = 4 * (1000 * 1000 - 1) + 4
    X = torch.zeros(1, features.d, dtype=torch.float32)
    X[0, -1] = torch.tensor(float(code)) * GRAPH_UNIT
    assert int(features.layout.integers(X)[1][0, -1]) == code


def test_molecules_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"13 atoms and 13 bonds, more than 5 and 7; raise features\.max_atoms"):
        Graph(max_atoms=5)(SMILES[:1])
    with pytest.raises(ValueError, match="cannot read"):
        Graph()(["C(("])


def test_they_travel_to_other_processes():
    features = Graph()
    again = pickle.loads(pickle.dumps(features))
    assert torch.equal(again(SMILES), features(SMILES))
