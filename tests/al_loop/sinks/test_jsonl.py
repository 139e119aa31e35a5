from __future__ import annotations

import json
from pathlib import Path

import pytest

from al_loop.errors import ConfigError
from al_loop.sinks import Sinks
from al_loop.sinks.jsonl import JSONLines
from tests.support.sinks import CONFIG, tell


def test_two_starts_append_to_one_file_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "made" / "numbers.jsonl"
    for _ in range(2):
        tell(Sinks([JSONLines(str(path))]))
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [r["record"] for r in records] == ["begin", "metrics", "metrics", "note", "end"] * 2
    assert {r["run"] for r in records} == {"uid1"}
    assert records[0]["config"] == CONFIG
    assert (records[2]["step"], records[2]["metrics"]) == (1, {"best": 0.5})
    assert records[4]["status"] == "finished"


def test_a_file_that_cannot_be_written_is_refused_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="sink jsonl cannot write"):
        Sinks([JSONLines(str(tmp_path / "file" / "numbers.jsonl"))])
