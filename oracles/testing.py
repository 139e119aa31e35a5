"""What every oracle must hold to, as tests: subclass OracleContract in your own test file and run pytest."""

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

    Subclass it under a name that starts with ``Test``, implement ``make`` and fill ``valid``; what it does not declare
    (fidelities, noise, artifacts) is not asked for::

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

    def _said(self) -> Iterator[tuple[str, Outcome]]:
        """Each object with the Outcome just yielded for it, where that is one and no bare number."""
        objects = [*self.valid, *self.invalid]
        for item, answer in zip(objects, self.make().evaluate(objects), strict=True):
            if isinstance(answer, Outcome):
                yield item, answer

    def _with_fidelities(self) -> Oracle:
        oracle = self.make()
        if not oracle.fidelities:
            import pytest

            pytest.skip("it has no fidelities")
        return oracle

    def test_check_passes(self) -> None:
        self.make().check()

    def test_objectives_are_named_and_distinct(self) -> None:
        names = [objective.name for objective in self.make().objectives]
        assert names, "an oracle measures at least one objective"
        assert all(names), f"every objective needs a name: {names}"
        assert len(set(names)) == len(names), f"two objectives share a name: {names}"

    def test_a_call_takes_one_object_or_more(self) -> None:
        assert self.make().call_size >= 1, "call_size: how many objects a call takes at the most"

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

    def test_an_interrupted_call_leaves_the_oracle_usable(self) -> None:
        """A worker may be told to take no further answer, and then goes on to the next call."""
        oracle = self.make()
        before = evaluate_all(oracle, self.valid)
        answers = iter(oracle.evaluate([*self.valid, *self.valid]))
        next(answers)
        if hasattr(answers, "close"):
            answers.close()
        after = evaluate_all(oracle, self.valid)
        assert self._same(before, after), f"{before} at first, {after} after an interrupted call"

    def test_costs_are_finite_and_not_below_zero(self) -> None:
        for item, outcome in self._said():
            cost = outcome.cost
            assert cost is None or (math.isfinite(cost) and cost >= 0), f"{item!r}: cost {cost}; None: not known"

    def test_noise_is_one_standard_deviation_for_each_value(self) -> None:
        for item, outcome in self._said():
            if outcome.values is not None and outcome.noise is not None:
                noise = outcome.noise
                assert len(noise) == len(outcome.values), f"{item!r}: noise {noise}, expected one for each value"
                assert all(math.isfinite(s) and s >= 0 for s in noise), f"{item!r}: noise {noise}; None: not known"

    def test_facts_are_json(self) -> None:
        for item, outcome in self._said():
            try:
                kept = json.loads(json.dumps(dict(outcome.info), allow_nan=False))
            except (TypeError, ValueError) as error:
                raise AssertionError(f"{item!r}: info {outcome.info!r}: {error}") from error
            assert kept.keys() == outcome.info.keys(), f"{item!r}: info {outcome.info!r}: a key is not text"

    def test_artifacts_are_files_with_plain_names(self) -> None:
        for item, outcome in self._said():
            for name, content in outcome.artifacts.items():
                is_plain = isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")
                assert is_plain, f"{item!r}: {name!r} is not the name of a file"
                if isinstance(content, Path):
                    assert content.is_file(), f"{item!r}: {name!r} is to be read from {content}, where no file is"
                else:
                    assert isinstance(content, bytes | str), f"{item!r}: {name!r} is a {type(content).__name__}"

    def test_every_fidelity_answers_at_a_cost(self) -> None:
        oracle = self._with_fidelities()
        names, costs = [f.name for f in oracle.fidelities], [f.cost for f in oracle.fidelities]
        assert all(names), f"every fidelity needs a name: {names}"
        assert len(set(names)) == len(names), f"two fidelities share a name: {names}"
        assert oracle.fidelity in names, f"it measures at {oracle.fidelity!r}, which is not one of {names}"
        assert all(math.isfinite(cost) and cost >= 0 for cost in costs), f"costs {costs}"
        assert costs == sorted(costs), f"the cheapest comes first: {oracle.fidelities}"
        for name in names:
            other = self.make().at(name)
            for item, outcome in zip(self.valid, evaluate_all(other, self.valid), strict=True):
                assert outcome.values is not None, f"{item!r} has no value at {name!r}: {outcome.failure}"

    def test_another_fidelity_is_another_oracle(self) -> None:
        oracle = self._with_fidelities()
        before, own = evaluate_all(oracle, self.valid), oracle.fidelity
        for fidelity in oracle.fidelities:
            evaluate_all(oracle.at(fidelity.name), self.valid)
            assert oracle.fidelity == own, f"at() has changed the oracle itself from {own!r} to {oracle.fidelity!r}"
            after = evaluate_all(oracle, self.valid)
            assert self._same(before, after), f"{before} at first, {after} after a call at {fidelity.name!r}"
