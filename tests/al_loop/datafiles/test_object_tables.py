"""Reading tables: accepted formats, and errors with the line number."""

import bz2
import gzip
import hashlib
import lzma
import math
import sys

import pytest

from al_loop.datafiles.object_columns import object_type_of
from al_loop.datafiles.object_tables import read_table, shipped
from al_loop.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def test_cells_are_read_by_column_without_blanks_around_them(write):
    table = read_table(write("\ufeffsmiles , score\r\nCCO, 1.5 \r\n\r\nC,-2\r\n"))
    assert dict(table.columns) == {"smiles": ("CCO", "C"), "score": ("1.5", "-2")}
    assert table.lines == (2, 4)
    assert len(table) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "object,value\na,1\n"),
        ("t.csv", "object;value\na;1\n"),
        ("t.tsv", "object\tvalue\na\t1\n"),
        ("t.csv", '"object","value"\n"a","1"\n'),
        ("t.CSV.GZ", gzip.compress(b"object,value\na,1\n", mtime=0)),
        ("t.csv.xz", lzma.compress(b"object,value\na,1\n")),
        ("t.csv.bz2", bz2.compress(b"object,value\na,1\n")),
    ],
)
def test_separators_quotes_and_compressions(write, name, content):
    assert dict(read_table(write(content, name)).columns) == {"object": ("a",), "value": ("1",)}


def test_quoted_cells_keep_their_separators_and_line_breaks(write):
    table = read_table(write('object,value\n"a,b",1\n"c\nd",2\ne,x\n'))
    assert table.columns["object"] == ("a,b", "c\nd", "e")
    with pytest.raises(ConfigError, match="line 5"):
        table.numbers("value")


@pytest.mark.parametrize(
    ("name", "content", "column", "cells"),
    [
        ("list.smi", "CCO ethanol\nC\tmethane\n", "smiles", ("CCO", "C")),
        ("list.smi", "smiles\nCCO\n", "smiles", ("CCO",)),
        ("list.smi.gz", gzip.compress(b"CCO\n\nC\n", mtime=0), "smiles", ("CCO", "C")),
        ("list.txt", "red wine\nrice, brown\n", "object", ("red wine", "rice, brown")),
    ],
)
def test_lists_have_no_header(write, name, content, column, cells):
    assert dict(read_table(write(content, name)).columns) == {column: cells}


def test_the_digest_is_that_of_the_content_not_of_its_compression(write):
    content = b"object,value\na,1\n"
    plain, packed = read_table(write(content)), read_table(write(gzip.compress(content), "table.csv.gz"))
    assert plain.digest == packed.digest == hashlib.sha256(content).hexdigest()


def test_a_file_that_has_changed_is_read_again(write):
    assert len(read_table(write("object,value\na,1\n"))) == 1
    assert len(read_table(write("object,value\na,1\nb,2\n"))) == 2


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ("id,SMILES,sequence", "SMILES"),
        ("id,Sequence", "Sequence"),
        ("value,object", "object"),
        ("canonical_smiles,value", "canonical_smiles"),
        ("name,value", "name"),
    ],
)
def test_the_column_of_objects_is_found_by_its_name_or_is_the_first(write, columns, found):
    n = columns.count(",") + 1
    assert read_table(write(f"{columns}\n{','.join('x' * n)}\n")).object_column() == found


def test_the_name_of_a_column_tells_what_it_holds():
    assert object_type_of("Canonical_SMILES") == "molecule"
    assert object_type_of("DNA sequence") == "sequence"
    assert object_type_of("name") == "other"


