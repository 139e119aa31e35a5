import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from al_loop.properties.similarity import SimilarityTo

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_similarity_is_the_largest_one():
    references = ["CC(=O)Oc1ccccc1", "CCO"]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetCountFingerprint(Chem.MolFromSmiles(s)) for s in [ASPIRIN, *references]]
    expected = max(DataStructs.TanimotoSimilarity(prints[0], other) for other in prints[1:])
    assert SimilarityTo(references).compute([ASPIRIN, "CCO"]).tolist() == pytest.approx([expected, 1.0])
    with pytest.raises(ValueError, match="cannot read 'nonsense'"):
        SimilarityTo(["CCO", "nonsense"])


def test_without_references_the_seeds_are_meant():
    assert SimilarityTo(seeds=["CCO"]).compute(["OCC"]).tolist() == [1.0]
    assert SimilarityTo(["CCN"], seeds=["CCO"]).smiles == ("CCN",)
    with pytest.raises(ValueError, match="seeds"):
        SimilarityTo()
