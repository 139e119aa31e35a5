import pytest

from al_loop.properties.motif import Motif


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
