"""Finding and building the exchangeable parts of a campaign.

A built-in part is a class with a class attribute ``kind`` that lives in a module of its room whose name is that kind
(``al_loop/surrogates/gp.py`` holds the class with ``kind = "gp"``). Anybody's own part is named by
``target: "package.module:Name"``. Nothing is registered by hand: adding a file adds the part.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from al_loop.errors import ConfigError

#: config section -> package that holds its built-in parts
ROOMS: Mapping[str, str] = {
    "environment": "al_loop.environments",
    "oracle": "oracles",
    "features": "al_loop.features",
    "objective": "al_loop.gflownet.objectives",
    "policy": "al_loop.gflownet.policies",
    "search": "al_loop.gflownet.searches",
    "surrogate": "al_loop.surrogates",
    "acquisition": "al_loop.acquisitions",
    "selector": "al_loop.selectors",
    "property": "al_loop.properties",
}


@dataclass(frozen=True)
class PartInfo:
    """A built-in part as ``al-loop list`` shows it."""

    section: str
    kind: str
    summary: str


def _room_folder(section: str) -> Path:
    top, *rooms = ROOMS[section].split(".")
    spec = importlib.util.find_spec(top)  # of the top alone: of a room it would import the packages around it
    assert spec is not None, f"the package {top} is missing"
    assert spec.origin is not None, f"the package {top} has no folder"
    return Path(spec.origin).parent.joinpath(*rooms)


def _declared_class(path: Path, kind: str) -> ast.ClassDef | None:
    """The class in a file that declares ``kind = "<kind>"``, read without importing the file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                targets = statement.targets if isinstance(statement, ast.Assign) else []
                if any(isinstance(t, ast.Name) and t.id == "kind" for t in targets):
                    value = statement.value  # type: ignore[attr-defined]
                    if isinstance(value, ast.Constant) and value.value == kind:
                        return node
    return None


def built_in(section: str) -> list[PartInfo]:
    """Every built-in part of a section, read from the source files without importing them."""
    found = []
    for path in sorted(_room_folder(section).glob("*.py")):
        declared = _declared_class(path, path.stem)
        if declared is not None:
            summary = (ast.get_docstring(declared) or "").strip().splitlines()
            found.append(PartInfo(section, path.stem, summary[0] if summary else ""))
    return found


def find(section: str, kind: str) -> type:
    """The built-in class of a section by its kind.

    Raises:
        ConfigError: no such kind, with the kinds there are.
    """
    path = _room_folder(section) / f"{kind}.py"
    declared = _declared_class(path, kind) if kind.isidentifier() and path.is_file() else None
    if declared is None:
        known = ", ".join(part.kind for part in built_in(section))
        raise ConfigError(f"{kind!r} is not one of {known}")
    found = getattr(importlib.import_module(f"{ROOMS[section]}.{kind}"), declared.name)
    assert isinstance(found, type)
    return found


def load_target(target: str) -> Any:
    """What ``"package.module:Name"`` names.

    Raises:
        ConfigError: it does not import, with the reason.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise ConfigError(f"{target!r} is not of the form 'package.module:Name'")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever a user's module raises at import is theirs to read
        raise ConfigError(
            f"cannot import {module_name!r}: {type(error).__name__}: {error} "
            "(modules are looked for beside the config file, in the current folder and in the installed packages)"
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ConfigError(f"the module {module_name!r} has no {attribute!r}") from None


def arguments_model(factory: Any, without: Sequence[str] = ()) -> type[BaseModel]:
    """A pydantic model of a factory's keyword arguments (but some), to check and convert what a config says."""
    signature = inspect.signature(factory)
    hints_of = factory.__init__ if inspect.isclass(factory) else factory
    try:
        hints = get_type_hints(hints_of, include_extras=True)
    except Exception:  # annotations of a user's class that cannot be resolved: leave the types unchecked
        hints = {}
    fields: dict[str, Any] = {}
    is_open = False
    for name, parameter in signature.parameters.items():
        if name in without:
            continue
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            is_open = True
        elif parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[name] = (hints.get(name, Any), default)
    config = ConfigDict(extra="allow" if is_open else "forbid", arbitrary_types_allowed=True, protected_namespaces=())
    return create_model(getattr(factory, "__name__", "part"), __config__=config, **fields)
