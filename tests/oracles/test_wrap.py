"""Oracles made from functions, classes and what else a config may name as a target."""

import functools
import pickle
import re

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles.base import Call, Failure, Fidelity, Objective, Oracle, OracleError, Outcome, evaluate_all
from al_loop.oracles.testing import OracleContract
from al_loop.oracles.wrap import FunctionOracle, oracle, oracle_from


def length(word: str, scale: float = 1.0) -> float:
    if word == "bad":
        raise ValueError("bad word")
    if word == "strange":
        raise OracleError("invalid", "a strange word")
    if word == "exit":
        raise SystemExit(1)
    return scale * len(word)


@oracle(name="letters", unit="1", goal="minimise", version="3")
def marked(word):
    return len(word)


@oracle(objectives=[Objective("n"), Objective("n_a", goal="minimise")])
def pair(word):
    return len(word), word.count("a")


class Duck:
    objectives = ("n", "n_a")
    goal = "minimise"
    version = 2
    call_size = 8

    def __init__(self, offset: float = 0.0):
        self.offset = offset

    def evaluate(self, objects):
        return [Outcome.failed("invalid", "empty") if not o else (len(o) + self.offset, o.count("a")) for o in objects]

    def check(self):
        if self.offset < 0:
            raise ConfigError("offset: negative")


@oracle(name="length", fidelities={"exact": 10, "rough": 1}, object_type="sequence", call_size=16)
def measured(word, fidelity: str, *, scale: float = 1.0):
    return scale * (len(word) if fidelity == "exact" else round(len(word), -1))


class Levels:
    """Like an Oracle, without being one."""

    fidelities = (Fidelity("rough", 1.0), Fidelity("exact", 10.0))
    object_type = "sequence"

    def evaluate(self, objects):
        return [float(len(o) if self.fidelity == "exact" else round(len(o), -1)) for o in objects]


class Switched(Levels):
    """Changes to another fidelity in a way of its own."""

    def __init__(self):
        self.fidelity, self.n_switched = "rough", 0

    def at(self, fidelity):
        other = Switched()
        other.fidelity, other.n_switched = fidelity, self.n_switched + 1
        return other


class Proper(Oracle):
    def __init__(self, power: int = 1):
        self.power = power

    def evaluate(self, objects):
        for item in objects:
            yield len(item) ** self.power


class Unfinished(Oracle):
    pass


class TestFunctionContract(OracleContract):
    valid = ("a", "abc")
    invalid = ("bad", "strange", "exit")

    def make(self):
        return oracle_from(length, scale=2.0)


class TestDuckContract(OracleContract):
    valid = ("a", "abc")
    invalid = ("",)

    def make(self):
        return oracle_from(Duck, offset=1.0)


class TestSubclassContract(OracleContract):
    valid = ("a", "abc")

    def make(self):
        return oracle_from(Proper, power=2)


class TestClosureContract(OracleContract):
    """A function that does not pickle is built again."""

    valid = ("a", "abc")

    def make(self):
        return oracle_from(lambda word: len(word))


def test_a_function_that_raises_fails_that_object_only():
    outcomes = evaluate_all(oracle_from(length), ["a", "bad", "strange", "exit", "abc"])
    assert [outcome.values for outcome in outcomes] == [(1.0,), None, None, None, (3.0,)]
    assert outcomes[1].failure == Failure("permanent", "ValueError: bad word")
    assert outcomes[2].failure == Failure("invalid", "a strange word")


def test_keyword_options_reach_the_function():
    assert evaluate_all(oracle_from(length, scale=2.0), ["abc"])[0].values == (6.0,)


def test_a_plain_function_names_its_value():
    assert oracle_from(length).objectives == (Objective("length"),)
    assert oracle_from(lambda word: 1.0).objectives == (Objective("value"),)


def test_the_decorator_says_what_is_measured():
    made = oracle_from(marked)
    assert made.objectives == (Objective("letters", "1", "minimise"),)
    assert made.version == "3"
    assert marked("abc") == 3


def test_bare_attributes_do_as_well():
    def energy(word):
        return 1.0

    energy.unit, energy.goal, energy.version = "eV", "minimise", 4
    made = oracle_from(energy)
    assert (made.objectives, made.version) == ((Objective("energy", "eV", "minimise"),), "4")


def test_several_objectives():
    assert evaluate_all(oracle_from(pair), ["aab"])[0].values == (3.0, 2.0)


def test_a_class_with_evaluate_keeps_what_it_says():
    made = oracle_from(Duck)
    assert made.objectives == (Objective("n", goal="minimise"), Objective("n_a", goal="minimise"))
    assert (made.version, made.call_size) == ("2", 8)
    with pytest.raises(ConfigError, match="offset"):
        oracle_from(Duck, offset=-1.0).check()


def test_an_oracle_subclass_is_built_as_it_is():
    made = oracle_from(Proper, power=3)
    assert type(made) is Proper
    assert made.power == 3


def test_arguments_are_converted_by_their_annotation():
    assert oracle_from(Proper, power="3").power == 3


LEVELS = (Fidelity("rough", 1.0), Fidelity("exact", 10.0))


class TestFidelitiesContract(OracleContract):
    valid = ("a" * 12, "a" * 17)

    def make(self):
        return oracle_from(measured)


class TestDuckFidelitiesContract(TestFidelitiesContract):
    def make(self):
        return oracle_from(Levels)


