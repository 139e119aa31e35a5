"""Pages as files: what may be replaced, and where a report goes."""

from __future__ import annotations

from pathlib import Path

from al_loop.analysis.facts import run_facts
from al_loop.analysis.tables import RunTables
from al_loop.report.page import report_page
from al_loop.storage.files import write_output

GENERATOR = '<meta name="generator" content="al-loop'
_HEAD = 4096  # bytes of a file in which a page of ours names its generator


def write_report(run: RunTables, path: str | Path, *, force: bool = False) -> Path:
    """Write the report of a run as one HTML page, whole or not at all.

    Args:
        run: the run.
        path: the file; ``-`` is standard output. A page that al-loop wrote is replaced.
        force: whether to replace any other existing file.

    Returns:
        The path of the file.

    Raises:
        ConfigError: another file exists, or it cannot be written.
    """
    return write_page(report_page(run_facts(run)), path, force=force)


def write_page(page: str, path: str | Path, *, force: bool = False) -> Path:
    """Write a page, whole or not at all; see ``write_report``."""
    path = Path(path)
    write_output(path, page.encode(errors="replace"), force=force or _is_ours(path))
    return path


def _is_ours(path: Path) -> bool:
    """Return whether a file is a page that al-loop wrote."""
    try:
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(_HEAD)
    except OSError:
        return False
