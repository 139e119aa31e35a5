"""Descriptors of graphs equal RDKit's of the same names."""

import pytest
import torch
from rdkit import Chem
from rdkit.Chem import Descriptors

from al_loop.features.molecules.descriptors import NAMES, descriptor
from al_loop.features.molecules.reading import read_graphs

#: hydrogen bonds, amides, esters, sulfonamides, azides, aziridines, epoxides, tert-butyl, CF3, nitriles, salts, rings
SMILES = [
    "C", "O", "CCC", "C1CC1", "c1ccccc1", "C#N", "CC(C)(C)C", "C1CN1C", "C1CO1", "C1CN1", "CN=C=O", "C[N+](C)(C)C",
    "[N-]=[N+]=NC", "CC(=O)O", "CS(=O)(=O)N", "FC(F)(F)c1ccccc1", "CC(=[NH2+])N(C)C", "CCNC(=O)CC", "CCOC(=O)CC",
    "CCSC(=O)CC", "CC(=N)NCC", "CC(C)(C)CC(Cl)(Cl)Cl", "CC#CCC", "N#CCCO", "Cn1ccnc1", "c1ccoc1", "c1cc[nH]c1",
    "c1ccsc1", "Oc1ccccc1", "CSC", "CS", "COC", "CN(C)C", "C[N+](=O)[O-]", "O=c1cc[nH]cc1", "C[n+]1ccccc1",
    "[O-][n+]1ccccc1", "CC(=O)N1CCCC1", "O=C1CCCN1CC", "CP(=O)(O)O", "OCC(O)CO", "c1ccc(-c2ccccc2)cc1",
    "CC(C)Cc1ccc(C(C)C(=O)O)cc1", "CN1C=NC2=C1C(=O)N(C)C(=O)N2C", "C[NH3+].[Cl-]", "NC(=O)NS(=O)(=O)c1ccccc1",
    "C12C3C4C1C5C2C3C45", "C1CC2CCC1C2", "C1CCC2(CC1)CCCC2", "NN", "CON", "N=C(N)N",
]  # fmt: skip


@pytest.fixture(scope="module")
def molecules():
    return [Chem.MolFromSmiles(s) for s in SMILES]


@pytest.mark.parametrize("name", NAMES)
def test_descriptors_equal_those_of_rdkit(name, molecules):
    values = descriptor(read_graphs(molecules), name)
    expected = [float(dict(Descriptors.descList)[name](molecule)) for molecule in molecules]
    assert dict(zip(SMILES, values.tolist(), strict=True)) == pytest.approx(
        dict(zip(SMILES, expected, strict=True)), abs=1e-9
    )


def test_the_weight_of_an_unknown_element_or_an_isotope_is_not_a_number():
    values = descriptor(read_graphs([Chem.MolFromSmiles(s) for s in ("[Fe]", "[14CH4]", "C")]), "MolWt")
    assert values.isnan().tolist() == [True, True, False]


def test_descriptors_are_double_precision_of_any_number_of_molecules():
    for name in NAMES:
        values = descriptor(read_graphs([]), name)
        assert values.shape == (0,)
        assert values.dtype == torch.float64
