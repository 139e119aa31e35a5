"""Oracles made from a user's own code: an Oracle subclass, any class with ``evaluate``, or a plain function."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from al_loop.config.arguments import arguments_model
from al_loop.errors import ConfigError, not_one_of
from al_loop.oracles._io.row_format import priced_fidelities
from al_loop.oracles.base import Fidelity, Goal, Objective, Oracle, OracleError, Outcome, as_outcome, outcome_of_error

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
    """Return a decorator that declares what a function measures and leaves the function itself unchanged.

    Args:
        name: name of the value; by default the function's own name.
        unit: unit of the value.
        goal: the direction in which a campaign usually optimises the value.
        version: change it when the same object would get a different answer than before.
        objectives: replaces name, unit and goal for a function that returns several numbers.
        fidelities: fidelity name -> cost of a call; the function receives the name as its argument ``fidelity``.
        object_type: "molecule" (SMILES) or "sequence" if it can measure nothing else.
        call_size: maximum number of objects that a worker receives in one call; the function is called once for each.
    """

    def declare(function: Function) -> Function:
        attributes: dict[str, Any] = {
            "objectives": tuple(objectives) if objectives else (Objective(name or _name(function), unit, goal),),
            "version": version,
            "fidelities": dict(fidelities or {}),
            "object_type": object_type,
            "call_size": call_size,
        }
        for attribute, value in attributes.items():
            setattr(function, attribute, value)
        return function

    return declare


class FunctionOracle(Oracle):
    """An oracle made from a function of one object that returns a number, a sequence of numbers, or an Outcome.

    An exception is a failure of the object for which it was raised: ``permanent``, or the kind of an OracleError. The
    function may declare the attributes ``objectives`` (or ``goal`` and ``unit``), ``version``, ``fidelities``,
    ``object_type`` and ``call_size``.

    Args:
        function: called with one object at a time.
        options: keyword arguments of every call. If the function declares fidelities, ``fidelity`` names the default
            one; without it, the default is the most expensive fidelity.

    Raises:
        ConfigError: a declared attribute is invalid.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.function = function
        self.options = dict(options)
        _copy_declarations(function, self)
        if self.fidelities:
            if not _accepts_fidelity(function):
                raise ConfigError(
                    f"{_name(function)}: a function with fidelities must accept the argument 'fidelity'; add it"
                )
            self.fidelity = _checked_fidelity(self, self.options.pop("fidelity", self.fidelity), _name(function))

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the function's answer for each object."""
        for item in objects:
            yield self._answer(item)

    def _answer(self, item: str) -> Outcome:
        fidelity = {"fidelity": self.fidelity} if self.fidelities else {}
        try:
            answer = self.function(item, **self.options, **fidelity)
            if isinstance(answer, Mapping):
                answer = _in_order(answer, [objective.name for objective in self.objectives])
            return as_outcome(answer, len(self.objectives))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            return outcome_of_error(error)


class WrappedOracle(Oracle):
    """An oracle made from an object with an ``evaluate`` method whose class does not derive from Oracle.

    The object may also have ``objectives`` (or ``goal`` and ``unit``), ``version``, ``call_size``, ``object_type``,
    ``fidelities``, ``fidelity``, ``at``, ``is_external`` and ``check``.

    Args:
        inner: the object.

    Raises:
        ConfigError: a declared attribute is invalid.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        _copy_declarations(inner, self)
        if self.fidelities and not hasattr(inner, "fidelity"):
            inner.fidelity = self.fidelity
        self.is_external = bool(getattr(inner, "is_external", False))

    def at(self, fidelity: str) -> Self:
        """Return this oracle at one of its fidelities: by the object's own ``at``, or as a modified copy.

        Raises:
            ValueError: it has no such fidelity.
        """
        other = super().at(fidelity)
        if other is not self:
            if callable(getattr(self.inner, "at", None)):
                other.inner = self.inner.at(fidelity)
            else:
                other.inner = copy.copy(self.inner)
                other.inner.fidelity = fidelity
        return other

    def check(self) -> None:
        """Call the object's own ``check``, if it has one."""
        if callable(getattr(self.inner, "check", None)):
            self.inner.check()

    def evaluate(self, objects: Sequence[str]) -> Iterable[Outcome | float | Sequence[float]]:
        """Return the answers of the object's own ``evaluate``."""
        answers: Iterable[Outcome | float | Sequence[float]] = self.inner.evaluate(objects)
        return answers


