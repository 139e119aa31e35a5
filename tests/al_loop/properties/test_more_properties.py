"""Substructures, descriptors, similarity and motifs."""

import pickle

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import Descriptors, rdFingerprintGenerator

from al_loop.properties.descriptor import Descriptor
from al_loop.properties.motif import Motif
from al_loop.properties.similarity import SimilarityTo
from al_loop.properties.smarts import Smarts

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
NITRO = "O=[N+]([O-])c1ccc([N+](=O)[O-])cc1"


def test_matches_of_all_patterns_are_counted():
    values = Smarts(["[N+](=O)[O-]", "c1ccccc1"]).compute([NITRO, ASPIRIN, "CCO", "nonsense"])
    assert values[:3].tolist() == [3, 1, 0]
    assert np.isnan(values[3])


@pytest.mark.parametrize("pattern", ["[N+", "", "c1ccccc"])
def test_what_is_no_smarts_is_refused(pattern):
    with pytest.raises(ValueError, match="is not a SMARTS pattern"):
        Smarts(["CC", pattern])


def test_a_descriptor_is_rdkits():
    assert Descriptor("TPSA").compute([ASPIRIN])[0] == pytest.approx(Descriptors.TPSA(Chem.MolFromSmiles(ASPIRIN)))
    assert Descriptor("NumRotatableBonds").compute(["CCCC"])[0] == 1
    with pytest.raises(ValueError, match=r"'NumRotatableBond' is not a descriptor.*NumRotatableBonds"):
        Descriptor("NumRotatableBond")
    with pytest.raises(ValueError, match="above 0"):
        Descriptor("TPSA", scale=0)


@pytest.mark.parametrize("name", [name for name, _ in Descriptors.descList])
def test_every_descriptor_has_a_number_or_nan_for_everything(name):
    values = Descriptor(name).compute(["CCO", "", "[Na+].[Cl-]", "nonsense"])
    assert np.isfinite(values[0])
    assert np.isnan(values[3])


def test_similarity_is_the_largest_one():
    references = ["CC(=O)Oc1ccccc1", "CCO"]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetCountFingerprint(Chem.MolFromSmiles(s)) for s in [ASPIRIN, *references]]
    expected = max(DataStructs.TanimotoSimilarity(prints[0], other) for other in prints[1:])
    assert SimilarityTo(references).compute([ASPIRIN, "CCO"]).tolist() == pytest.approx([expected, 1.0])
    with pytest.raises(ValueError, match="cannot read 'nonsense'"):
        SimilarityTo(["CCO", "nonsense"])


def test_motifs_are_counted_with_overlaps():
    assert Motif(["AA"]).compute(["AAAA", "AUA", ""]).tolist() == [3, 0, 0]
    assert Motif(["GGNCC"]).compute(["GGACCGGUCC", "ggtcc", "GGCC"]).tolist() == [2, 1, 0]
    assert Motif(["AT"]).compute(["AUAT"]).tolist() == [2]


def test_both_strands_count_and_a_palindrome_once():
    assert Motif(["AAC"], both_strands=True).compute(["AACGTT"]).tolist() == [2]
    assert Motif(["GGATCC"], both_strands=True).compute(["GGATCC"]).tolist() == [1]
    assert Motif(["RAC"], both_strands=True).compute(["GTY", "GTC", "GAC"]).tolist() == [0, 1, 1]


def test_protein_motifs_have_a_letter_for_any():
    assert Motif(["NXS", "NXT"], molecule="protein").compute(["MNASNKT", "NS"]).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"motifs": ["GGXCC"]}, "'GGXCC' is not a motif"),
        ({"motifs": [""]}, "'' is not a motif"),
        ({"motifs": ["AA"], "molecule": "sugar"}, "not one of nucleotide, protein"),
        ({"motifs": ["AA"], "molecule": "protein", "both_strands": True}, "one strand"),
    ],
)
def test_what_is_no_motif_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Motif(**arguments)


@pytest.mark.parametrize(
    ("part", "asked"),
    [(Smarts(["C"]), "CC"), (Descriptor("TPSA"), "CCO"), (SimilarityTo(["CCO"]), "CCN"), (Motif(["AC"]), "ACAC")],
)
def test_they_pickle(part, asked):
    assert pickle.loads(pickle.dumps(part)).compute([asked]).tolist() == part.compute([asked]).tolist()
