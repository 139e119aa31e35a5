"""What an oracle is, and what it answers. Needs neither torch nor ray."""

from __future__ import annotations

import copy
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, get_args

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
class Fidelity:
    """One of several ways to measure the same: its name, and what a call costs, times ``evaluation.cost``."""

    name: str
    cost: float


@dataclass(frozen=True)
class Call:
    """What an oracle may know of the call that it answers, see ``current_call``.

    keys: an idempotency key for each object, for services that bill: the same whenever the campaign asks for this
        object again (after a lost connection, a crash, a kill), and no other campaign's.
    fidelity: at which the oracle is asked to measure; empty: at its own.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    fidelity: str = ""


_call: ContextVar[Call] = ContextVar("al_loop_call", default=Call())  # noqa: B039  it is frozen


def current_call() -> Call:
    """The call that is being answered; outside of a campaign one without keys."""
    return _call.get()


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
    noise: standard deviation of each value, in its unit; ``None`` where the oracle does not know it.
    artifacts: files to keep beside the ledger (poses, spectra, logs), by file name: their content, or where they lie.
    """

    values: tuple[float, ...] | None = None
    failure: Failure | None = None
    cost: float | None = None
    info: Mapping[str, object] = field(default_factory=dict)
    noise: tuple[float, ...] | None = None
    artifacts: Mapping[str, bytes | str | Path] = field(default_factory=dict)

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
    #: installed packages of which another release may answer otherwise; a cache tells their releases apart
    libraries: tuple[str, ...] = ()
    #: what it can measure: "molecule" (SMILES), "sequence", or None for anything
    object_type: str | None = None
    #: how many objects one call of ``evaluate`` receives at the most
    call_size: int = 1
    #: the ways in which it can measure the same, the cheapest first; none: there is one way only
    fidelities: tuple[Fidelity, ...] = ()
    #: the name of the one that it measures at
    fidelity: str = ""
    #: True where people answer (``al-loop ask`` and ``tell``), so that ``evaluate`` is never called
    is_external: bool = False

    @abstractmethod
    def evaluate(self, objects: Sequence[str]) -> Iterable[Outcome | float | Sequence[float]]:
        """Yields the answer of each object in order, as it becomes known.

        A bare number, or a sequence of one number per objective, stands for an Outcome with these values.
        """

    def check(self) -> None:  # noqa: B027  an oracle that needs nothing has nothing to check
        """Raises ConfigError where something that the oracle needs is missing; called before anything is paid for."""

    def at(self, fidelity: str) -> Self:
        """The same oracle at one of its fidelities.

        Raises:
            ValueError: it has no such fidelity.
        """
        if fidelity == self.fidelity:
            return self
        names = [f.name for f in self.fidelities]
        if fidelity not in names:
            raise ValueError(
                f"fidelity: {fidelity!r} is not one of {', '.join(names) or 'none: there is one way only'}"
            )
        other = copy.copy(self)
        other.fidelity = fidelity
        return other


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


def _cost(cost: object) -> float | None:
    try:
        number = math.nan if cost is None else float(cost)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _noise(noise: object, n_values: int) -> tuple[float, ...] | None:
    try:
        numbers = _numbers(noise)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == n_values and all(math.isfinite(s) and s >= 0 for s in numbers) else None


def _artifacts(artifacts: Mapping[str, bytes | str | Path], info: dict[str, object]) -> dict[str, bytes]:
    """The content of each file; what cannot be kept is told in ``info``, since it is no reason to lose a value."""
    kept = {}
    try:
        given = dict(artifacts)
    except (TypeError, ValueError):
        given = {}
        info["artifacts_lost"] = f"{artifacts!r:.200} is not a mapping of file names to contents"
    for name, content in given.items():
        try:
            if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\\0"):
                raise ValueError(f"{name!r:.80} is not the name of a file")
            if isinstance(content, Path):
                content = content.read_bytes()
            kept[name] = content.encode() if isinstance(content, str) else bytes(memoryview(content))
        except (OSError, TypeError, ValueError) as error:
            info["artifacts_lost"] = f"{name!r:.80}: {error}"
    return kept