def oracle_from(target_object: Any, **kwargs: Any) -> Oracle:
    """Build the oracle that a config names by ``target:``.

    The same target and arguments give the same oracle in every process.

    Args:
        target_object: an Oracle subclass, another class with an ``evaluate`` method, or a function of one object.
        kwargs: arguments of the class, or keyword arguments of each call of the function.

    Raises:
        ConfigError: the target is none of these, or the arguments do not match its signature.
    """
    label = _name(target_object, repr(target_object))
    if inspect.isclass(target_object):
        evaluate: Any = getattr(target_object, "evaluate", None)
        if not callable(evaluate):
            raise ConfigError(f"the class {label} has no method evaluate(objects), which every oracle needs")
        _refuse_async(evaluate, f"{label}.evaluate")
        if inspect.isabstract(target_object):
            missing = ", ".join(sorted(getattr(target_object, "__abstractmethods__", ())))
            raise ConfigError(f"the class {label} is abstract; implement {missing}")
        built = target_object(**_checked_arguments(target_object, kwargs, label))
        return built if isinstance(built, Oracle) else WrappedOracle(built)
    if isinstance(target_object, Oracle) or callable(getattr(target_object, "evaluate", None)):
        raise ConfigError(f"{label:.80} is an instance; name its class instead ({type(target_object).__name__})")
    if not callable(target_object):
        raise ConfigError(f"{label:.80} is neither a class with evaluate(objects) nor a function of one object")
    _refuse_async(target_object, label)
    # each call passes its fidelity, so the config need not
    optional = ("fidelity",) if getattr(target_object, "fidelities", None) and "fidelity" not in kwargs else ()
    return FunctionOracle(
        target_object, **_checked_arguments(_options_of(target_object, label), kwargs, label, optional)
    )


def oracle_from_given(thing: Any, objectives: Sequence[Mapping[str, str]] = ()) -> Oracle:
    """Build the oracle of a function, class or object that was given to ``al_loop.campaign``.

    Args:
        thing: a function of one object, a class with an ``evaluate`` method, or an object of such a class.
        objectives: replaces the objectives that it declares: for each, its name, unit and goal.

    Raises:
        ConfigError: it is none of these, or what it declares is invalid.
    """
    if isinstance(thing, Oracle):
        built: Oracle = copy.copy(thing)
    elif not inspect.isclass(thing) and callable(getattr(thing, "evaluate", None)):
        built = WrappedOracle(thing)
    else:
        built = oracle_from(thing)
    if objectives:
        built.objectives = tuple(Objective(**objective) for objective in objectives)  # type: ignore[arg-type]
    return built


def _in_order(answer: Mapping[Any, Any], names: Sequence[str]) -> tuple[Any, ...]:
    """Return the values of a mapping in the order of the objectives.

    Raises:
        OracleError: it lacks a name.
    """
    missing = [name for name in names if name not in answer]
    if missing:
        raise OracleError(
            "permanent", f"the oracle returned {', '.join(map(str, answer))} by name, and not {', '.join(missing)}"
        )
    return tuple(answer[name] for name in names)


def _refuse_async(function: Any, label: str) -> None:
    """Raise ConfigError for async functions, async generator functions and objects that are called as such."""
    while isinstance(function, partial):
        function = function.func
    if any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (function, function.__call__)):
        raise ConfigError(
            f"{label} is an async function, which is not supported; use one that returns the value, such as "
            "asyncio.run(...) of yours"
        )


def _options_of(function: Any, label: str) -> Any:
    """Return the function without its first argument, the object."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions written in C have no signature
        return function
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    if not parameters or parameters[0].kind not in positional:
        raise ConfigError(f"the function {label} takes no positional argument, expected one (the object)")
    return partial(function, "")


def _checked_arguments(
    factory: Any, kwargs: Mapping[str, Any], label: str, without: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the arguments, checked and converted by the annotations of the factory's signature."""
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
    """Return the objectives that a function or object declares, as Objectives or as bare names."""
    unit: Any = getattr(thing, "unit", "")
    goal: Any = getattr(thing, "goal", "maximise")  # Objective refuses an unknown one
    entries: Iterable[Any] = getattr(thing, "objectives", None) or (_name(thing),)
    try:
        return tuple(entry if isinstance(entry, Objective) else Objective(str(entry), unit, goal) for entry in entries)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{_name(thing, type(thing).__name__)}: objectives: {error}") from error


def _copy_declarations(thing: Any, wrapper: Oracle) -> None:
    """Set the oracle's attributes to those that the wrapped function or object declares."""
    label = _name(thing, type(thing).__name__)
    wrapper.objectives = _objectives(thing)
    wrapper.version = str(getattr(thing, "version", "1"))
    fidelities: Any = getattr(thing, "fidelities", None) or ()
    try:
        wrapper.call_size = int(getattr(thing, "call_size", 1))
        if isinstance(fidelities, Mapping):
            wrapper.fidelities = priced_fidelities({str(name): float(cost) for name, cost in fidelities.items()})
        else:
            wrapper.fidelities = tuple(fidelities)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{label}: call_size or fidelities: {error}") from error
    if wrapper.call_size < 1:
        raise ConfigError(f"{label}: call_size: {wrapper.call_size}, expected at least 1")
    if not all(isinstance(f, Fidelity) for f in wrapper.fidelities):
        raise ConfigError(f"{label}: fidelities: {fidelities!r:.80}, expected {{name: cost}} or a list of Fidelity")
    wrapper.object_type = getattr(thing, "object_type", None)
    if wrapper.fidelities:
        wrapper.fidelity = _checked_fidelity(wrapper, getattr(thing, "fidelity", wrapper.fidelities[-1].name), label)


def _checked_fidelity(wrapper: Oracle, fidelity: object, label: str) -> str:
    """Return the name of a fidelity of the oracle, or raise ConfigError."""
    names = [f.name for f in wrapper.fidelities]
    if fidelity not in names:
        raise ConfigError(f"{label}: fidelity: {not_one_of(fidelity, names)}")
    return str(fidelity)


def _accepts_fidelity(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions written in C have no signature
        return True
    return "fidelity" in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
