"""YAML of any kind, however large, deep, odd or broken, ends in one line within a moment."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from al_loop.config import load_config
from al_loop.config.locations import read_yaml
from al_loop.errors import ConfigError

_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)
)
_MERGES = "a0: &a0 {x: 1}\n" + "\n".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 12)
)
HOSTILE = {
    "aliases that multiply": _LAUGHS,
    "merges that multiply": _MERGES,
    "an alias of itself": "a: &a [*a]",
    "a mapping in itself": "a: &a {b: *a}",
    "a merge of itself": "a: &a {<<: *a}",
    "deep lists": "name: " + "[" * 100_000,
    "deep lists that end": "name: " + "[" * 50_000 + "]" * 50_000,
    "deep mappings": "name: " + "{a: " * 50_000,
    "deep blocks": "\n".join(" " * i + "a:" for i in range(900)),
    "deep dashes": "- " * 50_000 + "x",
    "very many values": "name: [" + "1, " * 150_000 + "1]",
    "very many keys": "\n".join(f"k{i}: {i}" for i in range(30_000)),
    "a long line": "name: " + "x" * 2_000_000,
    "a long comment": "#" * 2_000_000,
    "a number of many digits": "name: x\nseed: " + "9" * 100_000,
    "a hexadecimal number of many digits": "name: x\nseed: 0x" + "f" * 100_000,
    "a binary number of many digits": "name: x\nseed: 0b" + "1" * 100_000,
    "an exponent": "name: x\nseed: 1e999999999",
    "a base of 60": "name: x\nseed: " + "1:" + ":".join(["59"] * 10_000),
    "a duplicate key": "name: a\nname: b",
    "a NUL": "name: a\0b",
    "a control character": "name: a\x07b",
    "an escape sequence": "name: \x1b[31mred",
    "a Python object": "name: !!python/object/apply:os.system [true]",
    "a tag of one's own": "name: !mine x",
    "a set": "name: !!set {a, b}",
    "binary": "name: !!binary R0lGODlhDAAMAIQAAP",
    "a false binary": "name: !!binary '#'",
    "a false integer": "name: !!int abc",
    "a false float": "name: !!float abc",
    "a false boolean": "name: !!bool abc",
    "a false timestamp": "name: !!timestamp abc",
    "a false omap": "name: !!omap abc",
    "two documents": "name: a\n---\nname: b",
    "a directive": "%YAML 9.9\n---\nname: a",
    "a key that is a list": "? [a, b]\n: c",
    "a key that is a mapping": "{{a: b}: c}",
    "an unknown anchor": "name: *nobody",
    "no mapping": "42",
    "an open quote": 'name: "' + "x" * 100_000,
    "an empty file": "",
}


@pytest.fixture(scope="module", autouse=True)
def _loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import what loading a config imports, which is not timed."""
    path = tmp_path_factory.mktemp("warm") / "config.yaml"
    path.write_text("name: x\nenvironment: {kind: sequence, alphabet: AC, length: 2}\noracle: human\nseed: 1\n")
    load_config(path)


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_yaml_ends_in_one_line_within_a_moment(what: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(HOSTILE[what].encode())
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert time.process_time() - began < 1.0
    lines = str(caught.value).splitlines()
    assert len(lines) <= 3  # one for each key that is missing or wrong
    assert all(len(line) < 500 and line.isprintable() for line in lines)


@pytest.mark.parametrize("what", [w for w in HOSTILE if w not in ("no mapping", "an empty file")])
def test_hostile_overrides_end_in_one_line_too(what: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: x\nenvironment: {kind: sequence, alphabet: AC, length: 2}\noracle: human\n")
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load_config(path, [f"oracle={HOSTILE[what]}"])
    assert time.process_time() - began < 1.0
    assert all(len(line) < 500 and line.isprintable() for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00n", b"\x7fELF\x02\x01\x01\x00", b"\x80abc", "name: ä".encode("utf-16")]
)
def test_binary_files_end_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/dev/null"])
def test_what_is_no_file_ends_in_one_line(path: str) -> None:
    with pytest.raises(ConfigError):
        load_config(path)


def test_aliases_and_merges_of_an_ordinary_config_are_read() -> None:
    content, lines = read_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n")
    assert content == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    assert lines["c", "y"] == 3
