"""RNA binding, compared with numbers of ViennaRNA and FLEXS."""

import importlib.util
import sys

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles.base import evaluate_all
from al_loop.oracles.rna import FLEXS_TARGETS, L14_RNA1_TARGET, ConservedRegion, RNABinding, flexs_landscape
from al_loop.oracles.testing import OracleContract
from al_loop.oracles.wrap import oracle_from

pytestmark = pytest.mark.skipif(importlib.util.find_spec("RNA") is None, reason="ViennaRNA is not installed")


#: words of 100 letters from which FLEXS starts its explorers, by its numbers
STARTS = {
    1: L14_RNA1_TARGET,
    2: "AGCAUCUCGCCGUGGGGGCGGGCCCGGCCCAUGUGAGCAUGCGUAGGUUUAUCCCAUAGAGGACCCCGGGAGAACUGUCCAAUUGGCUCCUAGCCCACGC",
    4: "UUGCAGGUCCCUACACCUCCGGCCCGGCCCAUGUGACCAUGAAUAGUCCACAUAAAAACCGUGAUGGCCAGUGCAGUUGAUUCCGUGCUCUGUACCCUUU",
}


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


class TestSeparateTargetsContract(OracleContract):
    valid = ("GGGUUUCCC", "CCC", "AAAA")
    invalid = ("ACGT",)

    def make(self):
        return RNABinding({"on": "GGGAAACCC", "off": "GGGGGG"}, combine="separate")


class TestFoldingContract(OracleContract):
    valid = ("GGGGAAAACCCC", "A", "GCGCUUCGGCGC")
    invalid = ("", "GGGGTTTTCCCC")

    def make(self):
        return RNABinding(score="folding_energy")


class TestLandscapeContract(OracleContract):
    valid = (STARTS[1], STARTS[4])
    invalid = ("GCUA", STARTS[1][:99] + "T")

    def make(self):
        return RNABinding(landscape="C20_L100_RNA1+2")


def outcome(oracle, word):
    return evaluate_all(oracle, [word])[0]


def value(oracle, word):
    return outcome(oracle, word).values[0]


def test_reference_duplex():
    # Turner 2004: four stacks GG/CC of -3.3, GA/UC -2.4, two AA/UU of -0.9, AC/GU -2.2, and 4.1 to begin a duplex
    by_hand = 4 * -3.3 - 2.4 + 2 * -0.9 - 2.2 + 4.1
    assert by_hand == pytest.approx(-15.5)
    assert value(RNABinding("GGGAAACCC", score="energy"), "GGGUUUCCC") == pytest.approx(by_hand, abs=0.01)


def test_reference_fold():
    # Turner 2004: three stacks GG/CC of -3.3; for the loop of four A 5.6 to begin it and -1.1 for its first mismatch
    by_hand = 3 * -3.3 + 5.6 - 1.1
    found = outcome(RNABinding(score="folding_energy"), "GGGGAAAACCCC")
    assert found.values[0] == pytest.approx(by_hand, abs=0.01)
    assert found.info["structure"] == "((((....))))"


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


@pytest.mark.parametrize("score", ["fitness", "energy", "folding_energy"])
def test_invalid_letters_are_named(score):
    failure = outcome(RNABinding(score=score), "ACGTU").failure
    assert failure.kind == "invalid"
    assert "'T'" in failure.reason


def test_a_word_that_does_not_fold_has_the_energy_0():
    found = outcome(RNABinding(score="folding_energy"), "AAAAAAAA")
    assert found.values == (0.0,)
    assert found.info["structure"] == "........"


def test_the_mean_over_two_targets_is_that_of_each_alone():
    words = ["AUGGGCCGGACCCC", "GGAUAACAAUUCAU"]
    both = evaluate_all(RNABinding(list(FLEXS_TARGETS[:2])), words)
    first, second = (evaluate_all(RNABinding(target), words) for target in FLEXS_TARGETS[:2])
    for mean, one, two in zip(both, first, second, strict=True):
        assert mean.values[0] == pytest.approx((one.values[0] + two.values[0]) / 2)
        assert mean.info["energies"] == {"1": one.info["energy"], "2": two.info["energy"]}
    assert both[0].values != both[1].values


@pytest.mark.parametrize(("score", "unit", "goal"), [("fitness", "", "maximise"), ("energy", "kcal/mol", "minimise")])
def test_separate_targets_are_objectives_in_order(score, unit, goal):
    oracle = RNABinding({"on": "GGGAAACCC", "off": "CCCCCC"}, score=score, combine="separate")
    name = "fitness" if score == "fitness" else "duplex_energy"
    assert [(o.name, o.unit, o.goal) for o in oracle.objectives] == [(f"{name}_{n}", unit, goal) for n in ("on", "off")]
    alone = [value(RNABinding(target, score=score), "GGGUUUCCC") for target in ("GGGAAACCC", "CCCCCC")]
    assert outcome(oracle, "GGGUUUCCC").values == pytest.approx(alone)
    assert alone[0] != pytest.approx(alone[1])


def test_targets_of_a_list_are_numbered():
    names = [o.name for o in RNABinding(["GGG", "CCC", "AUG"], score="energy", combine="separate").objectives]
    assert names == ["duplex_energy_1", "duplex_energy_2", "duplex_energy_3"]


def test_one_target_keeps_its_plain_name_however_it_is_given():
    for given in ("GGGAAACCC", ["GGGAAACCC"], {"on": "GGGAAACCC"}):
        assert [o.name for o in RNABinding(given, combine="separate").objectives] == ["fitness"]


