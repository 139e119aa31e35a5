"""YAML parsing with line numbers, and the locations of a config's keys for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

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


class _UniqueKeyLoader(yaml.SafeLoader):
    """A YAML loader that rejects duplicate keys; PyYAML would silently use the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a scalar", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"duplicate key {key!r}", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> tuple[Any, dict[KeyPath, int]]:
    """Parse YAML text.

    Args:
        text: one YAML document.

    Returns:
        The value, and the line number of each key and list item, counted from 1.

    Raises:
        ValueError: the text is not valid YAML or has duplicate keys; the message gives the line and column.
    """
    lines: dict[KeyPath, int] = {}
    try:
        loader = _UniqueKeyLoader(text)
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
        mark = error.problem_mark
        return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return str(error).splitlines()[0]
