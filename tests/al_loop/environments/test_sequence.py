import itertools
import math
import pickle

import pytest
import torch

from al_loop.config.plugins import arguments_model
from al_loop.environments.sequence import Sequences
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact_distribution import object_distribution, terminal_states


class TestFixedLength(EnvironmentContract):
    invalid = ("ACG", "ACGUA", "ACGT", "", "acgu")
    is_small = True

    def make(self):
        return Sequences("ACGU", 4)


class TestVariableLength(EnvironmentContract):
    invalid = ("AC", "ACGUAC", "ACGX")
    is_small = True

    def make(self):
        return Sequences("ACGU", 5, 3)


class TestOneLetterWords(EnvironmentContract):
    invalid = ("XY",)
    is_small = True

    def make(self):
        return Sequences("XYZ", 1)


class TestLongLetters(EnvironmentContract):
    invalid = ("AlaAr", "AlaX", "Ala", "AlaAlaAlaAlaAla", "Arg Ala")
    is_small = True

    def make(self):
        return Sequences(["Ala", "Arg", "C", "Cl"], 4, 2)


class TestBothEnds(EnvironmentContract):
    invalid = ("ACGUAC", "A", "AX")
    is_small = True

    def make(self):
        return Sequences("ACGU", 5, 2, "prepend_append")


class TestBothEndsOfFixedLength(EnvironmentContract):
    invalid = ("ABCA",)
    is_small = True

    def make(self):
        return Sequences("ABC", 5, order="prepend_append")


class TestBothEndsOfOneLetter(EnvironmentContract):
    invalid = ("AB",)
    is_small = True

    def make(self):
        return Sequences("AB", 1, order="prepend_append")


class TestLongWords(EnvironmentContract):
    invalid = ("A" * 61,)

    def make(self):
        return Sequences("ACDEFGHIKLMNPQRSTVWY", 60, 10, "prepend_append")


def words(letters, least, most):
    return {"".join(w) for n in range(least, most + 1) for w in itertools.product(letters, repeat=n)}


@pytest.mark.parametrize("order", ["append", "prepend_append"])
@pytest.mark.parametrize("least", [None, 2])
def test_every_word_is_reached_once(least, order):
    environment = Sequences("ABC", 4, least, order)
    found = environment.decode(terminal_states(environment))
    assert len(set(found)) == len(found)
    assert set(found) == words("ABC", least or 4, 4)


def test_words_of_long_letters_are_joined_and_split():
    environment = Sequences(["Ala", "Arg", "C", "Cl"], 3)
    found = environment.decode(terminal_states(environment))
    assert set(found) == words(["Ala", "Arg", "C", "Cl"], 3, 3)
    assert environment.encode(["ClCArg"])[0, :3].tolist() == [3, 2, 1]
    with pytest.raises(ValueError, match=r"'AlaClx'.*starting at 'x'"):
        environment.encode(["AlaClx"])


def test_letters_are_split_where_the_longest_match_is_wrong():
    """'ABBC' starts with the letter 'ABB', and yet it is 'AB' + 'BC'."""
    environment = Sequences(["AB", "ABB", "BC", "D"], 2)
    assert environment.encode(["ABBC"])[0, :2].tolist() == [0, 2]


@pytest.mark.parametrize(
    "alphabet",
    [["A", "AA"], ["A", "B", "AB"], ["A", "AB", "BA"], ["Co", "C", "o"], ["AB", "ABB", "B"], ["0", "010", "01", "10"]],
)
def test_alphabets_of_two_readings_are_refused(alphabet):
    with pytest.raises(ValueError, match="same text; write the letters in brackets"):
        Sequences(alphabet, 4)
    bracketed = Sequences([f"[{letter}]" for letter in alphabet], 2)
    found = bracketed.decode(terminal_states(bracketed))
    assert bracketed.decode(bracketed.encode(found)) == found


@pytest.mark.parametrize("alphabet", [["A", "AB", "ABB"], ["C", "Cl", "B", "Br"], ["0", "01", "11"], ["a", "ab", "bb"]])
def test_alphabets_of_one_reading_are_taken(alphabet):
    texts = [w for n in range(1, 6) for w in map("".join, itertools.product(alphabet, repeat=n))]
    assert len(set(texts)) == len(texts), "the test is wrong"
    environment = Sequences(alphabet, 5, 1)
    assert environment.decode(environment.encode(texts)) == texts