@pytest.mark.parametrize("target", [measured, Levels])
def test_fidelities_are_told_to_what_is_wrapped(target):
    made = oracle_from(target)
    assert (made.fidelities, made.fidelity, made.object_type) == (LEVELS, "exact", "sequence")
    word = "a" * 17
    assert evaluate_all(made.at("rough"), [word])[0].values == (20.0,)
    assert evaluate_all(made, [word], Call(fidelity="rough"))[0].values == (20.0,)
    assert evaluate_all(made, [word])[0].values == (17.0,), "the oracle itself has changed"
    with pytest.raises(ValueError, match="rough, exact"):
        made.at("middle")


def test_a_class_with_at_of_its_own_is_asked():
    made = oracle_from(Switched)
    assert made.fidelity == "rough"
    other = made.at("exact")
    assert (evaluate_all(other, ["a" * 17])[0].values, other.inner.n_switched) == ((17.0,), 1)
    assert made.at("rough") is made


def test_a_config_may_choose_the_fidelity_of_a_function():
    made = oracle_from(measured, fidelity="rough", scale="2")
    assert (made.fidelity, made.call_size) == ("rough", 16)
    assert evaluate_all(made, ["a" * 17])[0].values == (40.0,)
    assert evaluate_all(made.at("exact"), ["a" * 17])[0].values == (34.0,)


def test_without_fidelities_that_argument_is_one_like_any_other():
    def plain(word, fidelity: int = 3):
        return fidelity

    assert evaluate_all(oracle_from(plain, fidelity="7"), ["a"])[0].values == (7.0,)


def test_function_oracles_pickle():
    copy = pickle.loads(pickle.dumps(oracle_from(length, scale=3.0)))
    assert isinstance(copy, FunctionOracle)
    assert evaluate_all(copy, ["ab"])[0].values == (6.0,)


def test_partials_and_callable_objects_are_functions():
    assert evaluate_all(oracle_from(functools.partial(length, scale=5.0)), ["ab"])[0].values == (10.0,)
    assert evaluate_all(oracle_from(len), ["ab"])[0].values == (2.0,)


async def later(word):
    return 1.0


def nothing():
    return 1.0


def odd(word):
    return 1.0


odd.goal = "upwards"


@oracle(fidelities={"low": 1.0})
def deaf(word):
    return 1.0


@oracle(fidelities={"low": -1.0})
def free(word, fidelity):
    return 1.0


class Unpriced(Levels):
    fidelities = ("low", "high")


class Lost(Levels):
    fidelity = "middle"


class Empty(Levels):
    call_size = 0


@pytest.mark.parametrize(
    ("target", "kwargs", "named"),
    [
        (3, {}, "neither"),
        (dict, {}, "evaluate"),
        (Unfinished, {}, "evaluate"),
        (Proper(), {}, "Proper"),
        (Duck(), {}, "Duck"),
        (later, {}, "async"),
        (nothing, {}, "the object"),
        (odd, {}, "upwards"),
        (length, {"scael": 2.0}, "scael"),
        (deaf, {}, "'fidelity'"),
        (free, {}, "low"),
        (measured, {"fidelity": "middle"}, "'middle' is not one of rough, exact"),
        (Unpriced, {}, "fidelities"),
        (Lost, {}, "'middle' is not one of rough, exact"),
        (Empty, {}, "call_size"),
        (length, {"scale": "much"}, "scale"),
        (Proper, {"powr": 2}, "powr"),
        (Proper, {"power": "high"}, "power"),
    ],
)
def test_anything_else_is_refused_with_its_reason(target, kwargs, named):
    with pytest.raises(ConfigError, match=named):
        oracle_from(target, **kwargs)


async def asynchronous(word):
    return 1.0


async def asynchronous_generator(word):
    yield 1.0


class AsynchronousCall:
    async def __call__(self, word):
        return 1.0


class AsynchronousOracle:
    async def evaluate(self, objects):
        return [1.0 for _ in objects]


@pytest.mark.parametrize(
    "target",
    [
        asynchronous,
        asynchronous_generator,
        AsynchronousCall(),
        AsynchronousOracle,
        functools.partial(asynchronous),
    ],
)
def test_async_code_is_refused(target):
    with pytest.raises(ConfigError, match="is an async function, which is not supported"):
        oracle_from(target)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda word: asynchronous(word), "async functions are not supported"),
        (lambda word: asynchronous_generator(word), "async functions are not supported"),
        (lambda word: None, r"the oracle returned None \(is a return missing\?\), which is not a number"),
    ],
)
def test_an_answer_that_is_none_says_what_may_be_wrong(answer, reason):
    (outcome,) = evaluate_all(oracle_from(answer), ["A"])
    assert re.search(reason, outcome.failure.reason)


def test_an_evaluate_without_return_says_so():
    class Silent(Oracle):
        def evaluate(self, objects):
            pass

    (outcome,) = evaluate_all(Silent(), ["A"])
    assert "None (is a return or yield missing?)" in outcome.failure.reason


@pytest.mark.parametrize("target", [functools.partial(pow, exp=2), "AC".count, len])
def test_partials_methods_and_functions_in_c_are_oracles(target):
    assert oracle_from(target).objectives


def test_values_by_name_are_put_in_the_order_of_the_objectives():
    def named(item):
        return {"b": 2.0, "a": 1.0} if item == "x" else {"b": 2.0}

    named.objectives = ("a", "b")
    whole, part = oracle_from(named).evaluate(["x", "y"])
    assert whole.values == (1.0, 2.0)
    assert part.failure.reason == "the oracle returned b by name, and not a"
