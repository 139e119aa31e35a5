"""The plug-in mechanism: discovery of a campaign's exchangeable parts, and the schema of their arguments.

A built-in part is a class with a class attribute ``kind`` in a module of its room named after that kind
(``al_loop/surrogates/gp.py`` contains the class with ``kind = "gp"``), or in a package with such a module
(``al_loop/environments/fragments/fragments.py``). There is no registry: adding a file adds the part. An installed
package provides parts as entry points in the group of their room (``al_loop.oracles``, ``al_loop.surrogates``, ...);
the entry point's name is the kind. A user's own part needs no package and is named by
``target: "package.module:Name"``.

A part's constructor is the schema of its config section. It is also called to check a config, possibly on a machine
that lacks the part's run-time dependencies, so it must be cheap and free of side effects.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from al_loop.config.arguments import arguments_model as arguments_model  # its place in earlier versions
from al_loop.config.import_path import find_origin, name_clash
from al_loop.errors import ConfigError, not_one_of, suggestion
from al_loop.system.tracebacks import describe_with_place

_SEARCHED = "searched: the folder of the config file, the current folder and the installed packages"
#: config section -> package with its built-in parts
ROOMS: Mapping[str, str] = {
    "environment": "al_loop.environments",
    "oracle": "al_loop.oracles",
    "features": "al_loop.features",
    "objective": "al_loop.gflownet.objectives",
    "policy": "al_loop.gflownet.policies",
    "search": "al_loop.gflownet.searches",
    "evolution": "al_loop.evolution",
    "surrogate": "al_loop.surrogates",
    "acquisition": "al_loop.acquisitions",
    "selector": "al_loop.selectors",
    "property": "al_loop.properties",
    "sink": "al_loop.sinks",
    "latent": "al_loop.latent.models",
    "energy": "al_loop.energy.energies",
}

#: the key of a part, without list indices -> the room of the part
ROOM_OF: Mapping[tuple[str, ...], str] = {
    **{
        (name,): name
        for name in ("environment", "oracle", "features", "surrogate", "acquisition", "selector", "latent")
    },
    ("constraints",): "property",
    ("sinks",): "sink",
    ("sampler", "objective"): "objective",
    ("sampler", "policy"): "policy",
    ("sampler", "searches"): "search",
    ("sampler", "evolution"): "evolution",
}

#: config section -> the function that builds a part from a user's function or from a class without our base class:
#: ``adapter(factory, **arguments)``, which also checks the arguments
ADAPTERS: Mapping[str, str] = {"oracle": "al_loop.oracles.wrap:oracle_from"}


class Part(BaseModel):
    """An exchangeable part, named by ``kind`` or, for a user's own, by ``target: "package.module:Name"``.

    All other keys are the part's arguments.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str | None = None
    target: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return short_form(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_one_name(self) -> Part:
        if (self.kind is None) == (self.target is None):
            raise ValueError("give either 'kind' (a built-in part) or 'target' (\"package.module:Name\")")
        return self

    @property
    def name(self) -> str:
        """The ``kind`` or ``target``."""
        return self.kind or self.target or ""

    @property
    def arguments(self) -> dict[str, Any]:
        """The part's arguments, as written in the config."""
        return dict(self.model_extra or {})

    def factory(self, section: str) -> Any:
        """Import and return the class (or, for an oracle, the function) that this part names.

        Raises:
            ConfigError: there is no such part, or it cannot be imported.
        """
        return find(section, self.kind) if self.kind else load_target(self.target or "")

    def declared(self, section: str, attribute: str, default: Any) -> Any:
        """Return a class attribute of the named class without building the part.

        A user's own class or function need not derive from our base class, so the attribute may be missing.

        Args:
            section: the config section of the part.
            attribute: the name of the class attribute.
            default: the value if the class does not declare it.

        Raises:
            ConfigError: there is no such part, or it cannot be imported.
        """
        return getattr(self.factory(section), attribute, default)


@dataclass(frozen=True)
class PartInfo:
    """The entry of a part in ``al-loop list``.

    Args:
        section: the config section.
        kind: the name in a config.
        summary: a description in one line.
        distribution: name and version of the installed package that provides it; empty for a built-in part.
    """

    section: str
    kind: str
    summary: str
    distribution: str = ""


@dataclass(frozen=True)
class _Declaration:
    """A class that declares a ``kind``, as read from its source file.

    Args:
        class_name: the name of the class.
        summary: first line of the class's docstring.
        module: the module of the class, relative to its room.
    """

    class_name: str
    summary: str
    module: str = ""


def built_in(section: str) -> list[PartInfo]:
    """List the built-in parts of a section, read from the source files without importing them."""
    infos = []
    for kind in sorted({path.stem for path in _room_folder(section).iterdir()}):
        declaration = _declaration(section, kind)
        if declaration is not None:
            infos.append(PartInfo(section, kind, declaration.summary))
    return infos


def available(section: str) -> list[PartInfo]:
    """List every part of a section, built-in ones first, without importing installed packages."""
    infos = built_in(section)
    kinds = {info.kind for info in infos}
    points = _section_entry_points(section)
    for point in points:
        others = sorted({_distribution(p) for p in points if p.name == point.name} - {_distribution(point)})
        summary = f"{point.value}, from {_distribution(point)}"
        if point.name in kinds:
            summary += " (hidden by the built-in part of this name; use target)"
        elif others:
            summary += f" (also provided by {', '.join(others)}; use target)"
        infos.append(PartInfo(section, point.name, summary, _distribution(point)))
    return infos


def find(section: str, kind: str) -> Any:
    """Import and return the part of a section by its kind.

    A built-in part takes precedence over an entry point of the same name, with a warning.

    Args:
        section: the config section.
        kind: the name of the part.

    Returns:
        The class of a built-in part, or the object that an entry point names.

    Raises:
        ConfigError: there is no such kind, or a package's part cannot be loaded.
    """
    declaration = _declaration(section, kind) if kind.isidentifier() else None
    points = [point for point in _section_entry_points(section) if point.name == kind]
    if declaration is None:
        if not points:
            names = list(dict.fromkeys(part.kind for part in available(section)))
            raise ConfigError(not_one_of(kind, names))
        return _load(section, points)
    if points:
        warnings.warn(
            f"{section} {kind!r} is the built-in part, not the one from {_distribution(points[0])}; "
            f"for the latter, set target: {points[0].value!r} instead of kind",
            stacklevel=2,
        )
    part = getattr(importlib.import_module(f"{ROOMS[section]}.{declaration.module}"), declaration.class_name)
    assert isinstance(part, type)
    return part


def short_form(name: str) -> dict[str, str]:
    """Return the content of a part of which only the name is written: ``surrogate: gp`` means ``{kind: gp}``."""
    return {"target" if ":" in name else "kind": name}


def is_built_in(section: str, kind: str) -> bool:
    """Return whether a section has a built-in part of a kind, without importing it."""
    return kind.isidentifier() and _declaration(section, kind) is not None


def load_target(target: str) -> Any:
    """Import and return the object named ``"package.module:Name"``.

    Raises:
        ConfigError: the target is malformed, or cannot be imported.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise ConfigError(f"{target!r} is not of the form 'package.module:Name'")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything at import; report all of it
        raise ConfigError(
            f"cannot import {module_name!r}: {describe_with_place(error)} ({_import_advice(module_name, error)})"
        ) from error
    try:
        return attrgetter(attribute)(module)
    except AttributeError as error:
        names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        clash = name_clash(module_name, module)
        origin = getattr(module, "__file__", None) or "a built-in module"
        raise ConfigError(
            f"the module {module_name!r} has no {attribute!r}"
            + (f" ({clash})" if clash else f"{suggestion(attribute, names)} ({origin})")
        ) from error


def _import_advice(module_name: str, error: BaseException) -> str:
    """Return where a module that could not be imported was looked for or found, and what to do."""
    if clash := name_clash(module_name):
        return clash
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if missing and f"{module_name}.".startswith(f"{missing}."):
        return _SEARCHED
    if missing:
        return f"install the package of {missing.partition('.')[0]!r} for {sys.executable}"
    return f"the module is {origin}" if (origin := find_origin(module_name)) else _SEARCHED


def entry_point_group(section: str) -> str:
    """Return the entry-point group in which installed packages provide parts of a section."""
    return "al_loop.latent_models" if section == "latent" else f"al_loop.{ROOMS[section].rpartition('.')[2]}"


# ---- built-in parts: files of a room -------------------------------------------------------------------------------


def _room_folder(section: str) -> Path:
    top, *rooms = ROOMS[section].split(".")
    spec = importlib.util.find_spec(top)  # only of the top package: a room's would import its parents
    assert spec is not None, f"the package {top} is missing"
    assert spec.origin is not None, f"the package {top} has no folder"
    return Path(spec.origin).parent.joinpath(*rooms)


def _declaration(section: str, kind: str) -> _Declaration | None:
    """Return the class that declares a built-in part, in ``<kind>.py`` or ``<kind>/<kind>.py`` of its room."""
    folder = _room_folder(section)
    for path, module in ((folder / f"{kind}.py", kind), (folder / kind / f"{kind}.py", f"{kind}.{kind}")):
        if path.is_file():
            declaration = _declarations(path, path.stat().st_mtime_ns).get(kind)
            if declaration is not None:
                return _Declaration(declaration.class_name, declaration.summary, module)
    return None


@lru_cache(maxsize=512)
def _declarations(path: Path, modified_ns: int) -> Mapping[str, _Declaration]:
    """Return the classes of a file by the ``kind`` that they declare, read without importing it.

    Args:
        path: the file.
        modified_ns: its modification time, so that a changed file is read again.
    """
    declarations: dict[str, _Declaration] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                match statement:
                    case ast.Assign(targets=[*_, ast.Name(id="kind")], value=ast.Constant(value=str(kind))):
                        docstring = (ast.get_docstring(node) or "").strip().splitlines()
                        declaration = _Declaration(node.name, docstring[0] if docstring else "")
                        declarations.setdefault(kind, declaration)
    return declarations


# ---- parts of installed packages: entry points ---------------------------------------------------------------------


@lru_cache(maxsize=8)
def _entry_points(path: tuple[str, ...]) -> Any:
    """Return the entry points of all packages on a path; cached, since reading their metadata takes 15 ms."""
    return entry_points()


def _section_entry_points(section: str) -> list[EntryPoint]:
    points = _entry_points(tuple(sys.path)).select(group=entry_point_group(section))
    return sorted(points, key=lambda point: (point.name, _distribution(point)))


def _distribution(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _load(section: str, points: Sequence[EntryPoint]) -> Any:
    point = points[0]
    description = f"the entry point {point.name!r} = {point.value!r} of {_distribution(point)}"
    if len({(p.value, _distribution(p)) for p in points}) > 1:
        choices = ", ".join(f"{p.value!r} ({_distribution(p)})" for p in points)
        raise ConfigError(f"{point.name!r} is provided by several packages; set target: to one of {choices}")
    try:
        part = point.load()
    except (Exception, SystemExit) as error:  # a package may raise anything at import; report all of it
        raise ConfigError(
            f"{description} cannot be loaded: {type(error).__name__}: {error}; "
            "reinstall the package with its dependencies, or contact its author"
        ) from error
    if not callable(part):
        raise ConfigError(
            f"{description} is neither a class nor a function, so it cannot be a {section}; contact its author"
        )
    return part
