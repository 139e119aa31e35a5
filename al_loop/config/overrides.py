"""Config overrides on the command line: ``key=value`` or ``a.b=value``, with the value in YAML."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from al_loop.config.locations import KeyPath, brief, read_yaml
from al_loop.config.plugins import ROOM_OF, short_form
from al_loop.config.spelling import same_word
from al_loop.errors import ConfigError


def apply_overrides(content: Mapping[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """Return a config's content with some values replaced.

    A number in a key is the index of a list item, counted from 0: ``constraints.0.min=0.3``.

    Args:
        content: the content of the config file, which is not modified.
        overrides: items of the form ``a.b=value``, with the value in YAML; later ones take precedence.

    Returns:
        The new content, and the text of the override that set each changed key.

    Raises:
        ConfigError: an override is malformed, or names a list item or mapping that the config does not have.
    """
    result = copy.deepcopy(dict(content))
    origins: dict[KeyPath, str] = {}
    for override in overrides:
        path, value = _parse(override)
        container, path = _container(result, path, override)
        container[path[-1]] = value
        origins[path] = override
    return result, origins


def _parse(override: str) -> tuple[KeyPath, Any]:
    """Return the key and the value of an override."""
    name, equals, text = override.partition("=")
    path = tuple(int(key) if key.isdecimal() else key for key in name.split("."))
    if not equals or not all(str(key) for key in path):
        raise ConfigError(f"{brief(override)} is not of the form key=value or a.b=value")
    try:
        value, _ = read_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{brief(override)}: the value is not valid YAML: {error}") from None
    return path, value


def _container(content: dict[str, Any], path: KeyPath, override: str) -> tuple[Any, KeyPath]:
    """Return the mapping or list that contains the last key of a path, and the path as the content spells it.

    Missing mappings are created, and a part of which the config only has the name becomes a section.
    """
    target: Any = content
    spelled: list[str | int] = []
    for key in path:
        if isinstance(key, int) or isinstance(target, list):
            _require_item(target, key, override)
        elif key not in target:
            key = same_word(key, [name for name in target if isinstance(name, str)]) or key
        spelled.append(key)
        if len(spelled) == len(path):
            break
        inner: Any = target.get(key) if isinstance(target, dict) else target[int(key)]
        if isinstance(inner, str) and tuple(k for k in spelled if isinstance(k, str)) in ROOM_OF:
            inner = short_form(inner)
        target[key] = {} if inner is None else inner
        target = target[key]
        if not isinstance(target, dict | list):
            raise ConfigError(f"{brief(override)}: {key!r:.80} is {target!r:.80} in the config, which is not a section")
    return target, tuple(spelled)


def _require_item(target: Any, key: str | int, override: str) -> None:
    """Raise ConfigError unless a key is the index of an item of a list."""
    if not (isinstance(target, list) and isinstance(key, int) and key < len(target)):
        raise ConfigError(f"{brief(override)}: the config has no list item {key} there; list items are counted from 0")
