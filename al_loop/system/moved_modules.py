"""Old import paths of documented modules, which still work, with a ``DeprecationWarning``.

``oracles`` and ``actors`` used to be importable at the top level, where they shadowed a user's own ``oracles.py`` or
``actors/``, or were shadowed by them. They are ``al_loop.oracles`` and ``al_loop.actors`` now. The old names are
searched last, so that a user's own modules always take precedence.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # importing importlib.abc loads modules, of which there may be a user's in the current folder: tempfile, random
    Loader = MetaPathFinder = object

#: old module -> new module; the submodules of an old package are found below the new one
MOVED = {
    "actors": "al_loop.actors",
    "oracles": "al_loop.oracles",
    "oracles.callable": "al_loop.oracles.wrap",
    "al_loop.execution": "al_loop.campaign.executor",
    "al_loop.parts": "al_loop.config.plugins",
    "al_loop.review": "al_loop.people.review",
    "al_loop.utilisation": "al_loop.system.gpu",
}
_PACKAGES = ("actors", "oracles")


def new_name(name: str) -> str | None:
    """Return the new name of a moved module, or None if it has not moved."""
    package, dot, _ = name.partition(".")
    if dot and package in _PACKAGES and sys.modules.get(package) is not sys.modules.get(MOVED[package], object()):
        return None  # below a package of the user
    if name in MOVED:
        return MOVED[name]
    return f"al_loop.{name}" if package in _PACKAGES else None


class _Alias(Loader):
    """A loader that resolves an old name to the module of the new name: the same object, not a copy."""

    def __init__(self, new: str) -> None:
        self._new = new

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system create a module, which ``exec_module`` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Replace the module by the one of the new name."""
        replace(module.__name__, self._new)


class _MovedModules(MetaPathFinder):
    """A finder of old names below our own packages, which prevents loading a second copy of a module from its file."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a moved module other than a top-level package, else None."""
        new = new_name(name) if "." in name else None
        return None if new is None else ModuleSpec(name, _Alias(new))


class _MovedPackages(MetaPathFinder):
    """A finder of the old top-level packages, if there is no other module of that name."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a moved top-level package, else None."""
        return ModuleSpec(name, _Alias(MOVED[name]), is_package=True) if name in _PACKAGES else None


def replace(name: str, new: str) -> None:
    """Make an old module name refer to the new module, and warn the importer.

    Args:
        name: the old name, which is being imported.
        new: the module to use instead.
    """
    warnings.warn(f"the module {name} is now {new}; import it from there", DeprecationWarning, stacklevel=3)
    sys.modules[name] = importlib.import_module(new)


def install() -> None:
    """Make the old names importable; safe to call twice."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, _MovedModules())
        sys.meta_path.append(_MovedPackages())