@pytest.mark.parametrize(
    ("columns", "row", "found", "object_type"),
    [
        ("ID,Structure", "A-1,c1ccccc1", "Structure", "molecule"),
        ("ID,Structure", "A-1,CCO", "Structure", "molecule"),
        ("Compound,Ligand,MW", "A-1,CC(=O)O,60", "Ligand", "molecule"),
        ("ID,Canonical SMILES,pIC50", "1,CCO,5", "Canonical SMILES", "molecule"),
        ("ID,Peptide,Price", "p1,ACDEFGHIK,5", "Peptide", "other"),
        ("number,drug,comment", "1,C1CCCCC1,none", "drug", "molecule"),
    ],
)
def test_the_column_of_objects_is_recognised_by_its_cells(write, columns, row, found, object_type):
    table = read_table(write(f"{columns}\n{row}\n"))
    assert table.object_column() == found
    assert table.object_type(found) == object_type


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("Reagent,Product", "CC(=O)O,CC(=O)OC"),
        ("smiles_a,smiles_b", "CCO,CCO"),
        ("Smiles,SMILES", "CCO,CCN"),
        ("word,translation", "AB,CD-"),
        ("x,y", "1,2"),
    ],
)
def test_an_uncertain_column_of_objects_is_asked_for(write, columns, row):
    first, second = columns.split(",")
    with pytest.raises(ConfigError, match=f"not certain which column.*'{first}', '{second}'; name it with column"):
        read_table(write(f"{columns}\n{row}\n")).object_column()


@pytest.mark.parametrize(
    "content",
    [
        "CC(=O)Nc1ccccc1,a\nCCOC(=O)c1ccc(N)cc1,b\n",
        "a;CC(=O)Nc1ccccc1\nb;CC(=O)O\n",
        "CCO,note\nCCN,b\n",
        "CC(=O)Nc1ccccc1\nCCOC(=O)c1ccc(N)cc1\n",
    ],
)
def test_a_molecule_in_place_of_a_heading_is_not_dropped(write, content):
    with pytest.raises(ConfigError, match=r"the first row has the molecule 'C.* add a row of headings"):
        read_table(write(content)).object_column()


@pytest.mark.parametrize("heading", ["CO", "No", "drug", "IC50"])
def test_an_abbreviation_that_is_a_molecule_as_well_is_a_heading(write, heading):
    assert read_table(write(f"{heading},Price\nCC(=O)O,5\n")).object_column() == heading


def test_molecules_are_canonical_whatever_way_they_are_written(write):
    table = read_table(write("smiles\nOCC\nC1=CC=CC=C1\n[Na+].[Cl-]\n"))
    assert table.objects("smiles", "molecule") == ("CCO", "c1ccccc1", "[Cl-].[Na+]")
    assert table.objects("smiles", "molecule", is_canonical=True) == ("OCC", "C1=CC=CC=C1", "[Na+].[Cl-]")
    assert table.objects("smiles", "other") == ("OCC", "C1=CC=CC=C1", "[Na+].[Cl-]")


def test_numbers_may_be_missing(write):
    numbers = read_table(write("a,b\nx,1e-3\ny,\nz,NA\nw,nan\nv,None\n")).numbers("b")
    assert numbers[0] == 1e-3
    assert all(math.isnan(number) for number in numbers[1:])


def test_a_column_is_numeric_where_its_first_or_most_cells_are(write):
    table = read_table(write("a,b,c,d,e,f\n1,,x,nan,>5,x\n2,3,4,,6,2\n,,,,,3\n"))
    assert [table.is_numeric(name) for name in "abcdef"] == [True, True, False, False, True, True]


def test_a_bound_in_a_column_of_numbers_is_not_passed_over(write):
    table = read_table(write("smiles,pIC50\nC,>5\nCC,6\n"))
    with pytest.raises(ConfigError, match="line 2: '>5' in the column 'pIC50' is a bound, not a measurement"):
        table.numbers("pIC50")


def test_decimal_commas_of_a_spreadsheet_are_numbers(write):
    table = read_table(write("smiles;pIC50;MW\nCCO;5,5;46\nCCN;6,25;45,1\n"))
    assert table.is_numeric("pIC50")
    assert (table.numbers("pIC50"), table.numbers("MW")) == ((5.5, 6.25), (46.0, 45.1))


