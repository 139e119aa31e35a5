"""Answers of oracles, good and bad, as ``evaluate_all`` returns them."""

import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import al_loop.oracles.base
from al_loop.oracles.base import (
    Call,
    Failure,
    Fidelity,
    Objective,
    Oracle,
    OracleError,
    Outcome,
    as_outcome,
    current_call,
    evaluate_all,
    evaluate_each,
)


class Scripted(Oracle):
    """Yields the given answers; an exception among them is raised."""

    def __init__(self, *answers):
        self.answers = answers

    def evaluate(self, objects):
        for answer in self.answers:
            if isinstance(answer, BaseException):
                raise answer
            yield answer


class Direct(Oracle):
    """Returns or raises before any answer is taken."""

    def __init__(self, answer):
        self.answer = answer

    def evaluate(self, objects):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def values_of(outcomes):
    return [outcome.values for outcome in outcomes]


def kinds_of(outcomes):
    return [outcome.failure and outcome.failure.kind for outcome in outcomes]


def test_numbers_and_outcomes_are_answers_in_order():
    outcomes = evaluate_all(Scripted(1, Outcome(values=(2.5,), cost=3.0, info={"a": 1})), ["x", "y"])
    assert values_of(outcomes) == [(1.0,), (2.5,)]
    assert outcomes[1].cost == 3.0
    assert outcomes[1].info == {"a": 1}


@pytest.mark.parametrize("answer", [(1, 2), [1.0, 2.0], np.array([1.0, 2.0]), iter([1, 2])])
def test_several_values_come_as_any_sequence(answer):
    assert as_outcome(answer, 2).values == (1.0, 2.0)


@pytest.mark.parametrize("answer", [np.float32(1.5), np.array(1.5), np.array([1.5])])
def test_numpy_numbers_become_plain_floats(answer):
    values = as_outcome(answer, 1).values
    assert values == (1.5,)
    assert type(values[0]) is float


def test_exception_midway_fails_its_object_and_the_rest_may_be_retried():
    outcomes = evaluate_all(Scripted(1.0, ValueError("broken"), 3.0), ["x", "y", "z"])
    assert outcomes[0].values == (1.0,)
    assert outcomes[1].failure == Failure("permanent", "ValueError: broken")
    assert outcomes[2].failure == Failure("retryable", "not reached: ValueError: broken")


def test_oracle_error_midway_names_the_kind():
    outcomes = evaluate_all(Scripted(1.0, OracleError("invalid", "no conformer")), ["x", "y"])
    assert outcomes[1].failure == Failure("invalid", "no conformer")


def test_exception_before_the_first_turn_goes_to_all():
    assert kinds_of(evaluate_all(Direct(OracleError("retryable", "busy")), ["x", "y"])) == ["retryable", "retryable"]
    assert kinds_of(evaluate_all(Direct(RuntimeError("no")), ["x", "y"])) == ["permanent", "permanent"]


def test_sys_exit_inside_an_oracle_is_a_failure():
    assert evaluate_all(Scripted(SystemExit(3)), ["x"])[0].failure == Failure("permanent", "SystemExit: 3")


def test_keyboard_interrupt_passes_through():
    with pytest.raises(KeyboardInterrupt):
        evaluate_all(Scripted(KeyboardInterrupt()), ["x"])


@pytest.mark.parametrize("answer", [math.nan, math.inf, Outcome(values=(math.nan,)), np.float64("nan")])
def test_values_that_are_not_finite_are_failures(answer):
    outcomes = evaluate_all(Scripted(answer, 2.0), ["x", "y"])
    assert kinds_of(outcomes) == ["permanent", None]
    assert outcomes[0].failure.reason in {f"the oracle returned {x}, which is not finite" for x in ("nan", "inf")}


@pytest.mark.parametrize(
    "answer", [None, "3.5", b"3", ["1"], {"a": 1.0}, {1.0}, object(), 1j, Outcome(values="7"), Outcome(values=(None,))]
)
def test_garbage_is_a_failure_and_the_next_answer_still_counts(answer):
    outcomes = evaluate_all(Scripted(answer, 2.0), ["x", "y"])
    assert kinds_of(outcomes) == ["permanent", None]
    assert "not a number" in outcomes[0].failure.reason


@pytest.mark.parametrize("answer", [(), (1.0, 2.0), Outcome(values=(1.0, 2.0))])
def test_wrong_count_of_values_is_a_failure(answer):
    assert "expected 1" in as_outcome(answer, 1).failure.reason


