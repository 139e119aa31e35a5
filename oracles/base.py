"""What an oracle is, and what it answers. Needs neither torch nor ray."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

Goal = Literal["maximise", "minimise"]
FailureKind = Literal["invalid", "permanent", "retryable", "timeout"]


@dataclass(frozen=True)
class Objective:
    """One number that an oracle measures: its name, its unit, and the direction a campaign usually wants."""

    name: str
    unit: str = ""
    goal: Goal = "maximise"

    def __post_init__(self) -> None:
        if self.goal not in get_args(Goal):
            raise ValueError(f"goal: {self.goal!r} is not one of {', '.join(get_args(Goal))}")


@dataclass(frozen=True)
class Failure:
    """Why there is no value.

    ``invalid``: the object cannot be measured (not a molecule, no conformer); ``permanent``: this call will always
    fail; ``retryable``: another attempt may succeed; ``timeout``: it took longer than allowed.
    """

    kind: FailureKind
    reason: str

    def __post_init__(self) -> None:
        if self.kind not in get_args(FailureKind):
            raise ValueError(f"failure kind: {self.kind!r} is not one of {', '.join(get_args(FailureKind))}")


@dataclass(frozen=True)
class Outcome:
    """One answer: the values (one per objective, in raw oracle units) or a failure; and what it cost.

    cost: in the oracle's own currency, ``None`` where the oracle does not say (the config's price then holds).
    info: small facts to keep beside the value (JSON types).
    """

    values: tuple[float, ...] | None = None
    failure: Failure | None = None
    cost: float | None = None
    info: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.values is None) == (self.failure is None):
            raise ValueError("an Outcome has either values or a failure")

    @classmethod
    def failed(cls, kind: FailureKind, reason: str) -> Outcome:
        """An outcome that says why there is no value."""
        return cls(failure=Failure(kind, reason))


class OracleError(Exception):
    """Raised inside an oracle to name the failure kind; any other exception counts as ``permanent``."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(kind, reason)  # both, so that it survives pickling between processes
        self.failure = Failure(kind, reason)

    def __str__(self) -> str:
        return self.failure.reason


class Oracle(ABC):
    """Measures objects. Subclass it, or give the config any function of one object that returns a number.

    An oracle is built once in each worker process, so that it may load its receptor or connect in ``__init__``.
    """

    #: what each value in an Outcome means; set it on the class, or in ``__init__`` where it depends on the arguments
    objectives: tuple[Objective, ...] = (Objective("value"),)
    #: raise it when the same object would get another answer than before
    version: str = "1"
    #: what it can measure: "molecule" (SMILES), "sequence", or None for anything
    object_type: str | None = None
    #: how many objects one call of ``evaluate`` receives at the most
    call_size: int = 1

    @abstractmethod
    def evaluate(self, objects: Sequence[str]) -> Iterable[Outcome | float | Sequence[float]]:
        """Yields the answer of each object in order, as it becomes known.

        A bare number, or a sequence of one number per objective, stands for an Outcome with these values.
        """

    def check(self) -> None:  # noqa: B027  an oracle that needs nothing has nothing to check
        """Raises ConfigError where something that the oracle needs is missing; called before anything is paid for."""


def _numbers(answer: object) -> tuple[float, ...]:
    """The numbers in an answer: a sequence or array of them, or one alone. TypeError or ValueError: it is not that."""
    if isinstance(answer, str | bytes | Mapping | set | frozenset):
        raise TypeError("text and unordered collections are not numbers")
    try:
        numbers = list(answer)  # type: ignore[call-overload]
    except TypeError:  # a number, or an array without dimensions
        numbers = [answer]
    if any(isinstance(number, str | bytes) for number in numbers):
        raise TypeError("text is not a number")
    return tuple(float(number) for number in numbers)


def _json_facts(info: Mapping[str, object]) -> dict[str, object]:
    """What the ledger can store of ``info``: a fact that is not JSON is kept as a number or as text, never an error."""
    facts = {}
    for key, value in info.items():
        try:
            plain = value.item() if hasattr(value, "item") else value
            facts[str(key)] = json.loads(json.dumps(plain, allow_nan=False))
        except Exception:
            facts[str(key)] = f"{value!r:.200}"
    return facts


def as_outcome(answer: object, n_values: int) -> Outcome:
    """Turns whatever ``evaluate`` yielded into an Outcome; what is not an answer becomes a permanent failure.

    In the Outcome that comes back the values are plain finite floats and ``info`` holds JSON types only. A cost that is
    not a finite number of at least 0 counts as not stated: it is no reason to lose a value that was paid for.
    """
    outcome = answer if isinstance(answer, Outcome) else None
    cost, info = None, {}
    if outcome is not None:
        try:
            cost = None if outcome.cost is None else float(outcome.cost)
            info = _json_facts(outcome.info)
        except (TypeError, ValueError, AttributeError):
            pass
        cost = cost if cost is not None and math.isfinite(cost) and cost >= 0 else None
        if outcome.failure is not None:
            return replace(outcome, cost=cost, info=info)

    def failed(reason: str) -> Outcome:
        return Outcome(failure=Failure("permanent", reason), cost=cost, info=info)

    raw = answer if outcome is None else outcome.values
    try:
        values = _numbers(raw)
    except (TypeError, ValueError, OverflowError):
        return failed(f"the oracle answered {raw!r:.80}, which is not a number")
    if len(values) != n_values:
        return failed(f"the oracle gave {len(values)} values, expected {n_values}")
    if not all(math.isfinite(v) for v in values):
        return failed(f"the oracle gave {values}, which is not finite")
    return Outcome(values=values, cost=cost, info=info)


def evaluate_all(oracle: Oracle, objects: Sequence[str]) -> list[Outcome]:
    """One Outcome for each object, whatever the oracle does: raising, NaN and missing answers become failures.

    An exception in the middle is the answer of the object whose turn it was. The objects after it were not reached, so
    that theirs is ``retryable``. One raised before the first turn (``evaluate`` is no generator) goes to all of them.
    """
    outcomes: list[Outcome] = []
    n_values = len(oracle.objectives)
    first = rest = Failure("permanent", "the oracle returned no answer for this object")
    is_iterating = False
    try:
        answers = iter(oracle.evaluate(objects))
        is_iterating = True
        for answer in answers:
            if len(outcomes) == len(objects):
                reason = f"the oracle returned more than {len(objects)} answers, so none can be told apart"
                return [Outcome.failed("permanent", reason) for _ in objects]
            outcomes.append(as_outcome(answer, n_values))
    except (Exception, SystemExit) as error:  # SystemExit: a script's sys.exit must not end the worker
        unnamed = Failure("permanent", f"{type(error).__name__}: {error}")
        first = error.failure if isinstance(error, OracleError) else unnamed
        rest = Failure("retryable", f"not reached: {first.reason}") if is_iterating else first
    n_missing = len(objects) - len(outcomes)
    failures = [first, *[rest] * (n_missing - 1)] if n_missing else []
    return outcomes + [Outcome(failure=failure) for failure in failures]