def test_a_number_that_may_be_a_thousand_is_refused(write):
    table = read_table(write("smiles;IC50;MW\nCCO;1.234;46,07\n"))
    with pytest.raises(ConfigError, match=r"line 2: '1\.234' in the column 'IC50'.*may mean 1\.234 or 1234"):
        table.numbers("IC50")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32"])
def test_text_in_the_encodings_of_spreadsheets(write, encoding):
    table = read_table(write("smiles;activity (µM)\r\nCCO;5,5\r\n".encode(encoding)))
    assert dict(table.columns) == {"smiles": ("CCO",), "activity (µM)": ("5,5",)}


@pytest.mark.parametrize("cell", ["x", "1,5", ">10", "inf", "-inf", "1_000", "1.2.3"])
def test_a_cell_that_is_no_number_is_named_with_its_line(write, cell):
    table = read_table(write(f'object,value\na,1\n\nb,"{cell}"\n'))
    with pytest.raises(ConfigError, match=rf"line 4.*{cell.replace('.', '[.]')}"):
        table.numbers("value")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("object,value\na,1\nb\n", "line 3: 1 cell, but the header has 2"),
        ("object,object\na,1\n", "each column a unique name"),
        ("object,\na,1\n", "must give each column a unique name"),
        ("object,value\n", "no rows"),
        ("", "no rows"),
        ('object,value\n"a,1\n', "line 2"),
        (b"object,value\n\x81\x8d,1\n", "UTF-8"),
        (b"PK\x03\x04object", "spreadsheet"),
        (b"PAR1object", "name it .parquet"),
    ],
)
def test_what_is_no_table_is_refused(write, content, message):
    with pytest.raises(ConfigError, match=message):
        read_table(write(content))


@pytest.mark.parametrize("suffix", ["gz", "xz", "bz2"])
def test_a_damaged_file_is_refused(write, suffix):
    with pytest.raises(ConfigError, match="cannot read"):
        read_table(write(b"object,value\na,1\n", f"table.csv.{suffix}"))


def test_a_truncated_file_is_refused(write):
    whole = gzip.compress(b"object,value\n" + b"a,1\n" * 100)
    with pytest.raises(ConfigError, match="cannot read"):
        read_table(write(whole[:-9], "table.csv.gz"))


def test_objects_that_are_none_are_named_with_their_line(write):
    table = read_table(write("smiles,value\nC,1\n,2\n"))
    with pytest.raises(ConfigError, match=r"line 3.*object in the column 'smiles' is missing"):
        table.objects("smiles", "molecule")
    table = read_table(write("smiles,value\nC,1\nxyz,2\nq,3\n", "other.csv"))
    with pytest.raises(ConfigError, match=r"line 3: 'xyz' is not a valid SMILES \(and 1 further row\)"):
        table.objects("smiles", "molecule")


def test_a_column_that_is_not_there_is_refused_with_those_that_are(write):
    table = read_table(write("smiles,value\nC,1\n"))
    with pytest.raises(ConfigError, match="smiles, value"):
        table.column("score")
    with pytest.raises(ConfigError, match="smiles, value"):
        table.object_column("object")


def test_a_missing_file_is_refused_with_the_tables_that_are_shipped():
    assert {"tfbind8", "enamine10k"} <= set(shipped())
    with pytest.raises(ConfigError, match=r"'nowhere\.csv'.*enamine10k, tfbind8"):
        read_table("nowhere.csv")


def test_a_file_goes_before_a_shipped_table_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "tfbind8").write_text("object,value\na,1\n")
    monkeypatch.chdir(tmp_path)
    assert len(read_table("tfbind8")) == 1


def test_a_missing_library_names_the_remedy(monkeypatch, write):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(ConfigError, match="pip install rdkit"):
        read_table(write("smiles\nC\n")).objects("smiles", "molecule")
