"""The contract of all oracles, as a test suite: subclass OracleContract in your own test file and run pytest."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from al_loop.oracles.base import Oracle, Outcome, evaluate_all


class OracleContract:
    """Base class for the tests of one oracle.

    Subclass it under a name that starts with ``Test``, implement ``make`` and fill ``valid``; features that the oracle
    does not have (fidelities, noise, artifacts) are not required::

        class TestMyOracle(OracleContract):
            valid = ("CCO", "c1ccccc1")
            invalid = ("not a molecule",)

            def make(self) -> Oracle:
                return MyOracle()
    """

    #: objects that have a value; at least two with different values, so that a wrong order of answers is noticed
    valid: ClassVar[Sequence[str]] = ()
    #: objects that cannot have a value
    invalid: ClassVar[Sequence[str]] = ()
    #: True if two calls for the same object may differ, so that values are not compared
    is_noisy: ClassVar[bool] = False

    def make(self) -> Oracle:
        """Return a new oracle, built from the same arguments each time."""
        raise NotImplementedError(f"{type(self).__name__} must implement make()")

    def _same(self, left: Sequence[Outcome], right: Sequence[Outcome]) -> bool:
        if self.is_noisy:
            return [o.values is None for o in left] == [o.values is None for o in right]
        return [o.values for o in left] == [o.values for o in right]

    def _raw_outcomes(self) -> Iterator[tuple[str, Outcome]]:
        """Yield each object with the Outcome that ``evaluate`` yields for it; skip those that get a bare number."""
        objects = [*self.valid, *self.invalid]
        for item, answer in zip(objects, self.make().evaluate(objects), strict=True):
            if isinstance(answer, Outcome):
                yield item, answer

    def _with_fidelities(self) -> Oracle:
        oracle = self.make()
        if not oracle.fidelities:
            import pytest

            pytest.skip("the oracle has no fidelities")
        return oracle

    def test_check_passes(self) -> None:
        self.make().check()

    def test_objectives_are_named_and_distinct(self) -> None:
        names = [objective.name for objective in self.make().objectives]
        assert names, "objectives: empty, expected at least one"
        assert all(names), f"objectives: {names}, expected a name for each"
        assert len(set(names)) == len(names), f"objectives: {names}, expected distinct names"

    def test_a_call_takes_one_object_or_more(self) -> None:
        call_size = self.make().call_size
        assert call_size >= 1, (
            f"call_size: {call_size}, expected at least 1 (the maximum number of objects in one call)"
        )

    def test_valid_objects_have_finite_values(self) -> None:
        assert self.valid, "valid: empty; name at least one valid object"
        oracle = self.make()
        n_objectives = len(oracle.objectives)
        for item, outcome in zip(self.valid, evaluate_all(oracle, self.valid), strict=True):
            assert outcome.values is not None, f"{item!r} should have a value, but failed: {outcome.failure}"
            assert len(outcome.values) == n_objectives, f"{item!r}: {outcome.values}, expected {n_objectives} values"
            assert all(math.isfinite(value) for value in outcome.values), f"{item!r}: {outcome.values} is not finite"

    def test_one_outcome_for_each_object_in_order(self) -> None:
        oracle = self.make()
        objects = [item for pair in zip(self.valid, self.invalid, strict=False) for item in pair] + [*self.valid]
        answers = list(oracle.evaluate(objects))
        assert len(answers) == len(objects), f"evaluate gave {len(answers)} answers for {len(objects)} objects"
        alone = {item: evaluate_all(oracle, [item])[0] for item in dict.fromkeys(objects)}
        together = evaluate_all(oracle, objects)
        for item, outcome in zip(objects, together, strict=True):
            assert self._same([outcome], [alone[item]]), (
                f"{item!r} has another value among other objects than alone (are the answers in order?): "
                f"{outcome} among others, {alone[item]} alone"
            )

    def test_invalid_objects_are_failures(self) -> None:
        oracle = self.make()
        for item in self.invalid:
            answers = list(oracle.evaluate([item]))  # called directly, not by evaluate_all: it must not raise
            assert len(answers) == 1, f"{item!r}: evaluate gave {len(answers)} answers, expected one failure"
            failure = evaluate_all(oracle, [item])[0].failure
            assert failure is not None, f"{item!r} should fail, but has a value"
            assert failure.reason, f"{item!r}: the failure has no reason"

    def test_no_objects_have_no_outcomes(self) -> None:
        answers = list(self.make().evaluate([]))
        assert answers == [], f"evaluate([]) gave {answers}, expected no answers"

    def test_a_new_oracle_gives_the_same_values(self) -> None:
        first, second = evaluate_all(self.make(), self.valid), evaluate_all(self.make(), self.valid)
        assert self._same(first, second), f"a second instance gives other values: {first} at first, then {second}"

    def test_pickles_or_is_built_again(self) -> None:
        oracle = self.make()
        before = evaluate_all(oracle, self.valid[:1])
        try:
            copy: Oracle = pickle.loads(pickle.dumps(oracle))
        except Exception:  # a worker builds such an oracle from the config again
            copy = self.make()
        assert copy.objectives == oracle.objectives, "a pickled copy has other objectives"
        after = evaluate_all(copy, self.valid[:1])
        assert self._same(before, after), f"a pickled copy gives other values: {before} before, {after} from the copy"

    def test_an_interrupted_call_leaves_the_oracle_usable(self) -> None:
        """Close a call before its last answer, as a worker does that is told to stop, and make another call."""
        oracle = self.make()
        before = evaluate_all(oracle, self.valid)
        answers = iter(oracle.evaluate([*self.valid, *self.valid]))
        next(answers)
        if hasattr(answers, "close"):
            answers.close()
        after = evaluate_all(oracle, self.valid)
        assert self._same(before, after), f"values differ after an interrupted call: {before} before, {after} after"

    def test_costs_are_finite_and_not_below_zero(self) -> None:
        for item, outcome in self._raw_outcomes():
            cost = outcome.cost
            is_valid = cost is None or (math.isfinite(cost) and cost >= 0)
            assert is_valid, f"{item!r}: cost {cost}, expected a finite number of at least 0, or None if it is unknown"

    def test_noise_is_one_standard_deviation_for_each_value(self) -> None:
        for item, outcome in self._raw_outcomes():
            if outcome.values is not None and outcome.noise is not None:
                noise, n_values = outcome.noise, len(outcome.values)
                assert len(noise) == n_values, f"{item!r}: noise {noise}, expected one for each of {n_values} values"
                is_valid = all(math.isfinite(s) and s >= 0 for s in noise)
                assert is_valid, f"{item!r}: noise {noise}, expected finite numbers of at least 0, or None if unknown"

    def test_facts_are_json(self) -> None:
        for item, outcome in self._raw_outcomes():
            try:
                decoded = json.loads(json.dumps(dict(outcome.info), allow_nan=False))
            except (TypeError, ValueError) as error:
                raise AssertionError(f"{item!r}: info {outcome.info!r} is not JSON: {error}") from error
            assert decoded.keys() == outcome.info.keys(), f"{item!r}: info {outcome.info!r} has a key that is not text"

    def test_artifacts_are_files_with_plain_names(self) -> None:
        for item, outcome in self._raw_outcomes():
            for name, content in outcome.artifacts.items():
                is_plain = isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")
                assert is_plain, f"{item!r}: the artifact {name!r} does not have a plain file name (no folders)"
                if isinstance(content, Path):
                    assert content.is_file(), (
                        f"{item!r}: the artifact {name!r} points to {content}, which is not a file"
                    )
                else:
                    kind = type(content).__name__
                    assert isinstance(content, bytes | str), (
                        f"{item!r}: the artifact {name!r} is of type {kind}, expected bytes, text or a Path"
                    )

    def test_every_fidelity_answers_at_a_cost(self) -> None:
        oracle = self._with_fidelities()
        names, costs = [f.name for f in oracle.fidelities], [f.cost for f in oracle.fidelities]
        assert all(names), f"fidelities: {names}, expected a name for each"
        assert len(set(names)) == len(names), f"fidelities: {names}, expected distinct names"
        assert oracle.fidelity in names, f"fidelity: {oracle.fidelity!r} is not one of {', '.join(names)}"
        is_valid = all(math.isfinite(cost) and cost >= 0 for cost in costs)
        assert is_valid, f"fidelities: costs {costs}, expected finite numbers of at least 0"
        assert costs == sorted(costs), f"fidelities: costs {costs}, expected the cheapest fidelity first"
        for name in names:
            other = self.make().at(name)
            for item, outcome in zip(self.valid, evaluate_all(other, self.valid), strict=True):
                assert outcome.values is not None, f"{item!r} has no value at fidelity {name!r}: {outcome.failure}"

    def test_another_fidelity_is_another_oracle(self) -> None:
        oracle = self._with_fidelities()
        before, own = evaluate_all(oracle, self.valid), oracle.fidelity
        for fidelity in oracle.fidelities:
            evaluate_all(oracle.at(fidelity.name), self.valid)
            assert oracle.fidelity == own, (
                f"at({fidelity.name!r}) changed the oracle itself from {own!r} to {oracle.fidelity!r}; return a copy"
            )
            after = evaluate_all(oracle, self.valid)
            assert self._same(before, after), (
                f"values differ after a call at fidelity {fidelity.name!r}: {before} before, {after} after"
            )
