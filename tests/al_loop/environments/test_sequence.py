import pytest

from al_loop.environments.sequence import Sequences
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact import terminal_states


class TestFixedLength(EnvironmentContract):
    invalid = ("ACG", "ACGUA", "ACGT", "", "acgu")

    def make(self):
        return Sequences("ACGU", 4)


class TestVariableLength(EnvironmentContract):
    invalid = ("AC", "ACGUAC", "ACGX")

    def make(self):
        return Sequences("ACGU", 5, 3)


class TestOneLetterWords(EnvironmentContract):
    invalid = ("XY",)

    def make(self):
        return Sequences("XYZ", 1)


@pytest.mark.parametrize(("least", "expected"), [(None, 81), (2, 9 + 27 + 81)])
def test_every_word_is_reached_once(least, expected):
    environment = Sequences("ABC", 4, least)
    states = terminal_states(environment)
    assert len(set(environment.decode(states))) == len(states) == expected


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("AA", 3), "each letter once"),
        (("", 3), "each letter once"),
        (("AC", 3, 4), "min_length"),
        (("AC", 0), "length"),
    ],
)
def test_bad_arguments_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Sequences(*arguments)
