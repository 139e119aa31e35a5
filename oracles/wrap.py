"""Oracles from what a user already has: an Oracle subclass, any class with ``evaluate``, or a plain function."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from al_loop.config.plugins import arguments_model
from al_loop.errors import ConfigError
from al_loop.oracles._io.row_format import priced_fidelities
from al_loop.oracles.base import Fidelity, Goal, Objective, Oracle, OracleError, Outcome, as_outcome

Function = TypeVar("Function", bound=Callable[..., Any])


def oracle(
    *,
    name: str | None = None,
    unit: str = "",
    goal: Goal = "maximise",
    version: str = "1",
    objectives: Sequence[Objective] | None = None,
    fidelities: Mapping[str, float] | None = None,
    object_type: str | None = None,
    call_size: int = 1,
) -> Callable[[Function], Function]:
    """Decorator that says what a function measures; the function itself stays as it is.

    Args:
        name: of the value; the function's own name where it is not given.
        unit: of the value.
        goal: the direction that a campaign usually wants.
        version: raise it when the same object would get another answer than before.
        objectives: in place of name, unit and goal, for a function that returns several numbers.
        fidelities: what a call costs at each, by name; the function takes the name as its argument ``fidelity``.
        object_type: "molecule" (SMILES) or "sequence", where it can measure nothing else.
        call_size: how many objects a worker is handed at a time; the function gets one after the other.
    """

    def mark(function: Function) -> Function:
        said: dict[str, Any] = {
            "objectives": tuple(objectives) if objectives else (Objective(name or _name(function), unit, goal),),
            "version": version,
            "fidelities": dict(fidelities or {}),
            "object_type": object_type,
            "call_size": call_size,
        }
        for attribute, value in said.items():
            setattr(function, attribute, value)
        return function

    return mark


class FunctionOracle(Oracle):
    """A function of one object that returns a number, a sequence of numbers, or an Outcome.

    An exception is the failure of the object it was raised for: ``permanent``, or what an OracleError says. The
    function's attributes ``objectives`` (or ``goal`` and ``unit``), ``version``, ``fidelities``, ``object_type`` and
    ``call_size`` are honoured where it has them.

    Args:
        function: called with one object at a time.
        options: keyword arguments of every call. Where there are fidelities, ``fidelity`` is the one to measure at if
            nobody asks for another; left out: the most expensive one.

    Raises:
        ConfigError: what the function says of itself makes no sense.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.function = function
        self.options = dict(options)
        _describe(self, function)
        if self.fidelities:
            if "fidelity" not in _keywords(function):
                raise ConfigError(f"{_name(function)}: it has fidelities, so it must take the argument 'fidelity'")
            self.fidelity = _one_of(self, self.options.pop("fidelity", self.fidelity), _name(function))

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yields the function's answer for each object."""
        for item in objects:
            yield self._answer(item)

    def _answer(self, item: str) -> Outcome:
        meant = {"fidelity": self.fidelity} if self.fidelities else {}
        try:
            return as_outcome(self.function(item, **self.options, **meant), len(self.objectives))
        except OracleError as error:
            return Outcome(failure=error.failure)
        except (Exception, SystemExit) as error:
            return Outcome.failed("permanent", f"{type(error).__name__}: {error}")


class WrappedOracle(Oracle):
    """An object that has the contract's ``evaluate`` without being an Oracle.

    Where it has ``objectives`` (or ``goal`` and ``unit``), ``version``, ``call_size``, ``object_type``, ``fidelities``,
    ``fidelity``, ``at``, ``is_external`` or ``check``, they are honoured.

    Raises:
        ConfigError: what it says of itself makes no sense.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        _describe(self, inner)
        if self.fidelities and not hasattr(inner, "fidelity"):
            inner.fidelity = self.fidelity
        self.is_external = bool(getattr(inner, "is_external", False))

    def at(self, fidelity: str) -> Self:
        """The same at another fidelity: the object's own ``at``, else a copy with this ``fidelity``."""
        other = super().at(fidelity)
        if other is not self:
            if callable(getattr(self.inner, "at", None)):
                other.inner = self.inner.at(fidelity)
            else:
                other.inner = copy.copy(self.inner)
                other.inner.fidelity = fidelity
        return other

    def check(self) -> None:
        """Calls the object's own ``check`` where it has one."""
        if callable(getattr(self.inner, "check", None)):
            self.inner.check()

    def evaluate(self, objects: Sequence[str]) -> Iterable[Outcome | float | Sequence[float]]:
        """Whatever the object's own ``evaluate`` answers."""
        answers: Iterable[Outcome | float | Sequence[float]] = self.inner.evaluate(objects)
        return answers


