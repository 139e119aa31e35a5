"""The probability of a pattern of pairs."""

import numpy as np
import pytest

from al_loop.errors import ConfigError
from al_loop.latent import EM, Motifs, RNAStructures, fit, save
from al_loop.properties.structure import Structure

pytest.importorskip("RNA")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("rna") / "rna.pt")
    save(path, fit(RNAStructures(14), ["GGGGAAAACCCC"], EM(rounds=0, hidden=4, layers=1)).posterior)
    return path


def test_a_hairpin_is_likely_closed_and_unlikely_open(file):
    hairpin, chain = "GGGGAAAACCCC", "AAAAAAAAAAAA"
    closed = Structure(file, "((((....))))").compute([hairpin, chain])
    opened = Structure(file, "............").compute([hairpin, chain])
    assert closed[0] > 0.9
    assert closed[1] == pytest.approx(4 / 12)
    assert opened[0] < 0.5
    assert opened[1] == pytest.approx(1)
    some = Structure(file, "||||NNNNNNNN").compute([hairpin, chain])
    assert some[0] > 0.9
    assert some[1] == pytest.approx(0)


def test_words_of_another_length_or_alphabet_have_none(file):
    values = Structure(file, "....").compute(["AAAA", "AAA", "AAAT"])
    assert values[0] == pytest.approx(1)
    assert np.isnan(values[1:]).all()


@pytest.mark.parametrize("pattern", ["", "NNN", "((x))"])
def test_impossible_patterns_are_refused(pattern):
    with pytest.raises(ValueError, match="pattern: expected the characters"):
        Structure("rna.pt", pattern)


@pytest.mark.parametrize(
    ("lengths", "message"), [((14, 14), "have 14"), ((3, 3), "have 3"), ((5, 8), "have 5 to 8"), ((4, 4), "")]
)
def test_a_pattern_as_long_as_no_word_is_refused(lengths, message):
    if not message:
        assert Structure("rna.pt", "....", lengths).pattern == "...."
        return
    with pytest.raises(ValueError, match=f"has 4 characters, and the words of the environment {message}"):
        Structure("rna.pt", "....", lengths)


def test_a_pattern_longer_than_the_words_of_the_model_is_one_error(file):
    with pytest.raises(ConfigError, match=r"pattern has 15 characters, and the words of the model of .* at most 14"):
        Structure(file, "." * 15).compute(["A" * 15])


def test_files_of_other_models_are_refused(tmp_path):
    path = str(tmp_path / "motifs.pt")
    save(path, fit(Motifs("ACGU", 4, 1, 2), ["ACGU"], EM(rounds=0, hidden=4, layers=1)).posterior)
    with pytest.raises(ConfigError, match="'motifs', expected 'rna'"):
        Structure(path, "....").compute(["ACGU"])
