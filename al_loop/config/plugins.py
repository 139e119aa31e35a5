"""Finding and building the exchangeable parts of a campaign.

A built-in part is a class with a class attribute ``kind`` in a module of its room named after that kind
(``al_loop/surrogates/gp.py`` holds the class with ``kind = "gp"``), or in a package with such a module
(``al_loop/environments/fragments/fragments.py``). Nothing is registered by hand: adding a file adds
the part. An installed package brings parts as entry points in the group of their room (``al_loop.oracles``,
``al_loop.surrogates``, ...): the entry point's name is the kind. Anybody's own part needs no package and is named by
``target: "package.module:Name"``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from al_loop.errors import ConfigError

#: config section -> package that holds its built-in parts
ROOMS: Mapping[str, str] = {
    "environment": "al_loop.environments",
    "oracle": "al_loop.oracles",
    "features": "al_loop.features",
    "objective": "al_loop.gflownet.objectives",
    "policy": "al_loop.gflownet.policies",
    "search": "al_loop.gflownet.searches",
    "surrogate": "al_loop.surrogates",
    "acquisition": "al_loop.acquisitions",
    "selector": "al_loop.selectors",
    "property": "al_loop.properties",
    "sink": "al_loop.sinks",
}


@dataclass(frozen=True)
class PartInfo:
    """A part as ``al-loop list`` shows it.

    distribution: name and version of the installed package that brings it; empty for a built-in one.
    """

    section: str
    kind: str
    summary: str
    distribution: str = ""


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


def _declaration(section: str, kind: str) -> tuple[str, ast.ClassDef] | None:
    """The module and class that declare a built-in part: ``<kind>.py`` or ``<kind>/<kind>.py`` in its room."""
    folder = _room_folder(section)
    for path, module in ((folder / f"{kind}.py", kind), (folder / kind / f"{kind}.py", f"{kind}.{kind}")):
        declared = _declared_class(path, kind) if path.is_file() else None
        if declared is not None:
            return f"{ROOMS[section]}.{module}", declared
    return None


def built_in(section: str) -> list[PartInfo]:
    """List the built-in parts of a section, read from the source files without importing them."""
    entries = []
    for kind in sorted({path.stem for path in _room_folder(section).iterdir()}):
        declaration = _declaration(section, kind)
        if declaration is not None:
            summary = (ast.get_docstring(declaration[1]) or "").strip().splitlines()
            entries.append(PartInfo(section, kind, summary[0] if summary else ""))
    return entries


def group(section: str) -> str:
    """The group of entry points in which an installed package brings parts of a section."""
    return f"al_loop.{ROOMS[section].rpartition('.')[2]}"


@lru_cache(maxsize=8)
def _entry_points(path: tuple[str, ...]) -> Any:
    """All entry points of the packages on a path, kept: reading their metadata takes 15 ms."""
    return entry_points()


def _plugged_in(section: str) -> list[EntryPoint]:
    points = _entry_points(tuple(sys.path)).select(group=group(section))
    return sorted(points, key=lambda point: (point.name, _distribution(point)))


def _distribution(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def known(section: str) -> list[PartInfo]:
    """Every part of a section, built-in ones first, and of packages without importing them."""
    here = built_in(section)
    kinds = {info.kind for info in here}
    points = _plugged_in(section)
    for point in points:
        others = sorted({_distribution(p) for p in points if p.name == point.name} - {_distribution(point)})
        summary = f"{point.value}, from {_distribution(point)}"
        if point.name in kinds:
            summary += " (hidden by the built-in part of this name: use target)"
        elif others:
            summary += f" (so does {', '.join(others)}: use target)"
        here.append(PartInfo(section, point.name, summary, _distribution(point)))
    return here


def find(section: str, kind: str) -> Any:
    """The part of a section by its kind: the class of a built-in one, or what an entry point names.

    A built-in part wins over an entry point of its name, with a warning.

    Raises:
        ConfigError: no such kind, with the kinds there are; or a package's part that cannot be loaded, with the reason.
    """
    declaration = _declaration(section, kind) if kind.isidentifier() else None
    points = [point for point in _plugged_in(section) if point.name == kind]
    if declaration is None:
        if not points:
            names = ", ".join(dict.fromkeys(part.kind for part in known(section)))
            raise ConfigError(f"{kind!r} is not one of {names}")
        return _load(section, points)
    if points:
        warnings.warn(
            f"{section} {kind!r} is the built-in one, and not that of {_distribution(points[0])}; "
            f"for that one write target: {points[0].value!r} in place of kind",
            stacklevel=2,
        )
    module, declared = declaration
    found = getattr(importlib.import_module(module), declared.name)
    assert isinstance(found, type)
    return found


def _load(section: str, points: Sequence[EntryPoint]) -> Any:
    point = points[0]
    where = f"the entry point {point.name!r} = {point.value!r} of {_distribution(point)}"
    if len({(p.value, _distribution(p)) for p in points}) > 1:
        choices = ", ".join(f"{p.value!r} ({_distribution(p)})" for p in points)
        raise ConfigError(f"{point.name!r} is brought by several packages; write target: with one of {choices}")
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # whatever a package raises at import is its user's to read
        raise ConfigError(
            f"{where} cannot be loaded: {type(error).__name__}: {error}; "
            "install the package again, with what it needs, or ask its author"
        ) from error
    if not callable(found):
        raise ConfigError(f"{where} is neither a class nor a function, so it is no {section}; ask its author")
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
    function = factory
    while isinstance(function, partial):
        function = function.func
    hints_of = function.__init__ if inspect.isclass(function) else function
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
