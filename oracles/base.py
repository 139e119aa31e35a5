"""What an oracle is, and what it answers. Needs neither torch nor ray."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

Goal = Literal["maximise", "minimise"]
FailureKind = Literal["invalid", "permanent", "retryable", "timeout"]


@dataclass(frozen=True)
class Objective:
    """One number that an oracle measures: its name, its unit, and the direction a campaign usually wants."""

    name: str
    unit: str = ""
    goal: Goal = "maximise"


@dataclass(frozen=True)
class Failure:
    """Why there is no value.

    ``invalid``: the object cannot be measured (not a molecule, no conformer); ``permanent``: this call will always
    fail; ``retryable``: another attempt may succeed; ``timeout``: it took longer than allowed.
    """

    kind: FailureKind
    reason: str


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
        super().__init__(reason)
        self.failure = Failure(kind, reason)


class Oracle(ABC):
    """Measures objects. Subclass it, or give the config any function of one object that returns a number.

    An oracle is built once in each worker process, so that it may load its receptor or connect in ``__init__``.
    """

    #: what each value in an Outcome means
    objectives: ClassVar[tuple[Objective, ...]] = (Objective("value"),)
    #: raise it when the same object would get another answer than before
    version: ClassVar[str] = "1"
    #: how many objects one call of ``evaluate`` receives at the most
    call_size: int = 1

    @abstractmethod
    def evaluate(self, objects: Sequence[str]) -> Iterable[Outcome | float | Sequence[float]]:
        """Yields the answer of each object in order, as it becomes known.

        A bare number, or a sequence of one number per objective, stands for an Outcome with these values.
        """

    def check(self) -> None:  # noqa: B027  an oracle that needs nothing has nothing to check
        """Raises ConfigError where something that the oracle needs is missing; called before anything is paid for."""


def as_outcome(answer: object, n_values: int) -> Outcome:
    """Turns whatever ``evaluate`` yielded into an Outcome; what is not an answer becomes a permanent failure."""
    if not isinstance(answer, Outcome):
        try:
            values = tuple(float(v) for v in answer) if isinstance(answer, Sequence) else (float(answer),)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return Outcome.failed("permanent", f"the oracle answered {answer!r:.80}, which is not a number")
        answer = Outcome(values=values)
    if answer.values is not None:
        if len(answer.values) != n_values:
            return Outcome.failed("permanent", f"the oracle gave {len(answer.values)} values, expected {n_values}")
        if not all(math.isfinite(v) for v in answer.values):
            return Outcome.failed("permanent", f"the oracle gave {answer.values}, which is not finite")
    return answer


def evaluate_all(oracle: Oracle, objects: Sequence[str]) -> list[Outcome]:
    """One Outcome for each object, whatever the oracle does: raising, NaN and missing answers become failures."""
    outcomes: list[Outcome] = []
    n_values = len(oracle.objectives)
    missing = Failure("permanent", "the oracle returned no answer for this object")
    try:
        for answer in oracle.evaluate(objects):
            if len(outcomes) == len(objects):
                reason = f"the oracle returned more than {len(objects)} answers, so none can be told apart"
                return [Outcome.failed("permanent", reason) for _ in objects]
            outcomes.append(as_outcome(answer, n_values))
    except OracleError as error:
        missing = error.failure
    except Exception as error:
        missing = Failure("permanent", f"{type(error).__name__}: {error}")
    return outcomes + [Outcome(failure=missing) for _ in objects[len(outcomes) :]]
