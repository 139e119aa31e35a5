"""The arguments of a part's constructor as a pydantic model, which checks and explains the keys of its section."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from al_loop.config.docstrings import argument_descriptions


def arguments_model(factory: Any, without: Sequence[str] = ()) -> type[BaseModel]:
    """Return a pydantic model of a factory's keyword arguments, which checks and converts values of a config.

    Args:
        factory: a class, a function or a ``functools.partial``.
        without: names of arguments to omit.
    """
    signature = inspect.signature(factory)
    function = factory
    while isinstance(function, partial):
        function = function.func
    hints_of = function.__init__ if inspect.isclass(function) else function
    try:
        hints = get_type_hints(hints_of, include_extras=True)
    except Exception:  # annotations of a user's class that cannot be resolved: leave the types unchecked
        hints = {}
    fields: dict[str, Any] = {}
    meanings = argument_descriptions(function)
    is_open = False
    for name, parameter in signature.parameters.items():
        if name in without:
            continue
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            is_open = True
        elif parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[name] = (_described(hints.get(name, Any), meanings.get(name)), default)
    config = ConfigDict(
        extra="allow" if is_open else "forbid",
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        # a user's own part may take infinity for "no limit"
        allow_inf_nan=not str(getattr(function, "__module__", "")).startswith("al_loop."),
    )
    return create_model(getattr(factory, "__name__", "part"), __config__=config, **fields)


def _described(hint: Any, meaning: str | None) -> Any:
    """Return an annotation with the description from a docstring, unless it has one of its own."""
    metadata = getattr(hint, "__metadata__", ())
    has_description = any(isinstance(m, FieldInfo) and m.description for m in metadata)
    return hint if meaning is None or has_description else Annotated[hint, Field(description=meaning)]


def arguments_of(factory: Any, *, is_function: bool = False) -> type[BaseModel] | None:
    """Return a model of the config keys of a part, or None if its signature cannot be read.

    Args:
        factory: the class or function that the part names.
        is_function: whether a function is called with an object before its keyword arguments.
    """
    try:
        names = [] if inspect.isclass(factory) or not is_function else list(inspect.signature(factory).parameters)[:1]
        return arguments_model(factory, without=names)
    except (TypeError, ValueError):  # some callables written in C have no signature
        return None
