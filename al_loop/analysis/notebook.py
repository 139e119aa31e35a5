"""A notebook on a run: the one of the documentation, which opens the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from al_loop.errors import ConfigError
from al_loop.storage.files import write_output
from al_loop.storage.locate import location_text, run_folder

#: the line of the notebook that names the run
_OPENING = 'os.environ.get("AL_LOOP_RUN", "runs/quickstart")'
NAME = "analysis.ipynb"
#: metadata of every notebook: the Python that is there
METADATA = {
    "kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


def write_notebook(run: str, output: Path | None = None) -> tuple[Path, bool]:
    """Write a notebook that opens a run; one that exists is left as it is.

    Args:
        run: a run directory, a ledger file or a database URL.
        output: the file; None: ``analysis.ipynb`` in the run directory, or in the working directory.

    Returns:
        The file, and whether it was written.

    Raises:
        ConfigError: it cannot be written.
    """
    folder = run_folder(run)
    path = output or (folder or Path()) / NAME
    if path.exists():
        if not _is_notebook(path):
            raise ConfigError(f"{path} exists and is no notebook; choose another file with -o")
        return path, False
    place = str(Path(run).absolute()) if "://" not in run else location_text(run)
    source = resources.files("al_loop.data").joinpath("notebooks/analyse_a_run.py").read_text(encoding="utf-8")
    if _OPENING not in source:
        raise AssertionError("the notebook does not name its run")
    content = as_notebook(source.replace(_OPENING, repr(place)))
    write_output(path, json.dumps(content, indent=1, ensure_ascii=False).encode())
    return path, True


def as_notebook(source: str) -> dict[str, object]:
    """Return a Python file in percent format as a notebook (nbformat 4.5) without outputs."""
    cells: list[dict[str, object]] = []
    for number, (kind, lines) in enumerate(_cells(source)):
        cell: dict[str, object] = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": "\n".join(lines),
        }
        cells.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    return {"cells": cells, "metadata": dict(METADATA), "nbformat": 4, "nbformat_minor": 5}


def _cells(source: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the kind and the lines of each cell."""
    for part in ("\n" + source).split("\n# %%")[1:]:
        head, _, body = part.partition("\n")
        lines = body.strip("\n").splitlines()
        is_text = "[markdown]" in head
        yield ("markdown", [line.removeprefix("#").removeprefix(" ") for line in lines]) if is_text else ("code", lines)


def _is_notebook(path: Path) -> bool:
    try:
        return "cells" in json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