def test_letters_go_to_the_end_they_are_meant_for():
    environment = Sequences("ABCD", 4, 3, "prepend_append")
    states = environment.initial(2)
    for actions in ([0, 1], [1, 6], [7, 3], [8, 8]):  # A, AB, DAB and B, CB, CBD; then the stop
        states = environment.step(states, torch.tensor(actions))
    assert environment.decode(states) == ["DAB", "CBD"]
    assert torch.equal(states, environment.encode(["DAB", "CBD"]))
    assert environment.n_actions == 9
    states = environment.backward_step(states, torch.tensor([0, 0]))
    states = environment.backward_step(states, torch.tensor([1, 0]))
    assert states[:, :2].tolist() == [[0, 1], [2, 1]]


def test_the_first_letter_is_appended_and_a_stop_is_taken_back_first():
    environment = Sequences("AB", 3, 1, "prepend_append")
    assert environment.forward_mask(environment.initial(1)).tolist() == [[True, True, False, False, False]]
    stopped, full = environment.encode(["AB"]), environment.encode(["ABA"])
    assert environment.backward_mask(stopped).tolist() == [[True, False]]
    assert environment.backward_mask(full).tolist() == [[True, True]]
    assert environment.forward_action(stopped, torch.tensor([0])).item() == 4


@pytest.mark.parametrize("least", [None, 1])
def test_paths_are_counted_as_they_are_walked(least):
    """Every trajectory of a small space, one by one."""
    environment = Sequences("AB", 4, least, "prepend_append")
    states, walked = environment.initial(1), {}
    while len(states):
        row, action = environment.forward_mask(states).nonzero(as_tuple=True)
        states = environment.step(states[row], action)
        for name in environment.decode(states[environment.is_terminal(states)]):
            walked[name] = walked.get(name, 0) + 1
    assert walked.keys() == words("AB", least or 4, 4)
    counted = environment.log_paths(environment.encode([*walked])).exp()
    assert counted.tolist() == pytest.approx([*walked.values()])
    assert counted.max().item() == pytest.approx(8)


def test_words_written_from_the_left_have_one_history():
    environment = Sequences("AB", 4, 1)
    assert environment.log_paths(environment.encode(["A", "ABBA"])).tolist() == [0, 0]


def test_uniform_actions_reach_a_word_in_proportion_to_its_paths():
    """At fixed length, each of k steps has 2 n choices but the first, which has n."""
    found = object_distribution(Sequences("ABC", 3, order="prepend_append"), None)
    assert set(found) == words("ABC", 3, 3)
    assert all(math.isclose(p, 4 / (3 * 6 * 6)) for p in found.values())


def test_features_are_one_hot_letters_and_blanks():
    environment = Sequences("AB", 3, 1)
    assert environment.features(environment.encode(["BA"])).tolist() == [[0, 1, 0, 1, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("AA", 3), "none empty and none twice"),
        (("", 3), "none empty and none twice"),
        (([], 3), "none empty and none twice"),
        ((["A", ""], 3), "none empty and none twice"),
        ((["AB", "AB"], 3), "none empty and none twice"),
        (("AC", 3, 4), "min_length"),
        (("AC", 0), "length"),
        (("AC", 2.5), "length: must be a whole number of at least 1, got 2.5"),
        (("AC", 3, 1.5), "min_length: must be a whole number of at least 1, got 1.5"),
        (("AC", 3, 2, "prepend"), "order: 'prepend' is not one of append, prepend_append"),
    ],
)
def test_bad_arguments_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Sequences(*arguments)


def test_a_config_may_give_a_text_or_a_list():
    model = arguments_model(Sequences)
    assert model(alphabet="AC", length=3).alphabet == "AC"
    assert model(alphabet=["Ala", "Arg"], length=3, order="prepend_append").alphabet == ["Ala", "Arg"]
    with pytest.raises(ValueError, match="order"):
        model(alphabet="AC", length=3, order="prepend")


def test_survives_pickling():
    environment = Sequences(["Ala", "Arg"], 3, 1, "prepend_append")
    copy = pickle.loads(pickle.dumps(environment))
    assert copy.encode(["AlaArg"]).tolist() == environment.encode(["AlaArg"]).tolist()
