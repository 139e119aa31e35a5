"""The meaning of a config's content before it is validated: short forms, spellings, scalars and relative paths.

Everything here needs the type of a key: ``surrogate: gp`` is short for ``{kind: gp}`` because the key is a part, and
``1e-3`` is a number because a number is expected. The types of a part's keys are those of its constructor.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from al_loop.config.annotations import KeyType, key_type
from al_loop.config.arguments import arguments_of
from al_loop.config.build import adapter_for, build
from al_loop.config.locations import KeyPath, Locations
from al_loop.config.paths import located, with_folder
from al_loop.config.plugins import ROOM_OF, Part, available, is_built_in, short_form
from al_loop.config.scalars import MisreadError, read_scalar
from al_loop.config.schema import CampaignConfig
from al_loop.config.spelling import same_word
from al_loop.errors import ConfigError


def interpret(
    content: Mapping[str, Any],
    locations: Locations,
    folder: Path | None = None,
    schema: type[BaseModel] = CampaignConfig,
) -> tuple[dict[str, Any], Locations]:
    """Return a config's content in the form that the schema validates.

    Args:
        content: sections and keys as in a config file, with ``Plain`` scalars.
        locations: where each key was set.
        folder: the folder of the config file, to which its relative paths refer; None: the working directory.
        schema: the model of the whole config.

    Returns:
        The content, and the locations of its keys.

    Raises:
        ConfigError: a scalar could be taken for another value, or a key is there in two spellings; one line per error.
    """
    reading = _Reading(content, locations, folder, schema)
    result = reading.section(content, schema, (), None)
    if reading.problems:
        raise ConfigError("\n".join(reading.problems))
    return result, reading.locations


def default_kind(path: tuple[str, ...], schema: type[BaseModel] = CampaignConfig) -> str | None:
    """Return the kind of the part that a key has if it is left out, or None if there is none that is always the same.

    Args:
        path: the key of the part, such as ``("sampler", "objective")``.
        schema: the model of the whole config.
    """
    model: Any = schema
    for name in path[:-1]:
        model = key_type(model.model_fields[name].annotation).model
    default = model.model_fields[path[-1]].default
    return default.kind if isinstance(default, Part) else None


class _Reading:
    """One reading of a config; collects problems and the locations of respelled keys."""

    def __init__(
        self, content: Mapping[str, Any], locations: Locations, folder: Path | None, schema: type[BaseModel]
    ) -> None:
        self._content, self._folder, self._schema = content, folder, schema
        self.locations = locations
        self.problems: list[str] = []

    def section(
        self, content: Mapping[Any, Any], model: type[BaseModel], path: KeyPath, room: str | None
    ) -> dict[str, Any]:
        """Return the content of a section, read by the fields of its model."""
        fields = {
            name: key_type(field.annotation, None if field.is_required() else field.default)
            for name, field in model.model_fields.items()
        }
        for name, field in model.model_fields.items():
            fields[name] = replace(fields[name], metadata=(*fields[name].metadata, *field.metadata))
        return {
            name: self.value(value, fields.get(name, KeyType((Any,))), (*path, name), room)
            for name, value in self._respelled(content, list(fields), path).items()
        }

    def value(self, value: Any, expected: KeyType, path: KeyPath, room: str | None) -> Any:
        """Return a value, read as what its key accepts."""
        room = ROOM_OF.get(tuple(str(key) for key in path if not isinstance(key, int)), room)
        model = expected.model
        if model is not None and issubclass(model, Part) and room and isinstance(value, str | Mapping):
            return self._part(value, model, path, room)
        if isinstance(value, Mapping):
            if model is None and expected.record is not None:
                model = arguments_of(expected.record)
            if model is not None:
                return self.section(value, model, path, room)
            inner = expected.entry()
            names = {key: str(key) if expected.has_text_keys else key for key in value}
            return {name: self.value(value[key], inner, (*path, str(key)), room) for key, name in names.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, expected.item(i), (*path, i), room) for i, item in enumerate(value)]
        return self._scalar(value, expected, path)

    def _scalar(self, value: Any, expected: KeyType, path: KeyPath) -> Any:
        try:
            result = read_scalar(value, expected.scalars)
        except MisreadError as problem:
            key = ".".join(map(str, path))
            quotes = self._shell_quotes(path) if "in quotes" in str(problem) else ""
            self.problems.append(f"{key}: {problem} {self.locations.describe(path)}{quotes}")
            return str(value)
        if isinstance(result, str):
            result = str(result)
            if expected.choices and result not in expected.choices:
                return same_word(result, [c for c in expected.choices if isinstance(c, str)]) or result
            if self._folder is not None:
                is_program = expected.has_here and path[-1] == 0 and os.sep in result and "{here}" not in result
                if (expected.path or is_program) and not self.locations.is_override(path):
                    may_be_name = expected.path is not None and expected.path.may_be_name
                    return located(result, self._folder, may_be_name=may_be_name)
                if expected.has_here:
                    return with_folder(result, self._folder)
        return result

    def _shell_quotes(self, path: KeyPath) -> str:
        """Return how quotes reach al-loop from a shell, if the key was set on the command line."""
        override = self.locations.overrides.get(path)
        if override is None:
            return ""
        key, _, text = override.partition("=")
        return f"; in a shell, the quotes need quotes of their own: {key}='\"{text}\"'"

    def _part(self, value: str | Mapping[Any, Any], model: type[Part], path: KeyPath, room: str) -> dict[str, Any]:
        """Return the content of a part: its name, which may be all that is written, and its arguments."""
        if isinstance(value, str):
            value = short_form(str(self._scalar(value, KeyType((str,)), path)))
        content = self._respelled(value, list(model.model_fields), path)
        if "kind" not in content and "target" not in content and (kind := self._default_kind(path)):
            content = {"kind": kind, **content}
        own = {name: content.pop(name) for name in list(content) if name in model.model_fields}
        own = self.section(own, model, path, room)
        kind = own.get("kind")
        if isinstance(kind, str):
            own["kind"] = _kind_in_our_spelling(room, kind)
        try:
            part = Part(kind=own.get("kind"), target=own.get("target"))
            factory = part.factory(room)
            arguments = arguments_of(factory, is_function=adapter_for(room, part, factory) is not None)
        except (ValueError, TypeError, ConfigError):  # the checks of the parts report what is wrong
            arguments = None
        if arguments is None:
            plain = KeyType((Any,))
            return own | {str(k): self.value(v, plain, (*path, str(k)), None) for k, v in content.items()}
        return own | self.section(content, arguments, path, room)

    def _default_kind(self, path: KeyPath) -> str | None:
        """Return the kind of a part whose section only has arguments: the one that it has by default."""
        key = tuple(str(name) for name in path)
        if key not in ROOM_OF or key in (("constraints",), ("sinks",), ("sampler", "searches")):
            return None
        if key in (("features",), ("sampler", "policy")):
            return self._kind_for_environment(key)
        return default_kind(key, self._schema)

    def _kind_for_environment(self, key: tuple[str, ...]) -> str | None:
        """Return the kind of the features or the policy that suit the config's environment, or None if unknown."""
        entry = self._content.get("environment")
        if not isinstance(entry, str | Mapping):
            return None
        before = len(self.problems)
        try:
            environment = build("environment", Part(**self._part(entry, Part, ("environment",), "environment")))
        except (ValueError, TypeError, ConfigError):
            return None
        finally:
            del self.problems[before:]  # they are reported where the environment itself is read
        if key != ("features",):
            return str(environment.default_policy)
        return {"molecule": "morgan", "sequence": "one_hot"}.get(environment.object_type)

    def _respelled(self, content: Mapping[Any, Any], names: list[str], path: KeyPath) -> dict[str, Any]:
        """Return a mapping with its keys in our spelling."""
        result: dict[str, Any] = {}
        for key, value in content.items():
            text = str(key)
            name = text if text in names else same_word(text, names) or text
            if name in result or (name != text and name in content):
                place = self.locations.describe((*path, text))
                self.problems.append(
                    f"{'.'.join(map(str, (*path, text)))}: {name} is there as well, in another spelling; remove one "
                    f"of them {place}"
                )
            elif name != text:
                self.locations = self.locations.renamed((*path, text), (*path, name))
            result[name] = value
        return result


def _kind_in_our_spelling(room: str, kind: str) -> str:
    if is_built_in(room, kind):
        return kind
    names = [info.kind for info in available(room)]
    return kind if kind in names else same_word(kind, names) or kind
