"""Reading type annotations of config keys: the scalars, items and sections that a key accepts."""

from __future__ import annotations

import collections.abc
import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

from al_loop.system.path_texts import FilePath, HerePath

_SCALARS: Mapping[Any, str] = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "text",
    Path: "text",
    bytes: "text",
    type(None): "none",
    Any: "any",
    object: "any",
}


@dataclass(frozen=True)
class KeyType:
    """The types that a key accepts: the alternatives of its annotation.

    Args:
        alternatives: the members of a union, or the annotation itself, without ``Annotated``.
        metadata: the metadata of ``Annotated``.
        is_loose: whether the type is guessed from a default value, so that values of other types are not refused.
    """

    alternatives: tuple[Any, ...]
    metadata: tuple[Any, ...] = ()
    is_loose: bool = False

    @property
    def scalars(self) -> frozenset[str]:
        """The scalars accepted: bool, number, text, none, and any if it accepts values of unknown types."""
        kinds: set[str] = set()
        for alternative in self.alternatives:
            if get_origin(alternative) is Literal:
                kinds |= {_SCALARS.get(type(value), "any") for value in get_args(alternative)}
            elif alternative in _SCALARS:
                kinds.add(_SCALARS[alternative])
            elif isinstance(alternative, TypeVar) or not (
                get_origin(alternative) or (inspect.isclass(alternative) and _is_container(alternative))
            ):
                kinds.add("any")
        return frozenset(kinds | {"none"} if self.is_loose else kinds)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a ``Literal``."""
        literals = [get_args(a) for a in self.alternatives if get_origin(a) is Literal]
        return tuple(value for values in literals for value in values)

    @property
    def model(self) -> type[BaseModel] | None:
        """The section that the key contains, if it does."""
        models = [a for a in self.alternatives if inspect.isclass(a) and issubclass(a, BaseModel)]
        return models[0] if models else None

    @property
    def record(self) -> type | None:
        """The dataclass that the key contains, if it does."""
        return next((a for a in self.alternatives if inspect.isclass(a) and is_dataclass(a)), None)

    @property
    def path(self) -> FilePath | None:
        """The mark of a path of a file or folder, or None if the value is none."""
        marks = [m for m in self.metadata if isinstance(m, FilePath)]
        return marks[0] if marks else FilePath() if Path in self.alternatives else None

    @property
    def has_here(self) -> bool:
        """Whether ``{here}`` in the value means the config's folder."""
        return any(isinstance(m, HerePath) for m in self.metadata)

    def item(self, index: int) -> KeyType:
        """Return the type of an item of a list."""
        found: list[Any] = []
        for alternative in self.alternatives:
            origin, arguments = get_origin(alternative), get_args(alternative)
            if origin is tuple and arguments and arguments[-1] is not Ellipsis:
                found += [arguments[index]] if index < len(arguments) else []
            elif inspect.isclass(origin) and issubclass(origin, collections.abc.Iterable) and arguments:
                found.append(arguments[0])
        return self._of(found)

    def entry(self) -> KeyType:
        """Return the type of a value of a mapping."""
        mappings = [
            a
            for a in self.alternatives
            if inspect.isclass(get_origin(a)) and issubclass(get_origin(a), collections.abc.Mapping)
        ]
        return self._of([get_args(a)[1] for a in mappings if len(get_args(a)) == 2])

    @property
    def has_text_keys(self) -> bool:
        """Whether the keys of a mapping are texts."""
        return any(get_args(a)[:1] == (str,) for a in self.alternatives if get_origin(a) is not Literal)

    def _of(self, annotations: Sequence[Any]) -> KeyType:
        inner = [key_type(annotation) for annotation in annotations] or [KeyType((Any,))]
        # a text that may be a path does not make the items of a list paths: these have a mark of their own
        outer = (m for m in self.metadata if not isinstance(m, FilePath))
        metadata = (*(m for t in inner for m in t.metadata), *outer)
        return KeyType(tuple(a for t in inner for a in t.alternatives), metadata, self.is_loose)


def key_type(annotation: Any, default: Any = None) -> KeyType:
    """Return what a key accepts.

    Args:
        annotation: its annotation.
        default: its default value, which decides if the annotation is missing.
    """
    if annotation is Any or annotation is inspect.Parameter.empty:
        return _type_of(default)
    if hasattr(annotation, "__value__"):  # a type alias of Python 3.12
        return key_type(annotation.__value__)
    origin = get_origin(annotation)
    if origin is Annotated:
        inner = key_type(annotation.__origin__)
        return KeyType(inner.alternatives, (*inner.metadata, *annotation.__metadata__))
    if origin in (Union, types.UnionType):
        members = [key_type(member) for member in get_args(annotation)]
        return KeyType(tuple(a for m in members for a in m.alternatives), tuple(d for m in members for d in m.metadata))
    return KeyType((annotation,))


def _type_of(default: Any) -> KeyType:
    """Return the type of a default value, as the type of a key without an annotation."""
    if isinstance(default, bool | int | float | str):
        return KeyType((type(default),), is_loose=True)
    if isinstance(default, list | tuple | set) and default:
        kinds = tuple(dict.fromkeys(type(v) for v in default if isinstance(v, bool | int | float | str)))
        return KeyType((list[reduce(or_, kinds)],), is_loose=True) if kinds else KeyType((Any,))  # type: ignore[misc]
    return KeyType((Any,))


def _is_container(kind: type) -> bool:
    return is_dataclass(kind) or issubclass(kind, BaseModel | list | tuple | set | dict | collections.abc.Mapping)
