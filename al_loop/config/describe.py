"""The keys of a config explained: type, default and meaning, from constructors, annotations and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from al_loop.config import plugins
from al_loop.config.annotations import KeyType, key_type
from al_loop.config.arguments import arguments_of
from al_loop.config.build import SUPPLIED
from al_loop.config.plugins import PartInfo, available
from al_loop.config.schema import CampaignConfig, Constraint
from al_loop.config.spelling import same_word
from al_loop.errors import ConfigError, suggestion

#: what a user may call the parts of a room -> the room
_OTHER_NAMES = {"constraints": "property", "sinks": "sink", "searches": "search"}
_ROOM_NAMES = _OTHER_NAMES | {room: room for room in plugins.ROOMS}
_NAMES = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path", type(None): "null"}


@dataclass(frozen=True)
class KeyInfo:
    """One key of a section or part.

    Args:
        name: the key.
        type: what it accepts, in words.
        default: its default as YAML; None: it has to be given.
        meaning: what it means; may be empty.
    """

    name: str
    type: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Explanation:
    """A section or a part with its keys.

    Args:
        title: such as ``surrogate gp`` or ``rounds``.
        summary: what it is, in one line.
        keys: its keys.
        parts: the parts that it may be, with what each is.
    """

    title: str
    summary: str
    keys: Sequence[KeyInfo]
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)


def explain(words: Sequence[str]) -> list[Explanation]:
    """Return what a name means in a config: a part, a section, or one key of them; every meaning if there are several.

    Args:
        words: ``["gp"]``, ``["surrogate", "gp"]``, ``["environment.fragments"]``, ``["rounds"]``, ``["rounds.count"]``.

    Raises:
        ConfigError: there is no such name.
    """
    names = [name for word in words for name in word.split(".") if name]
    found = [*_parts(names), *_sections(names), *_rooms(names)]
    if found:
        return found
    known = [*plugins.ROOMS, *CampaignConfig.model_fields, *(part.kind for part in _all_parts())]
    nearest = suggestion(names[-1] if names else "", list(dict.fromkeys(known)))
    raise ConfigError(
        f"{' '.join(words)!r} is neither a part nor a section of a config{nearest}; `al-loop list` shows the parts, "
        f"and the sections are {', '.join(CampaignConfig.model_fields)}"
    )


def _rooms(names: Sequence[str]) -> Iterator[Explanation]:
    """Yield the parts of the room that a name means, such as all surrogates."""
    room = _ROOM_NAMES.get(names[-1]) if len(names) == 1 else None
    if room is not None:
        yield Explanation(f"every {room}", "", (), {info.kind: info.summary for info in available(room)})


def _all_parts(room: str | None = None) -> Iterator[PartInfo]:
    for section in plugins.ROOMS:
        if room in (None, section):
            yield from available(section)


def _parts(names: Sequence[str]) -> Iterator[Explanation]:
    """Yield the parts that names mean: [room,] kind[, key]."""
    names = names[1:] if len(names) > 1 and names[0] == "sampler" else names
    room = _ROOM_NAMES.get(names[0]) if names else None
    rest = names[1:] if room is not None and len(names) > 1 else names
    if not 1 <= len(rest) <= 2:
        return
    for info in _all_parts(room if len(names) > len(rest) else None):
        if rest[0] == info.kind or same_word(rest[0], [info.kind]):
            explanation = _explain_part(info)
            keys = [key for key in explanation.keys if len(rest) == 1 or key.name == rest[1]]
            if keys or len(rest) == 1:
                yield Explanation(explanation.title, explanation.summary, keys)


def _explain_part(info: PartInfo) -> Explanation:
    factory = plugins.find(info.section, info.kind)
    model = arguments_of(factory, is_function=True)
    keys = list(_keys_of(model, SUPPLIED.get(info.section, ()))) if model is not None else []
    if info.section == "property":
        keys += [key for key in _keys_of(Constraint) if key.name in ("min", "max")]
    return Explanation(f"{info.section} {info.kind}", info.summary, keys)


def _sections(names: Sequence[str]) -> Iterator[Explanation]:
    """Yield the section that names mean, or one key of it."""
    model: type[BaseModel] | None = CampaignConfig
    for i, name in enumerate(names):
        if model is None or name not in model.model_fields:
            return
        inner = key_type(model.model_fields[name].annotation).model
        if inner is None or issubclass(inner, plugins.Part):
            if i == len(names) - 1:
                keys = [key for key in _keys_of(model) if key.name == name]
                yield Explanation(".".join(names), "", keys)
            return
        model = inner
    if model is not None and model is not CampaignConfig:
        yield Explanation(".".join(names), (model.__doc__ or "").strip().splitlines()[0], list(_keys_of(model)))


def _keys_of(model: type[BaseModel], supplied: Sequence[str] = ()) -> Iterator[KeyInfo]:
    for name, field in model.model_fields.items():
        if name in ("kind", "target"):
            continue
        yield KeyInfo(
            name,
            type_text(key_type(field.annotation, None if field.is_required() else field.default)),
            _default_text(field, is_supplied=name in supplied),
            field.description or "",
        )


def _default_text(field: FieldInfo, *, is_supplied: bool) -> str | None:
    if is_supplied:
        return "from the campaign"
    if field.is_required():
        return None
    default = field.get_default(call_default_factory=True)
    if isinstance(default, plugins.Part):
        return default.name
    if isinstance(default, BaseModel):
        return "see its keys"
    try:
        return json.dumps(default if not isinstance(default, tuple | set) else list(default), ensure_ascii=False)
    except TypeError:
        return str(default)


def type_text(kind: KeyType) -> str:
    """Return what a key accepts in words: ``number or null``, ``ucb | pi``, ``list of texts``."""
    texts = [_alternative_text(alternative) for alternative in kind.alternatives]
    return " or ".join(dict.fromkeys(texts))


def _alternative_text(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(str(value) for value in arguments)
    if kind in _NAMES:
        return _NAMES[kind]
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return f"mapping of names to {type_text(key_type(arguments[1]))}" if len(arguments) == 2 else "mapping"
    if origin is not None and arguments:
        items = [type_text(key_type(argument)) for argument in arguments if argument is not Ellipsis]
        return f"list of {_plural(items[0])}" if len(set(items)) == 1 else f"list: {', '.join(items)}"
    if isinstance(kind, type) and issubclass(kind, plugins.Part):
        return "a part"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"a mapping with keys {', '.join(kind.model_fields)}"
    return kind.__name__ if isinstance(kind, type) and kind is not object else "any value"


def _plural(item: str) -> str:
    if item in _NAMES.values() and item not in ("true or false", "null"):
        return f"{item}s"
    return f"{item.removeprefix('a ').replace('mapping', 'mappings').replace('part', 'parts')}"
