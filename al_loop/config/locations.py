"""YAML text parsed once into values and line numbers, and where each key of a config was set, for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

#: the keys (of mappings) and indices (of lists) that lead to a value
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Locations:
    """Locations of the keys of a config: a line of its file, or an override on the command line.

    Args:
        file: the config file, or another name of the config for the user.
        lines: line number of each key, counted from 1.
        overrides: the text of the override that set a key.
    """

    file: str = "config"
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)

    def describe(self, path: KeyPath) -> str:
        """Return ``(file, line n)`` of a key, or of the nearest key around it, as the end of an error message."""
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
    """A YAML loader that refuses duplicate keys, of which PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"duplicate key {key!r}", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> tuple[Any, dict[KeyPath, int]]:
    """Parse a YAML text once.

    Args:
        text: one YAML document.

    Returns:
        Its value, and the line of each key and list item, counted from 1.

    Raises:
        ValueError: it is not YAML, or has duplicate keys; the message gives the line and column.
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
    """Add the lines of a node and all below it; a node that contains itself by an alias is not followed again."""
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
