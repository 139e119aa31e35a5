"""The contract suite: a correct oracle passes, and each test finds the fault that it is there for."""

import itertools

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles.base import Fidelity, Objective, Oracle, Outcome
from al_loop.oracles.testing import OracleContract

TESTS = sorted(name for name in vars(OracleContract) if name.startswith("test_"))
COUNTER = itertools.count()


class Good(Oracle):
    """Answers all that an oracle may: noise, facts, files, fidelities, failures."""

    fidelities = (Fidelity("low", 0.0), Fidelity("high", 2.5))
    fidelity = "high"
    call_size = 4

    def answer(self, name):
        if not name.isalpha():
            return Outcome.failed("invalid", "not a word")
        value = float(len(name)) if self.fidelity == "high" else round(len(name) / 2)
        return Outcome(values=(value,), cost=1.0, noise=(0.5,), info={"n": 1}, artifacts={"log.txt": b"log", "a": "b"})

    def evaluate(self, objects):
        for name in objects:
            yield self.answer(name)


class Plain(Oracle):
    """Answers bare numbers alone."""

    def evaluate(self, objects):
        for name in objects:
            yield float(len(name)) if name.isalpha() else Outcome.failed("invalid", "not a word")


class Unready(Plain):
    def check(self):
        raise ConfigError("no licence")


class TwoOfOneName(Plain):
    objectives = (Objective("x"), Objective("x"))

    def evaluate(self, objects):
        for name in objects:
            yield (1.0, 2.0) if name.isalpha() else Outcome.failed("invalid", "not a word")


class Callless(Plain):
    call_size = 0


class SometimesNaN(Plain):
    def evaluate(self, objects):
        for answer in super().evaluate(objects):
            yield float("nan") if answer == 3.0 else answer


class Sorted(Plain):
    def evaluate(self, objects):
        yield from super().evaluate(sorted(objects))


class ValueForAnything(Plain):
    def evaluate(self, objects):
        yield from map(len, objects)


class NeverNothing(Plain):
    def evaluate(self, objects):
        yield from super().evaluate(objects or ["a"])


class OfItsOwnMind(Plain):
    def __init__(self):
        self.offset = next(COUNTER)

    def evaluate(self, objects):
        for answer in super().evaluate(objects):
            yield answer if isinstance(answer, Outcome) else answer + self.offset


class Forgetful(OfItsOwnMind):
    def __init__(self):
        self.offset = 0

    def __setstate__(self, state):
        self.offset = 1


class LeftBusy(Plain):
    is_busy = False

    def evaluate(self, objects):
        if self.is_busy:
            raise RuntimeError("the instrument is in use")
        self.is_busy = True
        yield from super().evaluate(objects)
        self.is_busy = False


class PaysBack(Good):
    def answer(self, name):
        return Outcome(values=(1.0,), cost=-1.0) if name.isalpha() else super().answer(name)


class NoisyInOneOfNone(Good):
    def answer(self, name):
        return Outcome(values=(1.0,), noise=(0.1, 0.2)) if name.isalpha() else super().answer(name)


class NoisyBelowZero(Good):
    def answer(self, name):
        return Outcome(values=(1.0,), noise=(-0.1,)) if name.isalpha() else super().answer(name)


class Unspeakable(Good):
    def answer(self, name):
        return Outcome(values=(1.0,), info={"when": object()}) if name.isalpha() else super().answer(name)


class Numbered(Good):
    def answer(self, name):
        return Outcome(values=(1.0,), info={1: 1}) if name.isalpha() else super().answer(name)


class Outside(Good):
    def answer(self, name):
        return Outcome(values=(1.0,), artifacts={"../log": b""}) if name.isalpha() else super().answer(name)


class Gone(Good):
    def answer(self, name):
        from pathlib import Path

        return Outcome(values=(1.0,), artifacts={"log": Path("/none")}) if name.isalpha() else super().answer(name)


class OnlyHigh(Good):
    def answer(self, name):
        return Outcome.failed("permanent", "no") if self.fidelity == "low" else super().answer(name)


class Priceless(Good):
    fidelities = (Fidelity("low", 0.0), Fidelity("high", float("nan")))


class DearestFirst(Good):
    fidelities = (Fidelity("high", 2.0), Fidelity("low", 1.0))


class AtNone(Good):
    fidelity = "middle"


class Turncoat(Good):
    def at(self, fidelity):
        self.fidelity = fidelity
        return self


BROKEN = {
    "test_check_passes": [Unready],
    "test_objectives_are_named_and_distinct": [TwoOfOneName],
    "test_a_call_takes_one_object_or_more": [Callless],
    "test_valid_objects_have_finite_values": [SometimesNaN],
    "test_one_outcome_for_each_object_in_order": [Sorted],
    "test_invalid_objects_are_failures": [ValueForAnything],
    "test_no_objects_have_no_outcomes": [NeverNothing],
    "test_a_new_oracle_gives_the_same_values": [OfItsOwnMind],
    "test_pickles_or_is_built_again": [Forgetful],
    "test_an_interrupted_call_leaves_the_oracle_usable": [LeftBusy],
    "test_costs_are_finite_and_not_below_zero": [PaysBack],
    "test_noise_is_one_standard_deviation_for_each_value": [NoisyInOneOfNone, NoisyBelowZero],
    "test_facts_are_json": [Unspeakable, Numbered],
    "test_artifacts_are_files_with_plain_names": [Outside, Gone],
    "test_every_fidelity_answers_at_a_cost": [OnlyHigh, Priceless, DearestFirst, AtNone],
    "test_another_fidelity_is_another_oracle": [Turncoat],
}


def outcomes_of(oracle_class):
    """Return the tests of the suite that fail, and those that are skipped."""

    class Suite(OracleContract):
        valid = ("ccc", "a", "bb")
        invalid = ("1", "")

        def make(self):
            return oracle_class()

    failed, skipped = [], []
    for name in TESTS:
        try:
            getattr(Suite(), name)()
        except pytest.skip.Exception:
            skipped.append(name)
        except Exception:
            failed.append(name)
    return failed, skipped


def test_a_good_oracle_passes_every_test():
    assert outcomes_of(Good) == ([], [])


def test_what_an_oracle_does_not_have_is_not_asked_for():
    failed, skipped = outcomes_of(Plain)
    assert failed == []
    assert skipped == ["test_another_fidelity_is_another_oracle", "test_every_fidelity_answers_at_a_cost"]


def test_each_test_of_the_suite_has_a_broken_oracle_here():
    assert sorted(BROKEN) == TESTS


@pytest.mark.parametrize(("test", "oracle_class"), [(test, broken) for test in BROKEN for broken in BROKEN[test]])
def test_a_broken_oracle_fails_the_test_of_what_is_broken_and_no_other(test, oracle_class):
    assert outcomes_of(oracle_class)[0] == [test]


def test_an_author_who_names_no_valid_object_is_told_so():
    class Suite(OracleContract):
        def make(self):
            return Good()

    with pytest.raises(AssertionError, match="name at least one valid object"):
        Suite().test_valid_objects_have_finite_values()