def test_answers_that_are_not_as_many_as_the_objects_are_not_assigned():
    for oracle in (Scripted(1.0), Direct([1.0]), Direct(np.array([1.0])), Scripted(1.0, 2.0, 3.0, 4.0)):
        outcomes = evaluate_all(oracle, ["x", "y", "z"])
        assert kinds_of(outcomes) == ["environment"] * 3
        assert "answer" in outcomes[0].failure.reason
    assert kinds_of(evaluate_all(Direct([1.0, 2.0, 3.0]), ["x", "y"])) == ["environment", "environment"]
    assert kinds_of(evaluate_all(Scripted(1.0, 2.0), ["x"])) == ["permanent"]
    assert evaluate_all(Scripted(), ["x"])[0].failure.reason == "the oracle returned no answer for this object"


class ByLoop(Oracle):
    """Yields the length of each object that is not bad, as a loop that skips some does."""

    def evaluate(self, objects):
        for name in objects:
            if name == "stop":
                raise ValueError("no")
            if "bad" not in name:
                yield len(name)


class Prefetching(Oracle):
    """Prepares all objects, then yields the lengths of those that it could prepare."""

    def evaluate(self, objects):
        for n in [len(name) for name in objects if "bad" not in name]:
            if n == 4:
                raise ValueError("no")
            yield n


def test_a_generator_that_skips_an_object_gives_none_the_answer_of_another():
    outcomes = evaluate_all(ByLoop(), ["a", "bb", "bad", "cccc", "ddddd"])
    assert values_of(outcomes) == [(1.0,), (2.0,), None, None, None]
    assert "4 answers for 5 objects" in outcomes[2].failure.reason
    assert values_of(evaluate_all(Prefetching(), ["a", "bad", "cc"])) == [None, None, None]
    assert values_of(evaluate_all(Prefetching(), ["a", "bb", "ccc"])) == [(1.0,), (2.0,), (3.0,)]


def test_a_generator_that_raises_out_of_step_gives_none_the_answer_or_failure_of_another():
    outcomes = evaluate_all(ByLoop(), ["a", "bad", "bb", "stop"])
    assert values_of(outcomes) == [(1.0,), None, None, None]
    assert kinds_of(outcomes) == [None, "retryable", "retryable", "retryable"]
    assert kinds_of(evaluate_all(Prefetching(), ["bad", "a", "four"])) == ["retryable"] * 3
    in_step = evaluate_all(ByLoop(), ["a", "stop", "bb"])
    assert kinds_of(in_step) == [None, "permanent", "retryable"]


def by_column(names, columns):
    return pd.DataFrame(dict(zip(["object", *columns], [names, *columns.values()], strict=True)))


