"""The interface of all oracles, and the normalisation of their answers. Imports neither torch nor ray."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self, get_args

from al_loop.errors import counted, not_one_of
from al_loop.system.error_kinds import kind_of_error
from al_loop.system.matching import NO_ANSWER, MismatchError, TrackedItems, asynchronous, match
from al_loop.system.plain_values import (
    LARGEST,
    Bound,
    artifact_contents,
    bounds_or_none,
    cost_or_none,
    is_learnable,
    json_info,
    noise_or_none,
    numbers,
    shown,
    text_of,
)
from al_loop.system.tracebacks import describe_error, error_details

Goal = Literal["maximise", "minimise"]
#: the American spellings, which are accepted, too
_GOALS_IN_AMERICAN: Mapping[str, Goal] = {"maximize": "maximise", "minimize": "minimise"}
FailureKind = Literal["invalid", "permanent", "retryable", "timeout", "unavailable", "environment"]
#: the kinds that are never recorded as the answer of an object
NO_ANSWERS: Final[frozenset[FailureKind]] = frozenset({"unavailable", "environment"})


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
        goal = _GOALS_IN_AMERICAN.get(self.goal, self.goal)
        object.__setattr__(self, "goal", goal)
        if self.goal not in get_args(Goal):
            raise ValueError(f"goal: {not_one_of(self.goal, get_args(Goal))}")


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
            always fail; ``retryable``: another attempt may succeed; ``timeout``: it took longer than allowed. Two are
            no answers: ``unavailable``: a service that every object needs does not work at present, and is waited for;
            ``environment``: no object can be measured until somebody mends something, so the campaign stops.
        reason: one sentence for the user.

    Raises:
        ValueError: the kind is unknown.
    """

    kind: FailureKind
    reason: str

    def __post_init__(self) -> None:
        if self.kind not in get_args(FailureKind):
            raise ValueError(f"failure kind: {not_one_of(self.kind, get_args(FailureKind))}")


