"""YAML parsing with line numbers, and the locations of a config's keys for error messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from al_loop.config.scalars import Plain, is_ambiguous
from al_loop.errors import summary


def brief(override: str) -> str:
    """Return an override as it is quoted in a message: its beginning, if it is long."""
    return (
        repr(override)
        if len(override) <= _MAX_QUOTED
        else f"{override[:_MAX_QUOTED]!r}... ({len(override):,} characters)"
    )


_MAX_QUOTED = 120
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
        inner = ", ".join(brief(text) for key, text in self.overrides.items() if path and key[: len(path)] == path)
        for length in range(len(path), -1, -1):
            enclosing = path[:length]
            if enclosing in self.overrides:
                return f"(from {brief(self.overrides[enclosing])} on the command line)"
            if length and enclosing in self.lines:
                suffix = f", with {inner} on the command line" if inner else ""
                return f"({self.file}, line {self.lines[enclosing]}{suffix})"
        return f"(from {inner} on the command line)" if inner else f"({self.file})"

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
_MAX_SCALAR = 400  # characters of a number, a date or another scalar that is no text


class _ConfigLoader(yaml.SafeLoader):
    """A YAML loader that rejects duplicate keys and leaves ambiguous scalars undecided, as ``Plain``.

    PyYAML would silently use the last of two keys, and read NO as false and 010 as 8.
    """

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0]:
            if len(value) > _MAX_SCALAR:
                return "tag:yaml.org,2002:str"
            if is_ambiguous(value):
                return _PLAIN
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a scalar", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"duplicate key {key!r:.80}", problem_mark=key_node.start_mark)
            seen.add(key)
            if key_node.tag not in _TAGS_OF_OTHER_KEYS:  # an objective may be called NO, a section's key `on`
                key_node.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


#: keys that are not taken as texts: whole numbers, of a user's own tables, and merged mappings
_TAGS_OF_OTHER_KEYS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:merge")
_ConfigLoader.add_constructor(_PLAIN, lambda loader, node: Plain(node.value))


#: the largest config file, in bytes
MAX_BYTES = 2_000_000
#: what a config holds at most; a larger one is a table, a bomb of aliases or a mistake
_MAX_CHARACTERS, _MAX_VALUES, _MAX_DEPTH, _MAX_BITS = 500_000, 10_000, 60, 2_000
#: explicit tags that say no more than the value itself
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge")}
#: libyaml, which is many times faster, and never nests calls
_EventLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> tuple[Any, dict[KeyPath, int]]:
    """Parse YAML text.

    Args:
        text: one YAML document.

    Returns:
        The value, with ambiguous scalars as ``Plain``, and the line number of each key and list item, from 1.

    Raises:
        ValueError: the text is not valid YAML, has duplicate keys, or is larger than any config; the message gives the
            line and column.
    """
    lines: dict[KeyPath, int] = {}
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters, and a config at most {_MAX_CHARACTERS:,}")
    try:
        _require_small(text)
        loader = _ConfigLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _require_finite(node)
        _collect_lines(node, (), lines)
        content = loader.construct_document(node)
        _require_readable(content)
        return content, lines
    except yaml.YAMLError as error:
        raise ValueError(_reason(error)) from None
    except RecursionError:
        raise ValueError(f"more than {_MAX_DEPTH} levels of nesting") from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"a value does not fit its tag, or cannot be read ({summary(error, max_length=120)})"
        ) from None


def _require_small(text: str) -> None:
    """Raise unless a text has a bounded number of values and levels, and no tag with a meaning of its own."""
    depth = n_values = 0
    for event in _events(text):
        if isinstance(event, yaml.NodeEvent):
            n_values += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        tag = event.tag if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) else None
        problem = ""
        if depth > _MAX_DEPTH:
            problem = f"more than {_MAX_DEPTH} levels of nesting"
        elif n_values > _MAX_VALUES:
            problem = f"more than {_MAX_VALUES:,} values; put a table into a file of its own"
        elif tag not in (None, "!", *_PLAIN_TAGS):
            problem = f"the tag {tag!r:.80} means nothing in a config; remove it"
        if problem:
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _events(text: str) -> Iterator[yaml.Event]:
    """Yield the events of a text up to its first error, which is reported by the loader, in other words."""
    try:
        yield from yaml.parse(text, Loader=_EventLoader)
    except yaml.YAMLError:
        return


def _require_finite(root: yaml.Node) -> None:
    """Raise unless a document stays small when its aliases are replaced by what they stand for."""
    sizes: dict[int, int | None] = {}

    def size(node: yaml.Node) -> int:
        if not isinstance(node, yaml.CollectionNode):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = None
            children = node.value
            if isinstance(node, yaml.MappingNode):
                children = [child for pair in node.value for child in pair]
            sizes[id(node)] = 1 + sum(map(size, children))
        known = sizes[id(node)]
        if known is None or known > _MAX_VALUES:
            problem = "an alias refers to itself" if known is None else f"more than {_MAX_VALUES:,} values by aliases"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return known

    size(root)


def _require_readable(content: Any) -> None:
    """Raise unless all whole numbers are small enough to be written."""
    if isinstance(content, Mapping):
        for value in content.values():
            _require_readable(value)
    elif isinstance(content, list | tuple):
        for value in content:
            _require_readable(value)
    elif isinstance(content, int) and content.bit_length() > _MAX_BITS:
        raise ValueError(f"a whole number of {content.bit_length():,} bits")


def _collect_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> None:
    """Add the line numbers of a node and its descendants."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                lines[(*path, key.value)] = key.start_mark.line + 1
                _collect_lines(value, (*path, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _collect_lines(value, (*path, i), lines)


def _reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, problem = error.problem_mark, error.problem
        if problem and "'\\t'" in problem:
            problem = "a tab, where YAML accepts only spaces; indent with spaces"
        if problem and "expected alphabetic or numeric character" in problem:  # an anchor or alias, to YAML
            problem = f"{problem}; a text that contains * or &, such as '[*]c1ccccc1', must be in quotes"
        return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"
    return str(error).splitlines()[0]
