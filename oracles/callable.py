"""Oracles from what a user already has: an Oracle subclass, any class with ``evaluate``, or a plain function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from al_loop.errors import ConfigError
from al_loop.parts import arguments_model
from oracles.base import Goal, Objective, Oracle, OracleError, Outcome, as_outcome

Function = TypeVar("Function", bound=Callable[..., Any])


def oracle(
    *,
    name: str | None = None,
    unit: str = "",
    goal: Goal = "maximise",
    version: str = "1",
    objectives: Sequence[Objective] | None = None,
) -> Callable[[Function], Function]:
    """Decorator that says what a function measures; the function itself stays as it is.

    Args:
        name: of the value; the function's own name where it is not given.
        unit: of the value.
        goal: the direction that a campaign usually wants.
        version: raise it when the same object would get another answer than before.
        objectives: in place of name, unit and goal, for a function that returns several numbers.
    """

    def mark(function: Function) -> Function:
        meant = tuple(objectives) if objectives else (Objective(name or _name(function), unit, goal),)
        function.objectives = meant  # type: ignore[attr-defined]
        function.version = version  # type: ignore[attr-defined]
        return function

    return mark


class FunctionOracle(Oracle):
    """A function of one object that returns a number, a sequence of numbers, or an Outcome.

    An exception is the failure of the object it was raised for: ``permanent``, or what an OracleError says. The
    function's attributes ``objectives``, or ``goal`` and ``unit``, and ``version`` are honoured where it has them.

    Args:
        function: called with one object at a time.
        options: keyword arguments of every call.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.function = function
        self.options = options
        self.objectives = _objectives(function)
        self.version = str(getattr(function, "version", "1"))

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yields the function's answer for each object."""
        for item in objects:
            yield self._answer(item)

    def _answer(self, item: str) -> Outcome:
        try:
            return as_outcome(self.function(item, **self.options), len(self.objectives))
        except OracleError as error:
            return Outcome(failure=error.failure)
        except (Exception, SystemExit) as error:
            return Outcome.failed("permanent", f"{type(error).__name__}: {error}")


class WrappedOracle(Oracle):
    """An object that has the contract's ``evaluate`` without being an Oracle.

    Where it has ``objectives`` (or ``goal`` and ``unit``), ``version``, ``call_size`` or ``check``, they are honoured.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.objectives = _objectives(inner)
        self.version = str(getattr(inner, "version", "1"))
        self.call_size = int(getattr(inner, "call_size", 1))

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
    return FunctionOracle(target_object, **_fitting(_options_of(target_object, label), kwargs, label))


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


def _fitting(factory: Any, kwargs: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The arguments, checked and converted by the factory's signature."""
    try:
        model = arguments_model(factory)
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
