import math

import pytest

from al_loop.analysis.sequences import align, logo


def test_words_of_one_length_are_aligned_as_they_are():
    assert align(["ACGT", "AC-T"]) == ["ACGT", "AC-T"]


@pytest.mark.parametrize(
    ("sequences", "aligned"),
    [(["ACGT", "ACT"], ["ACGT", "AC-T"]), (["ACT", "ACGT"], ["AC-T", "ACGT"]), (["A", "AAA"], ["--A", "AAA"])],
)
def test_gaps_are_where_letters_are_missing(sequences, aligned):
    assert align(sequences) == aligned


def test_an_alignment_keeps_every_letter():
    sequences = ["ACDEFGH", "CDEGHKK", "AACDEFFGH", "H"]
    aligned = align(sequences)
    assert len({len(row) for row in aligned}) == 1
    assert [row.replace("-", "") for row in aligned] == sequences


def test_a_place_where_all_agree_has_all_the_information():
    places = logo(["AC", "AG", "AT", "AA"])
    assert places[0] == [("A", pytest.approx(2.0))]
    assert sum(height for _, height in places[1]) == pytest.approx(0.0)


def test_heights_are_shares_of_the_information():
    (place,) = logo(["A", "A", "A", "C"])
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert place == [("A", pytest.approx(0.75 * (1 - entropy))), ("C", pytest.approx(0.25 * (1 - entropy)))]
