"""Reading tables and arrays of numbers: every row counts, and each fault has one clear message."""

import gzip

import numpy as np
import pytest

from al_loop.datafiles.number_tables import read_array, read_numbers
from al_loop.errors import ConfigError

ROWS = [[1.0, 2.5], [3.0, -4.0]]


@pytest.mark.parametrize(
    "content",
    [
        b"1,2.5\n3,-4\n",
        b"a,b\n1,2.5\n3,-4\n",
        b"\n\na,b\n1,2.5\n\n3,-4",
        b"\xef\xbb\xbf1,2.5\r\n3,-4\r\n",
        b"\xef\xbb\xbfa,b\r\n1,2.5\r\n3,-4\r\n",
        "gr\xf6\xdfe,b\n1,2.5\n3,-4\n".encode("cp1252"),
        "a,b\n1,2.5\n3,-4\n".encode("utf-16"),
        b"# points\n# of a plane\na,b\n1,2.5\n3,-4\n",
        b"a;b\n1;2,5\n3;-4,0\n",
        b"1,0;2,5\n3,0;-4,0\n",
        b"a\tb\n1\t2.5\n3\t-4\n",
        b"1.000000000000000000e+00 2.500000000000000000e+00\n3.0e+00 -4.0e+00\n",
        b'"a","b"\n"1","2.5"\n"3", "-4"\n',
        b",a,b\n0,1,2.5\n1,3,-4\n",
    ],
)
def test_rows_are_read_in_every_notation(tmp_path, content):
    (tmp_path / "points.csv").write_bytes(content)
    assert read_numbers(tmp_path / "points.csv") == ROWS
    (tmp_path / "points.txt.gz").write_bytes(gzip.compress(content))
    assert read_numbers(tmp_path / "points.txt.gz") == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "contains no row of numbers"),
        (b"a,b\n", "contains no row of numbers"),
        (b"1,2.o\n3,4\n", "line 1: '2.o' is not a number"),
        (b"a,b\n1,2\n3,four\n", "line 3: 'four' is not a number"),
        (b"1,2\nnan,3\n", "line 2: 'nan' is no value; fill the gap, or remove the row"),
        (b"nan,3\n1,2\n", "line 1: 'nan' is no value"),
        (b"a,b\n1,\n", "line 2: '' is no value"),
        (b"a,b\n1,inf\n", "line 2: 'inf' is not a number; expected nothing but finite numbers"),
        (b"1e400,2\n", "line 1: '1e400' is too large"),
        (b"1,2\n\n3\n", "line 3: 1 cell, but line 1 has 2; correct the row"),
        (b"a,b\n1,2\n3,4,5\n", "line 3: 3 cells, but the header has 2"),
        (b"id,a\nm1,1\n", "line 2: 'm1' is not a number"),
        (bytes(range(256)), "it is not UTF-8 text"),
    ],
)
def test_each_fault_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "points.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=r"points\.csv") as caught:
        read_numbers(tmp_path / "points.csv")
    assert message in str(caught.value)


def test_arrays_of_other_things_are_refused(tmp_path):
    np.save(tmp_path / "good.npy", np.array(ROWS))
    assert read_array(tmp_path / "good.npy").tolist() == ROWS
    np.save(tmp_path / "complex.npy", np.zeros(2, dtype=complex))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:-8])
    (tmp_path / "empty.npy").write_bytes(b"")
    with (tmp_path / "several.npy").open("wb") as file:
        np.savez(file, a=np.zeros(2))
    for name, message in [
        ("complex", "real numbers or of texts, got one of type complex128"),
        ("objects", "is incomplete"),
        ("cut", "is incomplete"),
        ("empty", "is incomplete"),
        ("several", "several arrays"),
        ("missing", "No such file"),
    ]:
        with pytest.raises(ConfigError, match=f"{name}.npy") as caught:
            read_array(tmp_path / f"{name}.npy")
        assert message in str(caught.value)
