"""Tables of a run as CSV or Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from al_loop.analysis.tables import RunTables
from al_loop.errors import ConfigError, not_one_of
from al_loop.storage.files import write_whole

ExportFormat = Literal["csv", "parquet"]
ExportTable = Literal["evaluations", "candidates", "decisions", "changes"]


def export(run: RunTables | str | Path, format: str, path: str | Path, table: str = "evaluations") -> Path:
    """Write a table of a run to a file, whole or not at all.

    Args:
        run: an opened run, or its directory, ledger file or database URL.
        format: csv or parquet.
        path: the file.
        table: evaluations (every answer), candidates (every proposed object), decisions (with their reasons),
            or changes (of the config, the oracle and the libraries, from which round on).

    Returns:
        The path of the file.

    Raises:
        ConfigError: there is no such run, format or table, or the file cannot be written.
    """
    for name, value, choices in (("format", format, get_args(ExportFormat)), ("table", table, get_args(ExportTable))):
        if value not in choices:
            raise ConfigError(f"export: {name} {not_one_of(value, choices)}")
    if not isinstance(run, RunTables):
        with RunTables(run) as opened:
            return export(opened, format, path, table)
    frame: pd.DataFrame = getattr(run, table)
    path = Path(path)
    try:
        write_whole(path, _content(frame.reset_index(drop=frame.index.name is None), format))
    except OSError as error:
        raise ConfigError(f"export: {path} cannot be written ({error.strerror or error})") from error
    return path


def _content(frame: pd.DataFrame, format: str) -> bytes:
    if format == "csv":
        return frame.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%f%z").encode()
    return frame.to_parquet(index=False)
