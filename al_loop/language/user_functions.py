"""The functions of users that are rewards: what they take, and by what a changed one is known."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

from al_loop.errors import ConfigError


def name_of(function: Callable[..., Any]) -> str:
    """Return the module and the name of a function, such as ``my_rewards:is_number``."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', type(function).__module__)}:{name}"


def takes_prompt(function: Callable[..., Any]) -> bool:
    """Return whether a function of a text also takes the prompt.

    Its second parameter is that of the prompt if it has no default, or is called ``prompt``.

    Raises:
        ConfigError: it can be called neither with a text, nor with a text and a prompt.
    """
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):  # a function of C
        return False
    kinds = inspect.Parameter
    values = signature.parameters.values()
    named = [p for p in values if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    required = [p for p in named if p.default is kinds.empty]
    takes_text = bool(named) or any(p.kind is kinds.VAR_POSITIONAL for p in values)
    missing = [p for p in values if p.kind is kinds.KEYWORD_ONLY and p.default is kinds.empty]
    if not takes_text or len(required) > 2 or missing:
        raise ConfigError(
            f"reward: expected a function of a text, or of a text and its prompt, and {name_of(function)} takes "
            f"{signature}"
        )
    return len(required) == 2 or (len(named) > 1 and named[1].name == "prompt")


def code_digest(function: Callable[..., Any]) -> str:
    """Return a hash of a function's code, its defaults and its nested functions; of what else it calls, no more."""
    parts: list[object] = []
    _add_code(function, parts)
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _add_code(function: Any, parts: list[object]) -> None:
    """Collect what a function, a method, a partial function or an object that can be called consists of."""
    if isinstance(function, CodeType):
        parts += [function.co_code.hex(), *function.co_names]
        for constant in function.co_consts:
            _add_code(constant, parts)
    elif isinstance(function, str | int | float | None):
        parts.append(repr(function))
    elif isinstance(function, tuple):
        for part in function:
            _add_code(part, parts)
    elif isinstance(function, frozenset):
        parts += sorted(map(repr, function))
    elif hasattr(function, "__code__"):
        _add_code(function.__code__, parts)
        _add_code(function.__defaults__, parts)
        cells = function.__closure__ or ()
        _add_code(tuple(cell.cell_contents for cell in cells if _is_plain(cell.cell_contents)), parts)
    elif hasattr(function, "func"):  # a partial function
        _add_code((function.func, *filter(_is_plain, function.args)), parts)
        _add_code(tuple(sorted(item for item in function.keywords.items() if _is_plain(item[1]))), parts)
    elif hasattr(type(function).__call__, "__code__"):
        _add_code(type(function).__call__, parts)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | None)