def oracle_from(target_object: Any, **kwargs: Any) -> Oracle:
    """The oracle that a config's ``target:`` means.

    The same target and arguments give the same oracle in every process.

    Args:
        target_object: an Oracle subclass, another class with an ``evaluate`` method, or a function of one object.
        kwargs: arguments of the class, or keyword arguments of each call of the function.

    Raises:
        ConfigError: it is none of these, or the arguments do not fit.
    """
    label = _name(target_object, repr(target_object))
    if inspect.isclass(target_object):
        if not callable(getattr(target_object, "evaluate", None)):
            raise ConfigError(f"the class {label} has no method evaluate(objects)")
        if inspect.isabstract(target_object):
            missing = ", ".join(sorted(getattr(target_object, "__abstractmethods__", ())))
            raise ConfigError(f"the class {label} does not implement {missing}")
        built = target_object(**_fitting(target_object, kwargs, label))
        return built if isinstance(built, Oracle) else WrappedOracle(built)
    if isinstance(target_object, Oracle) or callable(getattr(target_object, "evaluate", None)):
        raise ConfigError(f"{label:.80} is an oracle already built: name its class ({type(target_object).__name__})")
    if not callable(target_object):
        raise ConfigError(f"{label:.80} is neither a class with evaluate(objects) nor a function of one object")
    if inspect.iscoroutinefunction(target_object):
        raise ConfigError(f"{label} is an async function: give a plain one that returns the value")
    # which fidelity is said at each call, so that the config need not
    said = ("fidelity",) if getattr(target_object, "fidelities", None) and "fidelity" not in kwargs else ()
    return FunctionOracle(target_object, **_fitting(_options_of(target_object, label), kwargs, label, said))


def _options_of(function: Any, label: str) -> Any:
    """The function without its first argument, which is the object."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions written in C do not tell
        return function
    takes = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    if not parameters or parameters[0].kind not in takes:
        raise ConfigError(f"the function {label} takes no positional argument, expected one: the object")
    return partial(function, "")


def _fitting(factory: Any, kwargs: Mapping[str, Any], label: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """The arguments, checked and converted by the factory's signature."""
    try:
        model = arguments_model(factory, without)
    except (TypeError, ValueError):
        return dict(kwargs)
    try:
        checked = model(**kwargs)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{label}: argument {where!r}: {first['msg']}") from error
    return {name: getattr(checked, name) for name in kwargs}


def _name(thing: Any, default: str = "value") -> str:
    name = getattr(thing, "__name__", default)
    return default if name == "<lambda>" else str(name)


def _objectives(thing: Any) -> tuple[Objective, ...]:
    """What a function or object says that it measures; names alone will do."""
    unit: Any = getattr(thing, "unit", "")
    goal: Any = getattr(thing, "goal", "maximise")  # Objective refuses a wrong one
    said: Iterable[Any] = getattr(thing, "objectives", None) or (_name(thing),)
    try:
        meant = tuple(entry if isinstance(entry, Objective) else Objective(str(entry), unit, goal) for entry in said)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{_name(thing, type(thing).__name__)}: objectives: {error}") from error
    return meant


def _describe(made: Oracle, thing: Any) -> None:
    """Copies what a function or object says of itself to the oracle that is made of it."""
    label = _name(thing, type(thing).__name__)
    made.objectives = _objectives(thing)
    made.version = str(getattr(thing, "version", "1"))
    said: Any = getattr(thing, "fidelities", None) or ()
    try:
        made.call_size = int(getattr(thing, "call_size", 1))
        if isinstance(said, Mapping):
            made.fidelities = priced_fidelities({str(name): float(cost) for name, cost in said.items()})
        else:
            made.fidelities = tuple(said)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{label}: call_size or fidelities: {error}") from error
    if made.call_size < 1 or not all(isinstance(f, Fidelity) for f in made.fidelities):
        raise ConfigError(f"{label}: expected a call_size of 1 or more, and fidelities as {{name: cost}}")
    made.object_type = getattr(thing, "object_type", None)
    if made.fidelities:
        made.fidelity = _one_of(made, getattr(thing, "fidelity", made.fidelities[-1].name), label)


def _one_of(made: Oracle, fidelity: object, label: str) -> str:
    """The name of a fidelity. ConfigError: it is none of the oracle's."""
    names = [f.name for f in made.fidelities]
    if fidelity not in names:
        raise ConfigError(f"{label}: fidelity: {fidelity!r} is not one of {', '.join(names)}")
    return str(fidelity)


def _keywords(function: Callable[..., Any]) -> Mapping[str, object]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions written in C do not tell
        return {"fidelity": None}
    is_open = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return {"fidelity": None} if is_open else parameters
