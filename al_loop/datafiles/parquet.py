"""Tables in Parquet files. pyarrow is imported on first use."""

from __future__ import annotations

import io
import math
from typing import Any

from al_loop.datafiles.delimited import TableCells, regular_table
from al_loop.errors import ConfigError, summary


def parse_parquet(content: bytes, file: str) -> TableCells:
    """Parse a Parquet file; numbers become the shortest text that stands for them.

    Args:
        content: the content of the file.
        file: name of the file in messages.

    Raises:
        ConfigError: it is not a Parquet file, or a column is not of text, numbers, truth values or times.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConfigError(f"cannot read {file}: it is not a Parquet file: {summary(error)}") from None
    nested = [f.name for f in table.schema if pa.types.is_nested(f.type) or pa.types.is_binary(f.type)]
    names = [name for name in table.column_names if name not in nested and not name.startswith("__index_level_")]
    if not names:
        raise ConfigError(f"{file}: the table has no column of text or numbers")
    columns = [[_text(value) for value in table.column(name).to_pylist()] for name in names]
    rows = [tuple(names), *zip(*columns, strict=True)]
    return regular_table(rows, range(len(rows)), file, unit="row")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return str(value).strip()
