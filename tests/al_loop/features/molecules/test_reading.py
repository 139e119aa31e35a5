"""Graphs of RDKit molecules."""

import pytest
from rdkit import Chem

from al_loop.features.molecules.graphs import CHARGE, DOUBLE, ELEMENT, HYDROGENS, IN_RING_OF_3, IS_AROMATIC
from al_loop.features.molecules.reading import read_graphs


@pytest.fixture(scope="module")
def graphs():
    return read_graphs([Chem.MolFromSmiles(s) for s in ("CC(=O)O", "C1CC1", "c1cc[nH]c1", "[NH4+]")])


def test_atoms_have_element_hydrogens_and_charge(graphs):
    assert graphs.atoms[0, :4, ELEMENT].tolist() == [6, 6, 8, 8]
    assert graphs.atoms[0, :4, HYDROGENS].tolist() == [3, 0, 0, 1]
    assert graphs.atoms[3, 0, [ELEMENT, HYDROGENS, CHARGE]].tolist() == [7, 4, 1]


def test_smaller_molecules_are_padded(graphs):
    assert graphs.is_atom.sum(1).tolist() == [4, 3, 5, 1]


def test_bonds_are_listed_at_both_ends(graphs):
    assert graphs.bonds[0, 2].tolist()[0] == DOUBLE
    at_carbonyl = graphs.neighbours[0, 2, 0]
    assert at_carbonyl == 1
    assert DOUBLE in graphs.bonds[0, at_carbonyl].tolist()


def test_rings_and_aromaticity_are_those_of_rdkit(graphs):
    assert graphs.n_rings.tolist() == [0, 1, 1, 0]
    assert graphs.atoms[1, :3, IN_RING_OF_3].all()
    assert graphs.atoms[2, :, IS_AROMATIC].all()
    assert not graphs.atoms[1, :, IS_AROMATIC].any()
