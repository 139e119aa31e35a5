"""Tables in files that are not text: Excel, Parquet, SDF."""

import io

import openpyxl
import pandas as pd
import pytest
from rdkit import Chem

from al_loop.datafiles.object_tables import read_table
from al_loop.errors import ConfigError


@pytest.fixture
def excel(tmp_path):
    def excel(**sheets):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(row)
        book.save(tmp_path / "t.xlsx")
        return str(tmp_path / "t.xlsx")

    return excel


def test_an_excel_sheet_with_gaps_and_numbers(excel):
    table = read_table(
        excel(data=[["smiles", "pIC50", "seen"], ["CCO", 5.5, True], [None, None, None], ["CCN", 6, None]])
    )
    assert table.lines == (2, 4)
    assert table.numbers("pIC50") == (5.5, 6.0)
    assert table.columns["seen"] == ("TRUE", "")


@pytest.mark.parametrize("is_streamed", [False, True], ids=["in memory", "row by row"])
def test_cells_at_the_end_of_a_row_may_be_missing(tmp_path, is_streamed):
    book = openpyxl.Workbook(write_only=is_streamed)
    sheet = book.create_sheet("t") if is_streamed else book.active
    for row in (["smiles", "pIC50", "comment"], ["CCO"], ["CCN", 6]):
        sheet.append(row)
    book.save(tmp_path / "t.xlsx")
    table = read_table(str(tmp_path / "t.xlsx"))
    assert table.column("pIC50") == ("", "6")
    assert table.column("comment") == ("", "")


def test_the_only_sheet_with_objects_is_read(excel):
    assert len(read_table(excel(notes=[["made by"], ["ada"]], results=[["id", "y"], [1, 2]], empty=[]))) == 1


def test_several_sheets_are_asked_about(excel):
    with pytest.raises(ConfigError, match="sheets 'a', 'b' contain cells"):
        read_table(excel(a=[["smiles"], ["C"]], b=[["smiles"], ["N"]]))


def test_a_formula_that_was_never_computed_is_refused(excel):
    with pytest.raises(ConfigError, match=r"row 2: the formula '=1[+]1' has no stored value"):
        read_table(excel(a=[["smiles", "y"], ["C", "=1+1"]]))


def test_text_in_a_spreadsheet_is_no_number(excel):
    table = read_table(excel(a=[["smiles", "y"], ["C", "5,5"]]))
    with pytest.raises(ConfigError, match=r"row 2: '5,5' in the column 'y'.*write 5.5 with a decimal point"):
        table.numbers("y")


def test_parquet_keeps_every_digit(tmp_path):
    frame = pd.DataFrame({"smiles": ["CCO", "CCN"], "y": [0.1 + 0.2, None], "n": [1, 2]})
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(str(tmp_path / "t.parquet"))
    assert list(table.columns) == ["smiles", "y", "n"]
    assert table.numbers("y")[0] == 0.1 + 0.2
    assert table.columns["y"][1] == ""


def sdf(*records):
    text = io.StringIO()
    with Chem.SDWriter(text) as writer:
        for smiles, name, properties in records:
            molecule = Chem.MolFromSmiles(smiles)
            molecule.SetProp("_Name", name)
            for key, value in properties.items():
                molecule.SetProp(key, value)
            writer.write(molecule)
    return text.getvalue()


def test_an_sdf_file_is_a_table_of_molecules_and_properties(tmp_path):
    (tmp_path / "t.sdf").write_text(sdf(("OCC", "ethanol", {"pIC50": "5.5"}), ("CCN", "", {"price": "7"})))
    table = read_table(str(tmp_path / "t.sdf"))
    assert dict(table.columns) == {
        "smiles": ("CCO", "CCN"),
        "name": ("ethanol", ""),
        "pIC50": ("5.5", ""),
        "price": ("", "7"),
    }
    assert table.object_column() == "smiles"


def test_a_broken_record_is_named_with_its_line(tmp_path):
    text = sdf(("C", "a", {}), ("CC", "b", {}))
    (tmp_path / "t.sdf").write_text(text.replace("  2  1  0", "  9  1  0"))
    with pytest.raises(ConfigError, match="line 8: this record is not a valid molecule"):
        read_table(str(tmp_path / "t.sdf"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("t.xlsx", "not an Excel file"),
        ("t.parquet", "not a Parquet file"),
        ("t.xls", "files are not supported; save it as .xlsx"),
        ("t.json", "files are not supported"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, name, reason):
    (tmp_path / name).write_text("smiles,y\nC,1\n")
    with pytest.raises(ConfigError, match=reason):
        read_table(str(tmp_path / name))
