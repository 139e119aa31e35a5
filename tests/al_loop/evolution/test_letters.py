import random

import pytest

from al_loop.evolution.letters import Letters


@pytest.mark.parametrize(("first", "second"), [("ACGTACGT", "TTTTTTTT"), ("AC", "GTGTGT"), ("ACGTAC", "G"), ("A", "A")])
def test_a_child_is_as_long_as_its_first_parent_and_of_the_alphabet(first, second):
    generator, letters = random.Random(0), Letters("ACGT")
    for _ in range(200):
        child = letters.child(first, second, generator)
        assert len(child) == len(first)
        assert set(child) <= set("ACGT")


def test_without_mutations_a_child_mixes_its_parents_place_by_place_or_shifts():
    generator, letters = random.Random(0), Letters("AB", mutations=0)
    children = {letters.child("AAAAAA", "BBBBBB", generator) for _ in range(300)}
    assert "AABBAA" in children
    assert len(children) > 15


def test_mutations_reach_every_letter():
    generator, letters = random.Random(0), Letters("ACGT", mutations=2)
    assert {letters.child("AAAA", "AAAA", generator)[2] for _ in range(400)} == set("ACGT")


def test_it_climbs_and_never_leaves_the_acceptable():
    letters = Letters("ACGT", children=60, generations=12, population=20)
    made = letters.evolve(
        ["AAAAAA", "CCCCCC"], lambda o: [w.count("G") for w in o], lambda o: [w for w in o if "T" not in w], 0
    )
    assert "GGGGGG" in made
    assert not any("T" in word for word in made)


@pytest.mark.parametrize("options", [{"alphabet": ["Ala", "G"]}, {"mutations": -1}, {"children": 0}])
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"alphabet|mutations|children"):
        Letters(**options)


@pytest.mark.parametrize(("alphabet", "is_dna"), [("ACGT", True), ("TGCA", True), ("ACGU", False), ("ABCD", False)])
def test_some_children_of_dna_are_the_other_strand(alphabet, is_dna):
    word = (alphabet[0] * 3 + alphabet[1] * 7 + alphabet[2]) * 2
    other = word.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    generator, letters = random.Random(0), Letters(alphabet)
    n = sum(letters.child(word, word, generator) == other for _ in range(400))
    assert (20 < n < 70) if is_dna else (n == 0)
