"""The import path of ``target:`` modules, and user modules whose names are taken."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import al_loop

#: folders of a checkout that are linked into al_loop; their names are natural names for a user's own modules
_CHECKOUT_FOLDERS = ("actors", "oracles")


def add_to_path(folders: Sequence[str]) -> None:
    """Append folders to the import path, so that the modules of ``target:`` parts are found there.

    The standard library and installed packages come first. A checkout of al-loop comes last where a folder has an
    ``oracles`` or ``actors`` of its own, since its root has folders of these names.

    Args:
        folders: The folders, as absolute paths.
    """
    sys.path += [folder for folder in dict.fromkeys(folders) if folder not in sys.path]
    root = Path(al_loop.__file__).resolve().parents[1]
    others = [Path(folder) for folder in folders if Path(folder).resolve() != root]
    if any(_sources(folder, name) for folder in others for name in _CHECKOUT_FOLDERS):
        sys.path.sort(key=lambda entry: Path(entry).resolve() == root)


def name_clash(name: str, module: ModuleType | None = None) -> str:
    """Return a sentence on a file that has the name of an imported module, and was not imported for it.

    Args:
        name: The module's name, such as ``package.module``.
        module: The module; None where it could not be imported.

    Returns:
        Where Python found the module, and which file or folder has to be renamed; empty where none has its name.
    """
    top_name = name.partition(".")[0]
    top = sys.modules.get(top_name) or module
    if top is None:
        return ""
    locations = [Path(p).resolve() for p in (*getattr(top, "__path__", ()), getattr(top, "__file__", None) or "") if p]
    origin = str(locations[-1]) if locations else "part of the interpreter"
    for entry in sys.path:
        for source in _sources(Path(entry), top_name):
            if source.resolve() not in locations and source.resolve() not in (p.parent for p in locations):
                return f"Python's {top_name!r} is {origin}, not {source}, which needs another name"
    return ""


def _sources(folder: Path, name: str) -> list[Path]:
    """Return the file and the folder that a module of this name may have in a folder."""
    paths = [folder / f"{name}.py", folder / name]
    return [path for path in paths if path.is_file() or (path.is_dir() and any(path.glob("*.py")))]
