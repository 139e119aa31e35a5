"""Error messages for config sections that pydantic rejects: key, value, expectation, and where the key was set."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from al_loop.config.locations import KeyPath, Locations
from al_loop.errors import suggestion
from al_loop.system.plain_values import shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_UNKNOWN_KEYS = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING_KEYS = ("missing", "missing_argument", "missing_keyword_only_argument")
_EXPECTED = {
    "list_type": "a list is expected, such as [...]",
    "tuple_type": "a list is expected, such as [...]",
    "sequence_str": "a list is expected, such as [...]",
    "dict_type": "a section of keys is expected, such as {key: value}",
    "model_type": "a section of keys is expected, such as {key: value}",
    "dataclass_type": "a section of keys is expected, such as {key: value}",
    "string_type": "a text is expected",
}


def messages(
    errors: Sequence[ErrorDetails],
    data: Any,
    model: type[BaseModel] | None,
    path: KeyPath = (),
    locations: Locations | None = None,
) -> Iterator[str]:
    """Yield a line for each error.

    Args:
        errors: the errors that pydantic collected.
        data: what was validated, to tell the user's keys from the names that pydantic gives to alternatives.
        model: the model of the section, to list its keys.
        path: the key of the section that was validated; () for the whole config.
        locations: where each key was set; None: not to be said.
    """
    lines: dict[tuple[KeyPath, bool], list[str]] = {}
    for refusal in _of_the_best_alternatives([_Refusal(error, tuple(_steps(error, data))) for error in errors]):
        is_about_key = refusal.error["type"] in (*_UNKNOWN_KEYS, *_MISSING_KEYS)
        keys, text = refusal.keys, _text(refusal, model)
        inner, text = split_key(text, _keys_of(model, keys))  # a section that refuses the value of one of its keys
        keys += inner
        found = lines.setdefault(((*path, *keys), is_about_key), [])
        if text not in found:
            found.append(text)
    for (key_path, _), texts in lines.items():
        location = "" if locations is None else f" {locations.describe(key_path)}"
        yield f"{'.'.join(map(str, key_path)) or 'config'}: {', or '.join(texts)}{location}"


def split_key(text: str, known: Iterable[str]) -> tuple[tuple[str, ...], str]:
    """Return the key that a message begins with, as in ``lr: must be above 0``, or (), and the rest of the message.

    Args:
        text: the message.
        known: the keys that it may be.
    """
    name, separator, rest = text.partition(": ")
    return ((name,), rest) if separator and name in known else ((), text)


@dataclass(frozen=True)
class _Step:
    """A key of the config; or the name of one of several types that a value may have."""

    name: str | int
    is_key: bool


@dataclass(frozen=True)
class _Refusal:
    error: ErrorDetails
    steps: tuple[_Step, ...]

    @property
    def keys(self) -> KeyPath:
        return tuple(step.name for step in self.steps if step.is_key)


def _steps(error: ErrorDetails, data: Any) -> Iterator[_Step]:
    for i, name in enumerate(error["loc"]):
        is_index = isinstance(name, int) and isinstance(data, list | tuple) and name < len(data)
        if is_index or (isinstance(data, Mapping) and name in data):
            data = data[name]
            yield _Step(name, is_key=True)
        else:
            yield _Step(name, is_key=i == len(error["loc"]) - 1 and error["type"] in _MISSING_KEYS)


def _of_the_best_alternatives(refusals: Sequence[_Refusal]) -> list[_Refusal]:
    """Return, where a value may have several types, only what refuses it as the one that fits it best."""
    kept, alternatives = [], dict[tuple[_Step, ...], dict[str | int, list[_Refusal]]]()
    for refusal in refusals:
        i = next((i for i, step in enumerate(refusal.steps) if not step.is_key), None)
        if i is None:
            kept.append(refusal)
            continue
        before, after = refusal.steps[:i], refusal.steps[i + 1 :]
        of_type = alternatives.setdefault(before, {}).setdefault(refusal.steps[i].name, [])
        of_type.append(_Refusal(refusal.error, (*before, *after)))
    for before, by_type in alternatives.items():
        depths = {name: max(len(refusal.keys) for refusal in found) for name, found in by_type.items()}
        deepest = max(depths.values())
        names = [name for name in by_type if depths[name] == deepest]
        for name in names if deepest == len(before) else names[:1]:
            kept += _of_the_best_alternatives(by_type[name])
    return kept


def _text(refusal: _Refusal, model: type[BaseModel] | None) -> str:
    error, keys = refusal.error, refusal.keys
    if error["type"] in _UNKNOWN_KEYS:
        known = _keys_of(model, keys[:-1])
        listed = f"; known keys: {', '.join(known)}" if known else ""
        return f"unknown key{suggestion(str(keys[-1]), known)}{listed}"
    if error["type"] in _MISSING_KEYS:
        return "missing; add it to the config"
    if error["type"] == "finite_number":
        return f"must be finite, got {shown(error['input'])}"
    reason = _EXPECTED.get(error["type"], error["msg"].removeprefix("Value error, "))
    value = "" if isinstance(error["input"], dict) else f"{shown(error['input'])} is not valid: "
    choices = re.findall(r"'([^']+)'", error.get("ctx", {}).get("expected", ""))
    nearest = suggestion(str(error["input"]), choices) if error["type"] == "literal_error" else ""
    return f"{value}{reason[0].lower()}{reason[1:]}{nearest}"


def _keys_of(model: type[BaseModel] | None, path: KeyPath) -> list[str]:
    """Return the keys of the section at a path below a model, or none if it has no fixed keys."""
    models: list[Any] = [] if model is None else [model]
    for key in path:
        if isinstance(key, str):
            owners = [m for m in models if key in getattr(m, "model_fields", ())]
            models = [found for m in owners for found in _sections_in(m.model_fields[key].annotation)]
    return sorted({name for m in models for name in _names(m)})


def _sections_in(annotation: Any) -> list[Any]:
    """Return the types with keys of their own in an annotation."""
    if inspect.isclass(annotation) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _sections_in(inner)]


def _is_object_of_ours(annotation: Any) -> bool:
    """Return whether a value is an object that only al-loop can supply, such as an environment."""
    if inspect.isclass(annotation):
        is_written = issubclass(annotation, BaseModel | str | int | float) or is_dataclass(annotation)
        return annotation.__module__.startswith("al_loop.") and not is_written
    return any(_is_object_of_ours(inner) for inner in get_args(annotation))


def _names(section: Any) -> list[str]:
    if issubclass(section, BaseModel):
        return [name for name, field in section.model_fields.items() if not _is_object_of_ours(field.annotation)]
    return [field.name for field in fields(section) if field.init]
