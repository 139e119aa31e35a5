"""The import path of ``target:`` modules, and user modules whose names clash with others."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import al_loop

#: folders of a checkout that are linked into al_loop; their names are natural names for a user's own modules
_CHECKOUT_FOLDERS = ("actors", "oracles")


def add_to_path(folders: Sequence[str]) -> None:
    """Append folders to the import path, so that the modules of ``target:`` parts are found there.

    The standard library and installed packages come first. A checkout of al-loop comes last if one of the folders
    contains its own ``oracles`` or ``actors``, since the root of the checkout has folders of these names.

    Args:
        folders: absolute paths.
    """
    sys.path += [folder for folder in dict.fromkeys(folders) if folder not in sys.path]
    root = Path(al_loop.__file__).resolve().parents[1]
    others = [Path(folder) for folder in folders if Path(folder).resolve() != root]
    if any(_sources(folder, name) for folder in others for name in _CHECKOUT_FOLDERS):
        sys.path.sort(key=lambda entry: Path(entry).resolve() == root)


def name_clash(name: str, module: ModuleType | None = None) -> str:
    """Return an explanation if a user's file is hidden by another module of the same name.

    Args:
        name: the module's name, such as ``package.module``.
        module: the module, or None if it could not be imported.

    Returns:
        The origin of the imported module and the file or folder to rename, or an empty text if nothing is hidden.
    """
    if name == "__main__":
        return (
            "it was defined in a notebook or a script; continue this campaign there, with the same call of "
            "al_loop.campaign(...)"
        )
    top_name = name.partition(".")[0]
    top = sys.modules.get(top_name) or module
    if top is None:
        return ""
    locations = [Path(p).resolve() for p in (*getattr(top, "__path__", ()), getattr(top, "__file__", None) or "") if p]
    origin = str(locations[-1]) if locations else "the interpreter"
    for entry in sys.path:
        for source in _sources(Path(entry), top_name):
            if source.resolve() not in locations and source.resolve() not in (p.parent for p in locations):
                return f"Python imports {top_name!r} from {origin}, not {source}; rename the latter"
    return ""


def hidden_module(name: str, folder: Path) -> str:
    """Return an explanation if another file than that of a folder is in use, although the folder has such a module.

    Args:
        name: the name of an imported module, such as ``package.module``.
        folder: the folder of the config.
    """
    top_name = name.partition(".")[0]
    module = sys.modules.get(top_name)
    origin = Path(getattr(module, "__file__", None) or "")
    for source in _sources(folder, top_name):
        file = source / "__init__.py" if source.is_dir() else source
        if (
            file.is_file()
            and origin.is_file()
            and not file.samefile(origin)
            and file.read_bytes() != origin.read_bytes()
        ):
            return f"Python imports {top_name!r} from {origin}, not {source} beside the config; rename the latter"
    return ""


def find_origin(name: str) -> str:
    """Return the file that Python would import a module from, or an empty text if it finds none."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):  # a parent package cannot be imported
        return ""
    return (spec.origin or "") if spec is not None else ""


def _sources(folder: Path, name: str) -> list[Path]:
    """Return the existing file and folder that define a module of this name in a folder."""
    paths = [folder / f"{name}.py", folder / name]
    return [path for path in paths if path.is_file() or (path.is_dir() and any(path.glob("*.py")))]
