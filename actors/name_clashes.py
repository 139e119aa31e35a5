"""Modules of a user that have the name of a module of Python's standard library, or of a library of al-loop."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import al_loop
from al_loop.errors import ConfigError
from al_loop.system.shadows import HARMLESS, LIBRARIES


def refuse_shadows(folder: Path, files: Iterable[Path], importer: str) -> None:
    """Refuse modules that would be imported in place of a module of the standard library, or of ``LIBRARIES``.

    Python's own libraries, and those of al-loop, would import the user's file and break.

    Args:
        folder: The folder that comes first on the import path.
        files: Files in it; those below a subfolder count where it is a package.
        importer: The process that would import the wrong module, such as "by the job".

    Raises:
        ConfigError: There is such a module; the message names it.
    """
    for file in files:
        module = file.parent if file.name == "__init__.py" else file
        name = module.name.removesuffix(".py")
        if file.suffix != ".py" or module.parent != folder:
            continue
        if name in sys.stdlib_module_names and name not in HARMLESS:
            original = "a module of Python's standard library"
        elif name in LIBRARIES and module.resolve() != Path(al_loop.__file__).resolve().parent:
            original = "al-loop" if name == "al_loop" else "a library that al-loop needs"
        else:
            continue
        raise ConfigError(
            f"{module} has the name of {original}, and would be imported in place of it {importer}; rename it, e.g. to "
            f"my_{module.name}"
        )


def refuse_shadows_here(importer: str) -> None:
    """Refuse modules in the working directory that Ray's workers would import in place of other modules.

    Ray puts the driver's working directory first on the import path of its workers.

    Args:
        importer: The process that would import the wrong module, such as "by Ray's workers".

    Raises:
        ConfigError: There is such a module; the message names it.
    """
    folder = Path.cwd()
    refuse_shadows(folder, [*folder.glob("*.py"), *folder.glob("*/__init__.py")], importer)
