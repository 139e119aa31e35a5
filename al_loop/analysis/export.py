"""Tables of a run as files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from al_loop.analysis.tables import RunTables
from al_loop.datafiles.table_formats import encode_rows, format_of
from al_loop.errors import ConfigError, not_one_of
from al_loop.storage.files import write_output
from al_loop.system.spreadsheet_cells import inert_cell

ExportFormat = Literal["csv", "tsv", "jsonl", "xlsx", "parquet", "sdf"]
ExportTable = Literal["evaluations", "candidates", "decisions", "changes"]


def export(
    run: RunTables | str | Path,
    format: str | None,
    path: str | Path,
    table: str = "evaluations",
    *,
    force: bool = False,
) -> Path:
    """Write a table of a run to a file, whole or not at all.

    Args:
        run: an opened run, or its directory, ledger file or database URL.
        format: csv, tsv, jsonl, xlsx, parquet or sdf (for molecules); None: by the file's extension.
        path: the file; ``-`` is standard output.
        table: evaluations (every answer), candidates (every proposed object), decisions (with their reasons),
            or changes (of the config, the oracle and the libraries, from which round on).
        force: whether to replace an existing file.

    Returns:
        The path of the file.

    Raises:
        ConfigError: there is no such run, format or table, the file exists, or it cannot be written.
    """
    formats = get_args(ExportFormat)
    for name, value, choices in (("format", format, formats), ("table", table, get_args(ExportTable))):
        if value is not None and value not in choices:
            raise ConfigError(f"export: {name} {not_one_of(value, choices)}")
    format = format_of(path, format, formats)
    if not isinstance(run, RunTables):
        with RunTables(run) as opened:
            return export(opened, format, path, table, force=force)
    frame: pd.DataFrame = getattr(run, table)
    path = Path(path)
    write_output(path, _content(frame.reset_index(drop=frame.index.name is None), format), force=force)
    return path


def _content(frame: pd.DataFrame, format: str) -> bytes:
    if format == "csv":
        texts = [name for name in frame if frame[name].dtype == object or pd.api.types.is_string_dtype(frame[name])]
        safe = {
            str(name): [inert_cell(cell) if isinstance(cell, str) else cell for cell in frame[name]] for name in texts
        }
        header = [inert_cell(str(name)) for name in frame]
        return frame.assign(**safe).to_csv(index=False, header=header, date_format="%Y-%m-%dT%H:%M:%S.%f%z").encode()
    if format == "parquet":
        return frame.to_parquet(index=False)
    return encode_rows(list(map(str, frame.columns)), list(frame.itertuples(index=False, name=None)), format)
