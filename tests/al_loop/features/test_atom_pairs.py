import pickle

from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from al_loop.features.atom_pairs import AtomPairs

SMILES = ["CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C[N+](C)(C)CC([O-])=O", "[Na+].[Cl-]"]


def test_atom_pairs_are_rdkits_counts():
    X = AtomPairs(n_bits=512)(SMILES)
    generator = rdFingerprintGenerator.GetAtomPairGenerator(fpSize=512)
    expected = generator.GetCountFingerprintAsNumPy(Chem.MolFromSmiles(SMILES[2]))
    assert X[2].tolist() == expected.tolist()
    assert AtomPairs(n_bits=512).similarity(X, X).diagonal().tolist() == [1.0] * 5
    assert pickle.loads(pickle.dumps(AtomPairs(n_bits=512)))(SMILES).equal(X)
