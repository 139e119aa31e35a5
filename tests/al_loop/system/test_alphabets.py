import pytest

from al_loop.environments.sequence import Sequences
from al_loop.features.kmers import Kmers
from al_loop.features.one_hot import OneHot
from al_loop.system.alphabets import are_nucleotides, letters_of


def test_alphabets_have_names():
    assert letters_of("dna") == letters_of("DNA") == "ACGT"
    assert letters_of("rna") == "ACGU"
    assert len(letters_of("Protein")) == 20
    assert Sequences("protein", 3).alphabet == "ACDEFGHIKLMNPQRSTVWY"
    assert OneHot("rna", 2).d == 10
    assert Kmers("dna", 1).d == 4
    assert Sequences(["D", "N", "A"], 3).alphabet == ["D", "N", "A"]


@pytest.mark.parametrize("alphabet", ["nucleotides", "AAC", "", [], ["A", "A"], ["A", ""]])
def test_a_letter_twice_or_none_is_refused(alphabet):
    with pytest.raises(ValueError, match="dna, rna, protein"):
        Sequences(alphabet, 3)


def test_nucleotides_are_recognised():
    assert are_nucleotides("acgtun")
    assert not are_nucleotides("ACGTD")
