"""Exports of a run."""

from pathlib import Path

import pandas as pd
import pytest

from al_loop.analysis import Run, export
from al_loop.errors import ConfigError


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_export_round_trip(tmp_path: Path, run: Run, folder: Path, format: str) -> None:
    path = export(folder, format, tmp_path / f"out.{format}")
    dates = ["started", "finished"]
    back = (
        pd.read_parquet(path)
        if format == "parquet"
        else pd.read_csv(path, parse_dates=dates, float_precision="round_trip")
    )
    expected = run.evaluations.reset_index()
    pd.testing.assert_frame_equal(back, expected, check_dtype=False, check_exact=True)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_export_names_a_bad_format_and_a_bad_path(tmp_path: Path, run: Run) -> None:
    with pytest.raises(ConfigError, match="'xlsx' is not one of csv, parquet"):
        export(run, "xlsx", tmp_path / "out.xlsx")
    with pytest.raises(ConfigError, match="cannot be written"):
        export(run, "csv", tmp_path / "nowhere" / "out.csv")