@dataclass(frozen=True)
class Outcome:
    """The answer for one object: values or a failure, with optional cost, noise, metadata and files.

    Args:
        values: one per objective, in raw oracle units; None or NaN for one of several that was not measured.
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


_NO_ANSWER = Failure("permanent", "the oracle returned no answer for this object")


class OracleError(Exception):
    """An exception by which an oracle names the kind of failure; others are judged by ``kind_of_error``.

    Args:
        kind: the kind of failure, see ``Failure``.
        reason: one sentence for the user.
    """

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(kind, reason)  # both, so that it survives pickling between processes
        self.failure = Failure(kind, reason)

    def __str__(self) -> str:
        return self.failure.reason


def outcome_of_error(error: BaseException) -> Outcome:
    """Return the failure that an exception in an oracle's code stands for, with its traceback in ``info``."""
    if not isinstance(error, OracleError):
        return Outcome(
            failure=Failure(kind_of_error(error), describe_error(error)), info={"error": error_details(error)}
        )
    is_translated = error.__cause__ is not None or error.__context__ is not None
    return Outcome(failure=error.failure, info={"error": error_details(error)} if is_translated else {})


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
    def evaluate(
        self, objects: Sequence[str]
    ) -> Iterable[Outcome | float | Sequence[float]] | Mapping[str, Outcome | float | Sequence[float]]:
        """Yield the answer for each object, in order, as soon as it is available; or return all answers.

        A bare number, or a sequence with one number per objective, stands for an Outcome with these values. Returned
        answers are a sequence with one for each object, or a mapping from object to answer; see ``evaluate_each``.

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
            missing = f"{fidelity!r} given, but this oracle has no fidelities"
            raise ValueError(f"fidelity: {not_one_of(fidelity, names) if names else missing}")
        other = copy.copy(self)
        other.fidelity = fidelity
        return other


def as_outcome(answer: object, n_values: int) -> Outcome:
    """Convert whatever ``evaluate`` yielded to an Outcome; anything that is not an answer becomes a permanent failure.

    An invalid cost or noise (not finite, below 0, not one per value) counts as unknown, and an artifact that cannot be
    read is noted in ``info``: neither is a reason to lose a value that was paid for. Of several values, one that was
    not measured (None or NaN) is NaN in the outcome, and so is one that no model can learn from (infinite or above
    1e50 in size, or with such noise); ``info["refused"]`` keeps it. An answer without any usable value is a failure.

    Args:
        answer: an Outcome, a number, a sequence of numbers, or anything else.
        n_values: number of the oracle's objectives.

    Returns:
        An Outcome whose values are plain floats, finite but for NaN among several, whose ``info`` contains JSON types
        only, and whose ``artifacts`` are bytes.
    """
    outcome = answer if isinstance(answer, Outcome) else None
    cost, noise, censored = None, None, None
    info: dict[str, object] = {}
    artifacts: Mapping[str, bytes | str | Path] = {}
    if outcome is not None:
        info = json_info(outcome.info)
        cost, noise, censored = cost_or_none(outcome.cost), outcome.noise, outcome.censored
        artifacts = artifact_contents(outcome.artifacts, info)
        if outcome.failure is not None:
            failure = Failure(outcome.failure.kind, text_of(outcome.failure.reason))
            return Outcome(failure=failure, cost=cost, info=info, artifacts=artifacts)

    def failed(reason: str) -> Outcome:
        return Outcome(failure=Failure("permanent", reason), cost=cost, info=info, artifacts=artifacts)

    raw = answer if outcome is None else outcome.values
    try:
        values = numbers(raw)
    except Exception:  # whatever it is, it must not end the campaign
        returned = asynchronous(raw) or ("None (is a return missing?)" if raw is None else shown(raw, 80))
        return failed(f"the oracle returned {returned}, which is not a number")
    if len(values) != n_values:
        return failed(f"the oracle returned {counted(len(values), 'value')}, expected {n_values}")
    noise = noise_or_none(noise, values)
    refused = [not is_learnable(value) or (noise is not None and noise[i] > LARGEST) for i, value in enumerate(values)]
    if any(is_bad and not math.isnan(value) for is_bad, value in zip(refused, values, strict=True)):
        info["refused"] = [f"{v:g}" if noise is None else f"{v:g} ± {noise[i]:g}" for i, v in enumerate(values)]
    if all(refused):
        what = ", ".join(map(str, values)) + ("" if noise is None else f" ± {', '.join(map(str, noise))}")
        if not all(map(math.isfinite, values)):
            return failed(f"the oracle returned {', '.join(map(str, values))}, which is not finite")
        return failed(f"the oracle returned {what}; models need finite numbers of at most {LARGEST:g} in size")
    if any(refused):
        values = tuple(math.nan if is_bad else value for is_bad, value in zip(refused, values, strict=True))
        noise = noise_or_none(noise, values)
    try:
        bounds = bounds_or_none(censored, values)
    except ValueError as error:
        return failed(str(error))
    return Outcome(values=values, cost=cost, info=info, noise=noise, artifacts=artifacts, censored=bounds)


def evaluate_each(oracle: Oracle, objects: Sequence[str], call: Call | None = None) -> Iterator[Outcome]:
    """Yield one Outcome for each object, in order, whatever the oracle does.

    Only answers that certainly belong to their objects are used: those keyed by object, those returned in order and
    as many as the objects, and those that a generator yields in step, i.e. each after it was handed its own object and
    before the next. These are yielded as soon as they are available. The answers of any other generator are withheld
    until it has ended, and used if they are as many as the objects.

    Exceptions, NaN and missing answers become failures. An exception in the middle is the answer for the object whose
    turn it was; the objects after it were not reached, so their failure is ``retryable``, and so is that of all answers
    which cannot be assigned. An exception before the first turn (``evaluate`` is not a generator) applies to all.

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
    n, names = len(objects), [objective.name for objective in oracle.objectives]
    handed, withheld, n_answers = TrackedItems(objects), list[Outcome](), 0
    is_certain = is_iterating = False
    error: BaseException | None = None
    # the oracle's code is wrong, so no object of a larger call is to blame; in a call of one, it may be this object
    kind: FailureKind = "environment" if n > 1 else "permanent"
    try:
        answers = match((oracle.at(fidelity) if fidelity else oracle).evaluate(handed), objects, names)
        is_certain = not isinstance(answers, Iterator) and isinstance(answers, Sized)
        is_in_step, iterator = True, iter(answers)
        is_iterating = True
        for answer in iterator:
            if n_answers == n:
                n_answers += 1
                break
            is_missing = answer is NO_ANSWER
            outcome = Outcome(failure=_NO_ANSWER) if is_missing else as_outcome(answer, len(names))
            n_answers += 1
            is_in_step = is_certain or (is_in_step and handed.is_turn_of(n_answers - 1))
            if is_in_step and n_answers < n:
                yield outcome
            else:  # the last one, too: if another follows, there is none that certainly belongs to its object
                withheld.append(outcome)
    except MismatchError as mismatch:
        yield from [Outcome.failed(kind, f"the oracle returned {mismatch}")] * n
        return
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as raised:  # sys.exit, asyncio.CancelledError and the like must not end the worker either
        error = raised
    if n_answers == n:
        yield from withheld
        return
    n_yielded = min(n_answers, n) - len(withheld)
    if error is None:
        returned = f"{'more than ' if n_answers > n else ''}{counted(min(n_answers, n), 'answer')}"
        reason = f"the oracle returned {returned} for {counted(n, 'object')}"
        unmatched = Failure(kind, f"{reason}, so it is not certain which belongs to which; yield one for each")
        yield from [Outcome(failure=_NO_ANSWER if n_answers < n == 1 else unmatched)] * (n - n_yielded)
        return
    failed = outcome_of_error(error)
    assert failed.failure is not None
    not_reached = Outcome(failure=Failure("retryable", f"not reached: {failed.failure.reason}"), info=failed.info)
    if not is_iterating:
        yield from [failed] * n
    elif is_certain or handed.last is None or (not withheld and handed.last <= n_answers):
        yield from withheld
        yield from [failed, *[not_reached] * (n - n_answers - 1)]
    else:  # it was handed objects ahead of their turn: nobody knows whose turn it was
        yield from [not_reached] * (n - n_yielded)


def evaluate_all(oracle: Oracle, objects: Sequence[str], call: Call | None = None) -> list[Outcome]:
    """Return the outcomes of ``evaluate_each``, which has the same arguments, as a list."""
    return list(evaluate_each(oracle, objects, call))
