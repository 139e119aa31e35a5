"""Reading lists of objects: by line, or from the column of a table."""

import bz2
import gzip
import lzma

import pytest

from al_loop.datafiles.object_lists import read_object_list, read_objects, read_texts
from al_loop.errors import ConfigError


def test_data_files_of_all_kinds(tmp_path):
    (tmp_path / "a.txt").write_text("CCO \n\nc1ccccc1\n")
    (tmp_path / "a.smi").write_text("CCO ethanol\nc1ccccc1\tbenzene\n")
    with lzma.open(tmp_path / "a.smi.xz", "wt") as file:
        file.write("CCO ethanol\nc1ccccc1 benzene\n")
    with gzip.open(tmp_path / "a.txt.gz", "wt") as file:
        file.write("CCO\nc1ccccc1")
    (tmp_path / "a.txt.bz2").write_bytes(bz2.compress(b"CCO\nc1ccccc1"))
    for name in ("a.txt", "a.smi", "a.smi.xz", "a.txt.gz", "a.txt.bz2"):
        assert read_objects(tmp_path / name) == ["CCO", "c1ccccc1"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.txt", None, "No such file"),
        ("empty.txt", b"\n \n", "contains no object"),
        ("no.xz", b"CCO", "cannot read"),
        ("no.gz", b"CCO", "cannot read"),
        ("no.txt", b"\xff\xfe\x00", "cannot read"),
    ],
)
def test_data_files_that_cannot_be_read(name, content, reason, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        read_objects(tmp_path / name)
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "objects"),
    [
        ("a.csv", "name,SMILES,value\nethanol,CCO,1\n,C,\n", ["CCO", "C"]),
        ("a.csv", "smiles\nCCO\n\nC\n", ["CCO", "C"]),
        ("a.csv", "CCO\nC\n", ["CCO", "C"]),
        ("a.tsv", "word\tvalue\nACGU\t1\n", ["ACGU"]),
        ("a.smi", "smiles\nCCO ethanol\n", ["CCO"]),
        ("a.txt", "object\nrice, brown\n", ["rice, brown"]),
        ("words", "\ufeffACGU\nAC\n", ["ACGU", "AC"]),
    ],
)
def test_tables_headers_and_other_files(tmp_path, name, content, objects):
    (tmp_path / name).write_text(content)
    assert read_objects(tmp_path / name) == objects


def test_texts_keep_their_spaces(tmp_path):
    (tmp_path / "prompts.txt").write_bytes(b"\xef\xbb\xbfA number: \r\n\r\n yes\r\n")
    assert read_texts(tmp_path / "prompts.txt") == ["A number: ", " yes"]
    texts = ["one\u2028line", "one\x85line", "one\x0bline", "one\x0cline"]
    (tmp_path / "prompts.txt").write_text("\n".join(texts), encoding="utf-8")
    assert read_texts(tmp_path / "prompts.txt") == texts
    (tmp_path / "hits.smi").write_text("CCO ethanol\n")
    assert read_texts(tmp_path / "hits.smi") == ["CCO"]
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(ConfigError, match="contains no text"):
        read_texts(tmp_path / "empty.txt")


def test_a_header_and_fasta_are_not_taken_for_objects(tmp_path):
    (tmp_path / "a.txt").write_text("Sequence\nACGT\nACGA\n")
    (tmp_path / "b.fasta").write_text(">one first\nAC\nGT\n\n>two\nACGA\n>three, of which nothing is known\n")
    assert read_objects(tmp_path / "a.txt") == read_objects(tmp_path / "b.fasta") == ["ACGT", "ACGA"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("CC(=O)Nc1ccccc1,a\nCCOc1ccccc1,b\n", "a.csv: the first row has the molecule"),
        ("Structure,Molecule\nCC(=O)O,CCN\n", "'Structure', 'Molecule'; call it alone smiles"),
    ],
)
def test_a_table_whose_objects_are_not_certain_is_refused(tmp_path, content, reason):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ConfigError, match=reason):
        read_objects(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "lines", "n_blank"),
    [
        ("a.smi", "\nCCO ethanol\n\nC\n", (2, 4), 0),
        ("a.csv", "name,smiles\na,CCO\nb,\n\nc,C\n", (2, 5), 1),
        ("a.csv", "\nCCO\nC\n", (2, 3), 0),
    ],
)
def test_objects_have_their_lines(tmp_path, name, content, lines, n_blank):
    (tmp_path / name).write_text(content)
    found = read_object_list(tmp_path / name)
    assert (found.objects, found.lines, found.n_blank) == (("CCO", "C"), lines, n_blank)
