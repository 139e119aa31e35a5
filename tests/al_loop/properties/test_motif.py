import pytest

from al_loop.campaign.preparation import prepare
from al_loop.config import parse_config
from al_loop.errors import ConfigError
from al_loop.properties.gc_content import GCContent
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


PROTEIN = "ACDEFGHIKLMNPQRSTVWY"


def test_letters_stand_for_themselves_in_an_alphabet_that_is_not_of_nucleotides():
    assert Motif(["RGD"], alphabet=PROTEIN).compute(["QGVVRGAQNQ", "ARGDA", "AGGDA"]).tolist() == [0, 1, 0]
    assert Motif(["rgd"], alphabet=PROTEIN).compute(["ARGDA"]).tolist() == [1]
    assert Motif(["NXS"], "protein", alphabet=PROTEIN).compute(["NAS"]).tolist() == [1]
    assert Motif(["RG"], codes=True, alphabet=PROTEIN).compute(["AG", "CG"]).tolist() == [1, 0]
    assert Motif(["GGNCC"], alphabet="ACGU").compute(["GGACC"]).tolist() == [1]
    assert Motif(["*+"], alphabet="+*").compute(["+*+"]).tolist() == [1]


@pytest.mark.parametrize(
    "arguments",
    [
        {"motifs": ["RGX"], "alphabet": PROTEIN},
        {"motifs": ["RGB"], "alphabet": PROTEIN},
        {"motifs": ["RGD"], "alphabet": "ACDE"},
        {"motifs": ["RGD"], "molecule": "protein", "alphabet": "ACDE"},
        {"motifs": ["GAC"], "alphabet": "AU"},
        {"motifs": ["RGX"], "alphabet": "ACGU"},
        {"motifs": ["AB"], "both_strands": True, "alphabet": "AB"},
    ],
)
def test_letters_that_the_alphabet_lacks_are_refused(arguments):
    with pytest.raises(ValueError, match=r"property\."):
        Motif(**arguments)


def test_gc_content_is_one_of_nucleotides():
    assert GCContent("ACGT").compute(["GA"]).tolist() == [0.5]
    with pytest.raises(ValueError, match="expected nucleotides"):
        GCContent(PROTEIN)


@pytest.mark.parametrize(
    ("environment", "letters"),
    [
        ({"kind": "sequence", "alphabet": "protein", "length": 10}, PROTEIN),
        ({"kind": "sequence", "alphabet": list("ABCR GD".replace(" ", "")), "length": 4}, "ABCRGD"),
    ],
)
def test_a_campaign_reads_motifs_in_the_alphabet_of_its_sequences(environment, letters):
    config = {"name": "m", "environment": environment, "oracle": {"kind": "human"}}
    config |= {"features": {"kind": "one_hot"}, "constraints": [{"kind": "motif", "motifs": ["RGD"], "min": 1}]}
    parts = prepare(parse_config(config))
    assert "".join(parts.environment.alphabet) == letters
    assert parts.constraints.acceptable(["ARGD", "AGGA"]) == ["ARGD"]
    config["constraints"] = [{"kind": "motif", "motifs": ["ROD"], "min": 1}]
    with pytest.raises(ConfigError, match=r"constraints\.0: property\.motifs: 'ROD'"):
        parse_config(config)


def test_the_letters_of_a_pool_are_those_of_its_objects(tmp_path):
    path = tmp_path / "pool.csv"
    path.write_text("sequence\nARGDA\nAAWDA\n")
    config = {"name": "m", "environment": {"kind": "pool", "file": str(path)}, "oracle": {"kind": "human"}}
    config |= {"features": {"kind": "kmers", "alphabet": "protein"}}
    config |= {"constraints": [{"kind": "motif", "motifs": ["RGD"], "min": 1}]}
    assert prepare(parse_config(config)).constraints.acceptable(["ARGDA", "AAWDA"]) == ["ARGDA"]
