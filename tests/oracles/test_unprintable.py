"""Values of a user's oracle that have no text."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from al_loop.ledger.schema import clean_json
from al_loop.oracles.base import Oracle, Outcome, as_outcome, evaluate_each


class _Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    __str__ = __repr__


@pytest.mark.parametrize(
    "value", [10**5000, -(10**5000), _Unprintable(), [_Unprintable()], {_Unprintable(): 1}], ids=range(5)
)
def test_facts_without_a_text_cost_no_value(value: object) -> None:
    outcome = as_outcome(Outcome((1.0,), info={"fact": value, "other": 2}), 1)
    assert (outcome.values, outcome.info["other"]) == ((1.0,), 2)
    json.dumps(outcome.info)
    assert json.loads(json.dumps(clean_json({"fact": value})))


@pytest.mark.parametrize(
    "answer", [_Unprintable(), 10**5000, [_Unprintable()], Outcome((1.0,), cost=10**5000)], ids=range(4)
)
def test_an_answer_without_a_text_is_at_most_a_failure(answer: object) -> None:
    outcome = as_outcome(answer, 1)
    assert (outcome.values == (1.0,)) == isinstance(answer, Outcome)
    assert outcome.cost is None


def test_an_exception_without_a_text_is_the_answer_of_its_object() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    class Raising(Oracle):
        def evaluate(self, objects: Sequence[str]) -> list[Outcome]:
            raise SilentError

    outcomes = list(evaluate_each(Raising(), ["a", "b"]))
    assert [o.failure is not None for o in outcomes] == [True, True]
