"""YAML parsing with line numbers, and the locations of a config's keys for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from al_loop.config.scalars import Plain, is_ambiguous

#: the mapping keys and list indices that lead to a value
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Locations:
    """The locations of a config's keys: lines of its file, or overrides on the command line.

    Args:
        file: the config file, or another name of the config for messages.
        lines: line number of each key, counted from 1.
        overrides: the text of the override that set a key.
    """

    file: str = "config"
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)

    def describe(self, path: KeyPath) -> str:
        """Return ``(file, line n)`` for a key, or for its nearest enclosing key, as a suffix of an error message."""
        for length in range(len(path), -1, -1):
            enclosing = path[:length]
            if enclosing in self.overrides:
                return f"(from {self.overrides[enclosing]!r} on the command line)"
            if length and enclosing in self.lines:
                inner = [repr(text) for key, text in self.overrides.items() if key[: len(path)] == path]
                suffix = f", with {', '.join(inner)} on the command line" if inner else ""
                return f"({self.file}, line {self.lines[enclosing]}{suffix})"
        return f"({self.file})"

    def is_override(self, path: KeyPath) -> bool:
        """Return whether a key, or a section that contains it, was set on the command line."""
        return any(path[:length] in self.overrides for length in range(1, len(path) + 1))

    def renamed(self, old: KeyPath, new: KeyPath) -> Locations:
        """Return the locations after a key was respelled; both spellings have one.

        Args:
            old: the key as written.
            new: its name in the schema.
        """
        length = len(old)
        lines = {(*new, *path[length:]): line for path, line in self.lines.items() if path[:length] == old}
        overrides = {(*new, *path[length:]): text for path, text in self.overrides.items() if path[:length] == old}
        return Locations(self.file, {**self.lines, **lines}, {**self.overrides, **overrides})


_PLAIN = "!plain"


class _ConfigLoader(yaml.SafeLoader):
    """A YAML loader that rejects duplicate keys and leaves ambiguous scalars undecided, as ``Plain``.

    PyYAML would silently use the last of two keys, and read NO as false and 010 as 8.
    """

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0] and is_ambiguous(value):
            return _PLAIN
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a scalar", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"duplicate key {key!r}", problem_mark=key_node.start_mark)
            seen.add(key)
            if key_node.tag not in _TAGS_OF_OTHER_KEYS:  # an objective may be called NO, a section's key `on`
                key_node.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


#: keys that are not taken as texts: whole numbers, of a user's own tables, and merged mappings
_TAGS_OF_OTHER_KEYS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:merge")
_ConfigLoader.add_constructor(_PLAIN, lambda loader, node: Plain(node.value))


def read_yaml(text: str) -> tuple[Any, dict[KeyPath, int]]:
    """Parse YAML text.

    Args:
        text: one YAML document.

    Returns:
        The value, with ambiguous scalars as ``Plain``, and the line number of each key and list item, from 1.

    Raises:
        ValueError: the text is not valid YAML or has duplicate keys; the message gives the line and column.
    """
    lines: dict[KeyPath, int] = {}
    try:
        loader = _ConfigLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _collect_lines(node, (), lines, ())
        return loader.construct_document(node), lines
    except yaml.YAMLError as error:
        raise ValueError(_reason(error)) from None


def _collect_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], ancestors: tuple[yaml.Node, ...]) -> None:
    """Add the line numbers of a node and its descendants; an alias of an ancestor is not followed."""
    if any(node is ancestor for ancestor in ancestors):
        return
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                lines[(*path, key.value)] = key.start_mark.line + 1
                _collect_lines(value, (*path, key.value), lines, (*ancestors, node))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _collect_lines(value, (*path, i), lines, (*ancestors, node))


def _reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, problem = error.problem_mark, error.problem
        if problem and "'\\t'" in problem:
            problem = "a tab, where YAML accepts only spaces; indent with spaces"
        return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"
    return str(error).splitlines()[0]
