"""The probability of a pattern of pairs."""

import numpy as np
import pytest

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


def test_files_of_other_models_are_refused(tmp_path):
    path = str(tmp_path / "motifs.pt")
    save(path, fit(Motifs("ACGU", 4, 1, 2), ["ACGU"], EM(rounds=0, hidden=4, layers=1)).posterior)
    with pytest.raises(ValueError, match="'motifs', expected 'rna'"):
        Structure(path, "....").compute(["ACGU"])
