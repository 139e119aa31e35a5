"""Resolution of a user's path or URL to a ledger and a run directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import URL

from al_loop.errors import ConfigError
from al_loop.ledger.engines import parse_url, sqlite_url

_MAX_LISTED_NAMES = 8


def find_ledger(path: str | Path | URL) -> URL:
    """Return the URL of a run's ledger.

    A ledger file in the run directory takes precedence over the URL in ``campaign.json``, so that a run can be moved.

    Args:
        path: a run directory, a ledger file, or a database URL.

    Raises:
        ConfigError: there is no run; the message lists the folder's contents.
    """
    if isinstance(path, URL):
        return path
    if "://" in str(path):
        return parse_url(str(path))
    folder = Path(path).expanduser()
    if folder.is_file():
        return sqlite_url(folder)
    if not folder.is_dir():
        raise ConfigError(f"{path}: there is no such run; {_contents(folder.parent)}")
    local = sqlite_url(folder / "ledger.db")
    description = folder / "campaign.json"
    if description.is_file():
        try:
            url = parse_url(json.loads(description.read_text(encoding="utf-8"))["ledger"])
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            raise ConfigError(
                f'{description}: expected {{"ledger": "a database URL"}} ({type(error).__name__}); restore the file, '
                "or pass the ledger itself"
            ) from error
        return local if url.get_backend_name() == "sqlite" and (folder / "ledger.db").is_file() else url
    if (folder / "ledger.db").is_file():
        return local
    raise ConfigError(f"{path}: not a run (it has neither ledger.db nor campaign.json); {_contents(folder)}")


def location_text(path: str | Path | URL) -> str:
    """Return a path or URL as text that ``find_ledger`` understands; for SQLite, that is the path of its file."""
    if not isinstance(path, URL):
        return str(path)
    is_sqlite = path.get_backend_name() == "sqlite"
    return str(path.database) if is_sqlite else path.render_as_string(hide_password=False)


def run_folder(path: str) -> Path | None:
    """Return the run directory, or None for the URL of a database server, which does not contain it."""
    if "://" in path:
        url = parse_url(path)
        if url.get_backend_name() != "sqlite":
            return None
        path = str(url.database)
    folder = Path(path).expanduser()
    return folder.parent if folder.is_file() else folder


def runs_below(path: str | Path) -> list[str]:
    """Return the run directories in a folder that is no run itself, such as that of a sweep; none for anything else.

    Args:
        path: a folder, or whatever else a user names.
    """
    folder = Path(path).expanduser()
    if "://" in str(path) or not folder.is_dir() or is_run(folder):
        return []
    return [str(entry) for entry in sorted(folder.iterdir()) if entry.is_dir() and is_run(entry)]


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run directory."""
    return (folder / "ledger.db").is_file() or (folder / "campaign.json").is_file()


def _contents(folder: Path) -> str:
    """Return a list of a folder's contents, as the end of an error message."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return f"{folder} does not exist either"
    runs = [e.name for e in entries if is_run(e)]
    if runs:
        return f"runs in {folder}: {_list_names(runs)}"
    names = [e.name for e in entries if not e.name.startswith(".")]
    return f"{folder} contains {_list_names(names)}" if names else f"{folder} is empty"


def _list_names(names: Sequence[str]) -> str:
    n_others = len(names) - _MAX_LISTED_NAMES
    return ", ".join(names[:_MAX_LISTED_NAMES]) + (f" and {n_others} more" if n_others > 0 else "")
