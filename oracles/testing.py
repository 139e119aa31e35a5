"""What every oracle must hold to, as tests: subclass OracleContract in your own test file and run pytest."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from typing import ClassVar

from oracles.base import Oracle, Outcome, evaluate_all


class OracleContract:
    """Base class for the tests of one oracle.

    Subclass it under a name that starts with ``Test``, implement ``make`` and fill ``valid``::

        class TestMyOracle(OracleContract):
            valid = ("CCO", "c1ccccc1")
            invalid = ("not a molecule",)

            def make(self) -> Oracle:
                return MyOracle()
    """

    #: objects that have a value; two or more that differ in it show whether the order is kept
    valid: ClassVar[Sequence[str]] = ()
    #: objects that cannot have one
    invalid: ClassVar[Sequence[str]] = ()
    #: True where two calls for one object may differ, so that values are not compared
    is_noisy: ClassVar[bool] = False

    def make(self) -> Oracle:
        """A new oracle, built from the same arguments each time."""
        raise NotImplementedError(f"{type(self).__name__} must implement make()")

    def _same(self, left: Sequence[Outcome], right: Sequence[Outcome]) -> bool:
        if self.is_noisy:
            return [o.values is None for o in left] == [o.values is None for o in right]
        return [o.values for o in left] == [o.values for o in right]

    def test_check_passes(self) -> None:
        self.make().check()

    def test_objectives_are_named_and_distinct(self) -> None:
        names = [objective.name for objective in self.make().objectives]
        assert names, "an oracle measures at least one objective"
        assert all(names), f"every objective needs a name: {names}"
        assert len(set(names)) == len(names), f"two objectives share a name: {names}"

    def test_valid_objects_have_finite_values(self) -> None:
        assert self.valid, "name at least one valid object"
        oracle = self.make()
        for item, outcome in zip(self.valid, evaluate_all(oracle, self.valid), strict=True):
            assert outcome.values is not None, f"{item!r} has no value: {outcome.failure}"
            assert len(outcome.values) == len(oracle.objectives), f"{item!r}: one value for each objective"
            assert all(math.isfinite(value) for value in outcome.values), f"{item!r}: {outcome.values}"

    def test_one_outcome_for_each_object_in_order(self) -> None:
        oracle = self.make()
        objects = [item for pair in zip(self.valid, self.invalid, strict=False) for item in pair] + [*self.valid]
        answers = list(oracle.evaluate(objects))
        assert len(answers) == len(objects), f"{len(answers)} answers for {len(objects)} objects"
        alone = {item: evaluate_all(oracle, [item])[0] for item in dict.fromkeys(objects)}
        together = evaluate_all(oracle, objects)
        for item, outcome in zip(objects, together, strict=True):
            assert self._same([outcome], [alone[item]]), f"{item!r}: {outcome} among others, {alone[item]} alone"

    def test_invalid_objects_are_failures(self) -> None:
        oracle = self.make()
        for item in self.invalid:
            answers = list(oracle.evaluate([item]))  # itself, not evaluate_all: it must not raise
            assert len(answers) == 1, f"{item!r}: {len(answers)} answers"
            failure = evaluate_all(oracle, [item])[0].failure
            assert failure is not None, f"{item!r} was given a value"
            assert failure.reason, f"{item!r}: the failure states no reason"

    def test_no_objects_have_no_outcomes(self) -> None:
        assert list(self.make().evaluate([])) == []

    def test_a_new_oracle_gives_the_same_values(self) -> None:
        first, second = evaluate_all(self.make(), self.valid), evaluate_all(self.make(), self.valid)
        assert self._same(first, second), f"{first} at first, {second} from a new oracle"

    def test_pickles_or_is_built_again(self) -> None:
        oracle = self.make()
        before = evaluate_all(oracle, self.valid[:1])
        try:
            copy: Oracle = pickle.loads(pickle.dumps(oracle))
        except Exception:  # a worker builds such an oracle again from the config
            copy = self.make()
        assert copy.objectives == oracle.objectives, "the copy measures something else"
        assert self._same(before, evaluate_all(copy, self.valid[:1])), "the copy answers otherwise"