@pytest.mark.parametrize("score", ["fitness", "energy"])
def test_a_word_without_the_conserved_region_has_the_value_0(score):
    targets, region = ["GGGAAACCC", "GGGGGG"], ConservedRegion(start=2, pattern="GUU")
    oracle = RNABinding(targets, score=score, combine="separate", conserved_region=region)
    free = RNABinding(targets, score=score, combine="separate")
    words = ["GGGUUUCCC", "GGGUCUCCC", "GUUGGGCCC", "GG"]
    kept, *others = evaluate_all(oracle, words)
    assert kept.values == outcome(free, words[0]).values
    assert kept.info["is_conserved"] is True
    for word, other in zip(words[1:], others, strict=True):
        assert other.values == (0.0, 0.0), word
        assert other.info["is_conserved"] is False
    assert outcome(free, "GUUGGGCCC").values != (0.0, 0.0)


def test_a_conserved_region_holds_for_the_folding_energy_too():
    oracle = RNABinding(score="folding_energy", conserved_region=ConservedRegion(0, "GGGG"))
    assert value(oracle, "GGGGAAAACCCC") == pytest.approx(-5.4, abs=0.01)
    assert value(oracle, "CGGGAAAACCCG") == 0.0


def test_the_landscape_of_a_name_is_that_of_its_parts():
    word = "GCCCCGCCGGAAUG"
    for name, targets in {
        "L14_RNA1": FLEXS_TARGETS[:1],
        "L14_RNA4": FLEXS_TARGETS[3:],
        "L14_RNA2+3": FLEXS_TARGETS[1:3],
    }.items():
        assert value(RNABinding(landscape=name), word) == value(RNABinding(list(targets)), word), name
    assert value(RNABinding(landscape="L14_RNA1"), word) == value(RNABinding(), word)


def test_the_conserved_landscape_kills_the_start_of_flexs_that_lacks_the_region():
    # start 4 of FLEXS differs from the pattern in one letter, 1 and 2 have it
    oracle, free = RNABinding(landscape="C20_L100_RNA1+2"), RNABinding(landscape="L100_RNA1+2")
    for number in (1, 2):
        assert value(oracle, STARTS[number]) == value(free, STARTS[number]) > 0.2
    assert value(oracle, STARTS[4]) == 0.0
    assert value(free, STARTS[4]) > 0.2


def test_flexs_has_36_landscapes():
    names = [f"L{n}_RNA{a}" for n in (14, 50, 100) for a in range(1, 5)]
    pairs = [f"RNA{a}+{b}" for a in range(1, 5) for b in range(a + 1, 5)]
    names += [f"L{n}_{pair}" for n in (14, 50, 100) for pair in pairs] + [f"C20_L100_{pair}" for pair in pairs]
    assert len({flexs_landscape(name) for name in names}) == 36
    assert {len(target) for target in FLEXS_TARGETS} == {100}


@pytest.mark.parametrize(
    "name", ["", "L15_RNA1", "L14_RNA5", "L14_RNA2+1", "L14_RNA1+1", "C20_L14_RNA1+2", "C20_L100_RNA1", "l14_rna1"]
)
def test_a_landscape_that_flexs_has_not_is_refused(name):
    with pytest.raises(ConfigError, match="landscape"):
        RNABinding(landscape=name)


def test_a_landscape_has_words_of_one_length():
    assert "14" in outcome(RNABinding(landscape="L14_RNA1"), "GGGGGGGGGGGGG").failure.reason


def test_answers_come_in_the_order_of_the_words():
    words = ["GGGUUUCCC", "ACGT", "CCC", "AAAA", "GGGUUUCCC", ""]
    oracle = RNABinding("GGGAAACCC", score="energy")
    together = evaluate_all(oracle, words)
    assert [o.values for o in together] == [outcome(oracle, word).values for word in words]
    assert [o.values is None for o in together] == [False, True, False, False, False, True]
    assert together[0].values == together[4].values != together[2].values


def test_a_config_gives_targets_and_region_as_mappings():
    region = {"start": 0, "pattern": "GG"}
    oracle = oracle_from(RNABinding, target_rna={"a": "GGG", "b": "CCC"}, combine="separate", conserved_region=region)
    assert oracle.conserved_region == ConservedRegion(0, "GG")
    assert oracle.targets == {"a": "GGG", "b": "CCC"}
    assert oracle_from(RNABinding, target_rna=["GGG", "CCC"]).targets == {"1": "GGG", "2": "CCC"}


@pytest.mark.parametrize("target", ["", "ACGT", [], ["ACGU", "ACGT"], {"a": ""}])
def test_a_target_that_is_not_rna_is_refused(target):
    with pytest.raises(ConfigError, match="target"):
        RNABinding(target)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"score": "affinity"}, "score"),
        ({"combine": "sum"}, "combine"),
        ({"conserved_region": ConservedRegion(-1, "G")}, "start"),
        ({"conserved_region": ConservedRegion(0, "T")}, "pattern"),
        ({"target_rna": "GGG", "score": "folding_energy"}, "target_rna"),
        ({"landscape": "L14_RNA1", "score": "folding_energy"}, "landscape"),
        ({"landscape": "L14_RNA1", "target_rna": "GGG"}, "landscape"),
        ({"landscape": "L14_RNA1", "conserved_region": ConservedRegion(0, "G")}, "landscape"),
    ],
)
def test_wrong_arguments_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        RNABinding(**wrong)


def test_a_target_without_a_norm_is_refused_before_anything_is_paid():
    for targets in ("AAAA", ["GGGG", "AAAA"]):
        with pytest.raises(ConfigError, match=r"'AAAA'.*score: energy"):
            RNABinding(targets).check()


def test_a_missing_library_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "RNA", None)
    with pytest.raises(ConfigError, match=r'pip install "al-loop\[rna\]"'):
        RNABinding().check()
