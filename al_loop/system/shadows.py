"""A user's files with the names of other modules, such as ``queue.py`` or ``numpy.py`` beside a script or notebook.

Imports nothing but what Python has loaded at its start, since any other import may find such a file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

#: modules that no other module imports, so that a file of the name harms nobody
HARMLESS = frozenset({"antigravity", "idlelib", "test", "this", "turtle", "turtledemo"})
#: al-loop and the packages that it requires, by the names that they are imported by
LIBRARIES = frozenset(
    {
        *("al_loop", "torch", "botorch", "ray", "rdkit", "numpy", "scipy", "pandas", "pyarrow", "matplotlib"),
        *("pydantic", "yaml", "sqlalchemy", "alembic", "typer", "rich", "psutil", "pint", "requests", "urllib3"),
        *("fsspec", "pathspec", "cloudpickle", "openpyxl", "jinja2", "markupsafe", "sklearn", "threadpoolctl"),
    }
)


def is_taken(name: str) -> bool:
    """Return whether a module's name is that of Python's standard library, or of a library that al-loop needs."""
    return (name in sys.stdlib_module_names and name not in HARMLESS) or name in LIBRARIES


def search_libraries_first() -> None:
    """Search the folder of the script or notebook last, if a file there has the name of another module.

    Python searches it first, so that the libraries of al-loop would import a user's ``queue.py``.
    """
    if sys.flags.safe_path or not sys.path:
        return
    folder = sys.path[0] or os.curdir
    if not os.path.isdir(os.path.join(folder, "al_loop")) and any(map(is_taken, _modules(folder))):  # noqa: PTH112, PTH118
        sys.path.append(sys.path.pop(0))


def _modules(folder: str) -> Iterator[str]:
    """Yield the names of the modules and packages in a folder."""
    try:
        entries = os.listdir(folder)  # noqa: PTH208  pathlib is not loaded
    except OSError:
        return
    for entry in entries:
        name, _, extension = entry.rpartition(".")
        if extension == "py" and name:
            yield name
        elif is_taken(entry) and os.path.exists(os.path.join(folder, entry, "__init__.py")):  # noqa: PTH110, PTH118
            yield entry