@pytest.mark.parametrize(
    "answer",
    [
        {"y": 2.0, "x": 1.0, "z": 3.0},
        {"y": Outcome(values=(2.0,)), "x": np.float32(1), "z": [3]},
        pd.Series({"y": 2.0, "x": 1.0, "z": 3.0}),
        pd.Series([1.0, 2.0, 3.0]),
        pd.DataFrame({"value": [2, 1, 3]}, index=["y", "x", "z"]),
        pd.DataFrame({"value": [1, 2, 3], "note": "a"}),
        by_column(["z", "x", "y"], {"value": [3, 1, 2]}),
        np.array([1, 2, 3]),
        np.array([[1], [2], [3]]),
        (np.float64(v) for v in (1, 2, 3)),
        map(float, [1, 2, 3]),
        {"x": 1, "y": 2, "z": 3}.values(),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_answers_that_certainly_match_are_used(answer):
    assert values_of(evaluate_all(Direct(answer), ["x", "y", "z"])) == [(1.0,), (2.0,), (3.0,)]


@pytest.mark.parametrize(
    "answer",
    [
        {1.0, 2.0, 3.0},
        {"x": 1, "y": 2, "z": 3}.items(),
        {"value": [1, 2, 3]},
        {"a": 1, "b": 2, "c": 3},
        "123",
        pd.Series([1.0, 2.0, 3.0]).sort_values(ascending=False),
        pd.Series([1.0, 2.0, 3.0], index=["x", "x", "y"]),
        pd.Series([1.0, 2.0]),
        pd.DataFrame({"a": [1, 2, 3], "b": [1, 2, 3]}),
        pd.DataFrame({"value": [1, 2, 3]}, index=[2, 0, 1]),
        np.array([[1, 2, 3]]),
        np.ones((3, 2)),
        np.ones((3, 1, 1)),
        np.array(1.0),
        iter([1.0, 2.0]),
        (v for v in (1, 2, 3, 4)),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_answers_that_may_be_those_of_other_objects_are_failures(answer):
    outcomes = evaluate_all(Direct(answer), ["x", "y", "z"])
    assert values_of(outcomes) == [None, None, None]


def test_a_mapping_fails_only_the_objects_that_it_lacks():
    outcomes = evaluate_all(Direct({"z": 3.0, "x": 1.0, "w": 4.0}), ["x", "y", "z"])
    assert values_of(outcomes) == [(1.0,), None, (3.0,)]
    assert outcomes[1].failure.reason == "the oracle returned no answer for this object"


def test_columns_of_several_objectives_are_found_by_name():
    oracle = Direct(pd.DataFrame({"b": [2.0, 4.0], "a": [1.0, 3.0], "other": 0}))
    oracle.objectives = (Objective("a"), Objective("b"))
    assert values_of(evaluate_all(oracle, ["x", "y"])) == [(1.0, 2.0), (3.0, 4.0)]
    oracle.answer = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert values_of(evaluate_all(oracle, ["x", "y"])) == [(1.0, 2.0), (3.0, 4.0)]
    for answer in (np.array([1.0, 2.0]), pd.DataFrame({"b": [2.0, 4.0], "c": [1.0, 3.0]})):
        oracle.answer = answer
        assert values_of(evaluate_all(oracle, ["x", "y"])) == [None, None]


def test_the_objects_of_a_call_are_a_list_in_every_other_respect():
    class Curious(Oracle):
        def evaluate(self, objects):
            assert objects == ["x", "y"]
            assert isinstance(objects, list)
            assert (len(objects), objects[-1], objects[:1], "y" in objects) == (2, "y", ["x"], True)
            assert type(pickle.loads(pickle.dumps(objects))) is list
            return list(map(len, objects))

    assert values_of(evaluate_all(Curious(), ["x", "y"])) == [(1.0,), (1.0,)]


def test_each_answer_is_handed_on_before_the_next_is_asked_for():
    asked = []

    class Slow(Oracle):
        def evaluate(self, objects):
            for name in objects:
                asked.append(name)
                yield 1.0

    answers = evaluate_each(Slow(), ["x", "y", "z"])
    assert next(answers).values == (1.0,)
    assert asked == ["x"]


def test_an_oracle_sees_the_key_of_its_call():
    class Billed(Oracle):
        def evaluate(self, objects):
            for name in objects:
                yield Outcome(values=(1.0,), info={"key": current_call().keys[name]})

    assert evaluate_all(Billed(), ["x"], Call({"x": "k1"}))[0].info == {"key": "k1"}
    assert current_call().keys == {}


@pytest.mark.parametrize(
    ("noise", "kept"), [((0.5,), (0.5,)), (0.5, (0.5,)), ((0.1, 0.2), None), (math.nan, None), (-1.0, None)]
)
def test_noise_is_one_standard_deviation_per_value_or_not_stated(noise, kept):
    outcome = as_outcome(Outcome(values=(1.0,), noise=noise), 1)
    assert (outcome.values, outcome.noise) == ((1.0,), kept)


def test_artifacts_are_read_and_one_that_cannot_be_kept_loses_no_value(tmp_path):
    (tmp_path / "log").write_bytes(b"\x00log")
    given = {"a.txt": "text", "b": b"bytes", "c.log": tmp_path / "log"}
    assert as_outcome(Outcome(values=(1.0,), artifacts=given), 1).artifacts == {
        "a.txt": b"text",
        "b": b"bytes",
        "c.log": b"\x00log",
    }
    for name, content in [("../x", b""), ("/etc/x", b""), ("", b""), ("..", b""), ("x", tmp_path / "none"), ("x", 3.0)]:
        outcome = as_outcome(Outcome(values=(1.0,), artifacts={name: content, "ok": b""}), 1)
        assert (outcome.values, outcome.artifacts) == ((1.0,), {"ok": b""})
        assert "artifacts_lost" in outcome.info
    assert as_outcome(Outcome(values=(1.0,), artifacts=[1]), 1).values == (1.0,)


def test_an_oracle_at_another_fidelity_is_another_oracle():
    class Two(Oracle):
        fidelities = (Fidelity("low", 1.0), Fidelity("high", 10.0))
        fidelity = "high"

        def evaluate(self, objects):
            return [1.0 if self.fidelity == "low" else 2.0 for _ in objects]

    high = Two()
    assert evaluate_all(high.at("low"), ["x"])[0].values == (1.0,)
    assert evaluate_all(high, ["x"])[0].values == (2.0,)
    with pytest.raises(ValueError, match="'middle' is not one of low, high"):
        high.at("middle")


@pytest.mark.parametrize("answer", [None, 1.0])
def test_evaluate_that_returns_no_iterable_is_a_failure(answer):
    assert kinds_of(evaluate_all(Direct(answer), ["x"])) == ["permanent"]


@pytest.mark.parametrize("cost", [math.nan, math.inf, -1.0, "much"])
def test_a_cost_that_is_no_cost_does_not_lose_the_value(cost):
    outcome = as_outcome(Outcome(values=(1.0,), cost=cost), 1)
    assert outcome.values == (1.0,)
    assert outcome.cost is None


def test_info_is_made_json():
    info = {"n": np.int64(3), "bad": math.nan, "object": {1, 2}, 4: "key", "fine": [1, None]}
    outcome = as_outcome(Outcome(values=(1.0,), info=info), 1)
    assert outcome.info == {"n": 3, "bad": "nan", "object": "{1, 2}", "4": "key", "fine": [1, None]}


def test_a_failure_keeps_its_cost():
    outcome = as_outcome(Outcome(failure=Failure("invalid", "no"), cost=2.0), 1)
    assert (outcome.failure, outcome.cost) == (Failure("invalid", "no"), 2.0)


def test_an_outcome_has_either_values_or_a_failure():
    with pytest.raises(ValueError, match="either"):
        Outcome()
    with pytest.raises(ValueError, match="either"):
        Outcome(values=(1.0,), failure=Failure("invalid", "no"))


def test_words_outside_the_vocabulary_are_refused():
    with pytest.raises(ValueError, match="retryable"):
        Failure("odd", "no")
    with pytest.raises(ValueError, match="minimise"):
        Objective("x", goal="min")


def test_oracle_error_survives_pickling():
    error = pickle.loads(pickle.dumps(OracleError("timeout", "late")))
    assert error.failure == Failure("timeout", "late")
    assert str(error) == "late"


def test_importing_the_room_loads_nothing_heavy():
    folder = Path(al_loop.oracles.base.__file__).parent
    modules = ", ".join(f"al_loop.oracles.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__")
    heavy = "{'torch', 'ray', 'rdkit', 'tblite', 'vina', 'meeko', 'RNA', 'numpy'}"
    code = f"import sys, {modules}; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (1.7e308, "1.7e+308"),
        (-1e200, "-1e+200"),
        (Outcome(values=(1.0,), noise=(1e200,)), "1 ± 1e+200"),
    ],
)
def test_a_value_that_no_model_can_learn_from_is_a_failure_that_keeps_it(answer, kept):
    outcome = as_outcome(answer, 1)
    assert outcome.failure is not None
    assert "at most 1e+50" in outcome.failure.reason
    assert outcome.info["refused"] == [kept]


def test_small_numbers_are_values():
    assert math.copysign(1.0, as_outcome(-0.0, 1).values[0]) == 1.0
    assert as_outcome(Outcome(values=(5e-324,), noise=(1e-300,)), 1).values == (5e-324,)


@pytest.mark.parametrize(
    "answer", [(1.0, None), [1.0, math.nan], (1.0, math.inf), np.array([1.0, np.nan]), (1.0, 1e99)]
)
def test_one_of_several_values_may_be_missing(answer):
    outcome = as_outcome(answer, 2)
    assert outcome.values[0] == 1.0
    assert math.isnan(outcome.values[1])
    assert as_outcome((None, math.nan), 2).failure.kind == "permanent"


def test_noise_of_a_missing_value_is_missing():
    outcome = as_outcome(Outcome(values=(1.0, math.nan), noise=(0.5, 2.0)), 2)
    assert outcome.noise[0] == 0.5
    assert math.isnan(outcome.noise[1])


def test_bounds_are_one_for_each_value():
    assert as_outcome(Outcome(values=(4.0, 1.0), censored=("<", None)), 2).censored == ("<", None)
    assert as_outcome(Outcome(values=(4.0,), censored=(None,)), 1).censored is None
    for censored in (("<", ">"), ("=",)):
        assert "censored" in as_outcome(Outcome(values=(4.0,), censored=censored), 1).failure.reason


def test_goals_may_be_spelled_as_in_american():
    assert (Objective("a", goal="maximize").goal, Objective("b", goal="minimize").goal) == ("maximise", "minimise")
