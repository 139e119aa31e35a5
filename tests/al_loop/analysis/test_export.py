"""Exports of a run."""

import io
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from al_loop.analysis import Run, export
from al_loop.datafiles.object_tables import read_table
from al_loop.datafiles.table_formats import encode_rows
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


@pytest.mark.parametrize("extension", ["tsv", "jsonl", "xlsx"])
def test_the_extension_decides_on_the_format(tmp_path: Path, run: Run, extension: str) -> None:
    path = export(run, None, tmp_path / f"out.{extension}")
    back = {
        "tsv": lambda: pd.read_csv(path, sep="\t"),
        "jsonl": lambda: pd.read_json(path, lines=True),
        "xlsx": lambda: pd.read_excel(path),
    }[extension]()
    expected = run.evaluations.reset_index()
    assert list(back.columns) == list(expected.columns)
    assert back["object"].tolist() == expected["object"].tolist()
    assert back["gap"].tolist() == pytest.approx(expected["gap"].tolist(), nan_ok=True)


def test_molecules_are_written_as_sdf_and_read_again(tmp_path: Path) -> None:
    content = encode_rows(["object", "pIC50", "note"], [["CCO", 5.5, None], ["c1ccccc1", 6.25, "a b"]], "sdf")
    (tmp_path / "out.sdf").write_bytes(content)
    table = read_table(str(tmp_path / "out.sdf"))
    assert table.columns["smiles"] == ("CCO", "c1ccccc1")
    assert (table.numbers("pIC50"), table.columns["note"]) == ((5.5, 6.25), ("", "a b"))


def test_text_in_an_excel_file_is_never_a_formula() -> None:
    book = openpyxl.load_workbook(io.BytesIO(encode_rows(["a"], [["=1+1"], ["x\x01y"]], "xlsx")))
    assert [(cell.value, cell.data_type) for cell in book.active["A"][1:]] == [("=1+1", "s"), ("x y", "s")]


def test_export_names_a_bad_format_and_a_bad_path(tmp_path: Path, run: Run) -> None:
    with pytest.raises(ConfigError, match=r"out\.ods: files with the extension \.ods cannot be written; choose one of"):
        export(run, None, tmp_path / "out.ods")
    with pytest.raises(ConfigError, match=r"would contain csv under the extension \.xlsx"):
        export(run, "csv", tmp_path / "out.xlsx")
    with pytest.raises(ConfigError, match="'ods' is not one of csv"):
        export(run, "ods", tmp_path / "out")
    with pytest.raises(ConfigError, match="is not a molecule, so it cannot be written as SDF"):
        export(run, "sdf", tmp_path / "out.sdf")
    with pytest.raises(ConfigError, match="cannot be written"):
        export(run, "csv", tmp_path / "nowhere" / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_replaced_only_if_wanted(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "library.csv"
    path.write_text("smiles\nCCO\n")
    with pytest.raises(ConfigError, match="already exists; choose another name, or pass --force"):
        export(run, "csv", path)
    assert path.read_text() == "smiles\nCCO\n"
    assert export(run, "csv", path, force=True).read_text().startswith("candidate,object")
