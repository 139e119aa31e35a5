"""The interface of all oracles, and the normalisation of their answers. Imports neither torch nor ray."""

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
#: a value of which only this is known: that it is below or above the number
Bound = Literal["<", ">"]


@dataclass(frozen=True)
class Objective:
    """One number that an oracle measures.

    Args:
        name: unique among the oracle's objectives.
        unit: of the value; empty for a number without unit.
        goal: the direction in which a campaign usually optimises it; the config may override it.

    Raises:
        ValueError: the goal is unknown.
    """

    name: str
    unit: str = ""
    goal: Goal = "maximise"

    def __post_init__(self) -> None:
        if self.goal not in get_args(Goal):
            raise ValueError(f"goal: {self.goal!r} is not one of {', '.join(get_args(Goal))}")


@dataclass(frozen=True)
class Fidelity:
    """One of several ways to measure the same objectives, which differ in accuracy and cost.

    Args:
        name: unique among the oracle's fidelities.
        cost: cost of one call, as a multiple of the config's ``evaluation.cost``.
    """

    name: str
    cost: float


@dataclass(frozen=True)
class Call:
    """The context of the call that an oracle is answering, see ``current_call``.

    Args:
        keys: an idempotency key for each object, for services that charge per request: the same whenever the campaign
            measures this object again (after a lost connection, a crash, a kill), and unique to this campaign.
        fidelity: the fidelity at which to measure; empty for the oracle's own.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    fidelity: str = ""


_call: ContextVar[Call] = ContextVar("al_loop_call", default=Call())  # noqa: B039  it is frozen


def current_call() -> Call:
    """Return the call that is being answered; outside a campaign, a call without keys."""
    return _call.get()


@dataclass(frozen=True)
class Failure:
    """The reason why an object has no value.

    Args:
        kind: ``invalid``: the object cannot be measured (not a molecule, no conformer); ``permanent``: this call will
            always fail; ``retryable``: another attempt may succeed; ``timeout``: it took longer than allowed.
        reason: one sentence for the user.

    Raises:
        ValueError: the kind is unknown.
    """

    kind: FailureKind
    reason: str

    def __post_init__(self) -> None:
        if self.kind not in get_args(FailureKind):
            raise ValueError(f"failure kind: {self.kind!r} is not one of {', '.join(get_args(FailureKind))}")


@dataclass(frozen=True)
class Outcome:
    """The answer for one object: values or a failure, with optional cost, noise, metadata and files.

    Args:
        values: one per objective, in raw oracle units.
        failure: the reason why there are no values.
        cost: in the oracle's own currency; None if the oracle does not report it, so that the config's price applies.
        info: metadata to store beside the value (JSON types).
        noise: standard deviation of each value, in its unit; None if unknown.
        artifacts: files to store beside the ledger (poses, spectra, logs): file name -> content, or path of the file.
        censored: for each value "<" or ">" if only this bound of it is known, else None; None if all are exact.

    Raises:
        ValueError: there are neither values nor a failure, or both.
    """

    values: tuple[float, ...] | None = None
    failure: Failure | None = None
    cost: float | None = None
    info: Mapping[str, object] = field(default_factory=dict)
    noise: tuple[float, ...] | None = None
    artifacts: Mapping[str, bytes | str | Path] = field(default_factory=dict)
    censored: tuple[Bound | None, ...] | None = None

    def __post_init__(self) -> None:
        if (self.values is None) == (self.failure is None):
            raise ValueError("an Outcome requires either values or a failure, and not both")

    @classmethod
    def failed(cls, kind: FailureKind, reason: str) -> Outcome:
        """Return an outcome without values.

        Args:
            kind: the kind of failure, see ``Failure``.
            reason: one sentence for the user.
        """
        return cls(failure=Failure(kind, reason))


class OracleError(Exception):
    """An exception by which an oracle names the kind of failure; any other exception counts as ``permanent``.

    Args:
        kind: the kind of failure, see ``Failure``.
        reason: one sentence for the user.
    """

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(kind, reason)  # both, so that it survives pickling between processes
        self.failure = Failure(kind, reason)

    def __str__(self) -> str:
        return self.failure.reason


class Oracle(ABC):
    """Base class of oracles. A config may instead name any function of one object that returns a number.

    An oracle is built once in each worker process, so it may load a receptor or open a connection in ``__init__``.
    """

    #: the meaning of each value in an Outcome; set it on the class, or in ``__init__`` if it depends on the arguments
    objectives: tuple[Objective, ...] = (Objective("value"),)
    #: change it when the same object would get a different answer than before
    version: str = "1"
    #: installed packages whose releases may give different answers; a cache distinguishes their releases
    libraries: tuple[str, ...] = ()
    #: the objects that it can measure: "molecule" (SMILES), "sequence", or None for any
    object_type: str | None = None
    #: maximum number of objects in one call of ``evaluate``
    call_size: int = 1
    #: the fidelities at which it can measure, cheapest first; empty if there is a single one
    fidelities: tuple[Fidelity, ...] = ()
    #: the name of the fidelity at which this instance measures
    fidelity: str = ""
    #: True if people provide the answers (``al-loop ask`` and ``tell``), so that ``evaluate`` is never called
    is_external: bool = False

    @abstractmethod
    def evaluate(self, objects: Sequence[str]) -> Iterable[Outcome | float | Sequence[float]]:
        """Yield the answer for each object, in order, as soon as it is available.

        A bare number, or a sequence with one number per objective, stands for an Outcome with these values.

        Args:
            objects: at most ``call_size`` objects.

        Raises:
            OracleError: the object whose turn it is cannot be measured; the objects after it are not reached.
        """

    def check(self) -> None:  # noqa: B027  an oracle without requirements has nothing to check
        """Verify that everything that the oracle needs is there, before anything is paid for.

        Raises:
            ConfigError: a library, a file, a program or a secret is missing.
        """

    def at(self, fidelity: str) -> Self:
        """Return this oracle at one of its fidelities, as a copy if that is not its own.

        Raises:
            ValueError: it has no such fidelity.
        """
        if fidelity == self.fidelity:
            return self
        names = [f.name for f in self.fidelities]
        if fidelity not in names:
            expected = f"is not one of {', '.join(names)}" if names else "given, but this oracle has no fidelities"
            raise ValueError(f"fidelity: {fidelity!r} {expected}")
        other = copy.copy(self)
        other.fidelity = fidelity
        return other


def _numbers(answer: object) -> tuple[float, ...]:
    """Convert an answer, a sequence or array of numbers or a single one, to floats.

    Raises:
        TypeError, ValueError, OverflowError: it is not that.
    """
    if isinstance(answer, str | bytes | Mapping | set | frozenset):
        raise TypeError("text and unordered collections are not numbers")
    try:
        numbers = list(answer)  # type: ignore[call-overload]
    except TypeError:  # a number, or an array without dimensions
        numbers = [answer]
    if any(isinstance(number, str | bytes) for number in numbers):
        raise TypeError("text is not a number")
    return tuple(float(number) for number in numbers)


def _json_info(info: Mapping[str, object]) -> dict[str, object]:
    """Return ``info`` as JSON types; a value that is not JSON becomes a number or text, never an error."""
    entries = {}
    for key, value in info.items():
        try:
            plain = value.item() if hasattr(value, "item") else value
            entries[str(key)] = json.loads(json.dumps(plain, allow_nan=False))
        except Exception:
            entries[str(key)] = f"{value!r:.200}"
    return entries


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
    """Read the content of each file; note in ``info`` what cannot be read, since that is no reason to lose a value."""
    contents = {}
    try:
        entries = dict(artifacts)
    except (TypeError, ValueError):
        entries = {}
        info["artifacts_lost"] = f"{artifacts!r:.200} is not a mapping of file names to contents"
    for name, content in entries.items():
        try:
            if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\\0"):
                raise ValueError(f"{name!r:.80} is not a plain file name")
            if isinstance(content, Path):
                content = content.read_bytes()
            contents[name] = content.encode() if isinstance(content, str) else bytes(memoryview(content))
        except (OSError, TypeError, ValueError) as error:
            info["artifacts_lost"] = f"{name!r:.80}: {error}"
    return contents


def as_outcome(answer: object, n_values: int) -> Outcome:
    """Convert whatever ``evaluate`` yielded to an Outcome; anything that is not an answer becomes a permanent failure.

    An invalid cost or noise (not finite, below 0, not one per value) counts as unknown, and an artifact that cannot be
    read is noted in ``info``: neither is a reason to lose a value that was paid for.

    Args:
        answer: an Outcome, a number, a sequence of numbers, or anything else.
        n_values: number of the oracle's objectives.

    Returns:
        An Outcome whose values are plain finite floats, whose ``info`` contains JSON types only, and whose
        ``artifacts`` are bytes.
    """
    outcome = answer if isinstance(answer, Outcome) else None
    cost, noise = None, None
    info: dict[str, object] = {}
    artifacts: Mapping[str, bytes | str | Path] = {}
    if outcome is not None:
        try:
            info = _json_info(outcome.info)
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
        return failed(f"the oracle returned {raw!r:.80}, which is not a number")
    if len(values) != n_values:
        return failed(f"the oracle returned {len(values)} values, expected {n_values}")
    if not all(math.isfinite(v) for v in values):
        return failed(f"the oracle returned {values}, which is not finite")
    censored = None if outcome is None else outcome.censored
    return Outcome(values=values, cost=cost, info=info, noise=noise, artifacts=artifacts, censored=censored)


def evaluate_each(oracle: Oracle, objects: Sequence[str], call: Call | None = None) -> Iterator[Outcome]:
    """Yield one Outcome for each object, in order, as soon as it is available, whatever the oracle does.

    Exceptions, NaN and missing answers become failures. An exception in the middle is the answer for the object whose
    turn it was; the objects after it were not reached, so their failure is ``retryable``. An exception before the first
    turn (``evaluate`` is not a generator) applies to all of them. The last answer is withheld until ``evaluate`` has
    ended: if more answers than objects follow, no answer can be assigned to its object.

    Args:
        oracle: measures the objects.
        objects: at most ``oracle.call_size``.
        call: keys and fidelity of the call; None for no keys and the oracle's own fidelity.
    """
    before = _call.get()
    call = call or Call()
    _call.set(call)
    try:
        yield from _evaluate_each(oracle, objects, call.fidelity)
    finally:
        _call.set(before)


def _evaluate_each(oracle: Oracle, objects: Sequence[str], fidelity: str) -> Iterator[Outcome]:
    n, n_values, n_answers = len(objects), len(oracle.objectives), 0
    # the failure of the first object without an answer, and that of the objects after it
    first = rest = Failure("permanent", "the oracle returned no answer for this object")
    too_many = Outcome.failed(
        "permanent", f"the oracle returned more than {n} answers, so none can be assigned to its object"
    )
    last: Outcome | None = None
    is_iterating = False
    try:
        answers = (oracle.at(fidelity) if fidelity else oracle).evaluate(objects)
        if isinstance(answers, Sized) and len(answers) > n:
            yield from [too_many] * n
            return
        iterator = iter(answers)
        is_iterating = True
        for answer in iterator:
            if n_answers == n:
                last = too_many if n else None
                break
            n_answers += 1
            outcome = as_outcome(answer, n_values)
            if n_answers < n:
                yield outcome
            else:
                last = outcome
    except (Exception, SystemExit) as error:  # SystemExit: a script's sys.exit must not end the worker
        unnamed = Failure("permanent", f"{type(error).__name__}: {error}")
        first = error.failure if isinstance(error, OracleError) else unnamed
        rest = Failure("retryable", f"not reached: {first.reason}") if is_iterating else first
    if last is not None:
        yield last
    for i in range(n - n_answers):
        yield Outcome(failure=rest if i else first)


def evaluate_all(oracle: Oracle, objects: Sequence[str], call: Call | None = None) -> list[Outcome]:
    """Return the outcomes of ``evaluate_each`` as a list.

    Args:
        oracle: measures the objects.
        objects: at most ``oracle.call_size``.
        call: keys and fidelity of the call; None for no keys and the oracle's own fidelity.
    """
    return list(evaluate_each(oracle, objects, call))