def as_outcome(answer: object, n_values: int) -> Outcome:
    """Turns whatever ``evaluate`` yielded into an Outcome; what is not an answer becomes a permanent failure.

    In the Outcome that comes back the values are plain finite floats, ``info`` holds JSON types only and ``artifacts``
    bytes. A cost or noise that is none (not finite, below 0, one per value) counts as not stated, and an artifact that
    cannot be read is told in ``info``: none of that is a reason to lose a value that was paid for.
    """
    outcome = answer if isinstance(answer, Outcome) else None
    cost, noise = None, None
    info: dict[str, object] = {}
    artifacts: Mapping[str, bytes | str | Path] = {}
    if outcome is not None:
        try:
            info = _json_facts(outcome.info)
        except (TypeError, AttributeError):
            info = {}
        cost, noise = _cost(outcome.cost), _noise(outcome.noise, n_values)
        artifacts = _artifacts(outcome.artifacts, info)
        if outcome.failure is not None:
            failure = Failure(outcome.failure.kind, str(outcome.failure.reason))
            return Outcome(failure=failure, cost=cost, info=info, artifacts=artifacts)

    def failed(reason: str) -> Outcome:
        return Outcome(failure=Failure("permanent", reason), cost=cost, info=info, artifacts=artifacts)

    raw = answer if outcome is None else outcome.values
    try:
        values = _numbers(raw)
    except (TypeError, ValueError, OverflowError):
        return failed(f"the oracle answered {raw!r:.80}, which is not a number")
    if len(values) != n_values:
        return failed(f"the oracle gave {len(values)} values, expected {n_values}")
    if not all(math.isfinite(v) for v in values):
        return failed(f"the oracle gave {values}, which is not finite")
    return Outcome(values=values, cost=cost, info=info, noise=noise, artifacts=artifacts)


def evaluate_each(oracle: Oracle, objects: Sequence[str], call: Call | None = None) -> Iterator[Outcome]:
    """One Outcome for each object in order, as it becomes known, whatever the oracle does.

    Raising, NaN and missing answers become failures. An exception in the middle is the answer of the object whose turn
    it was. The objects after it were not reached, so that theirs is ``retryable``. One raised before the first turn
    (``evaluate`` is no generator) goes to all of them. The last answer is held back until ``evaluate`` has ended: an
    oracle that goes on to give more answers than there are objects has not said which is whose.
    """
    before = _call.get()
    call = call or Call()
    _call.set(call)
    try:
        yield from _evaluate_each(oracle, objects, call.fidelity)
    finally:
        _call.set(before)


def _evaluate_each(oracle: Oracle, objects: Sequence[str], fidelity: str) -> Iterator[Outcome]:
    n, n_values, n_given = len(objects), len(oracle.objectives), 0
    first = rest = Failure("permanent", "the oracle returned no answer for this object")
    too_many = Outcome.failed("permanent", f"the oracle returned more than {n} answers, so none can be told apart")
    held: Outcome | None = None
    is_iterating = False
    try:
        answers = (oracle.at(fidelity) if fidelity else oracle).evaluate(objects)
        if isinstance(answers, Sized) and len(answers) > n:
            yield from [too_many] * n
            return
        iterator = iter(answers)
        is_iterating = True
        for answer in iterator:
            if n_given == n:
                held = too_many if n else None
                break
            n_given += 1
            outcome = as_outcome(answer, n_values)
            if n_given < n:
                yield outcome
            else:
                held = outcome
    except (Exception, SystemExit) as error:  # SystemExit: a script's sys.exit must not end the worker
        unnamed = Failure("permanent", f"{type(error).__name__}: {error}")
        first = error.failure if isinstance(error, OracleError) else unnamed
        rest = Failure("retryable", f"not reached: {first.reason}") if is_iterating else first
    if held is not None:
        yield held
    for i in range(n - n_given):
        yield Outcome(failure=rest if i else first)


def evaluate_all(oracle: Oracle, objects: Sequence[str], call: Call | None = None) -> list[Outcome]:
    """What ``evaluate_each`` yields, as a list."""
    return list(evaluate_each(oracle, objects, call))
