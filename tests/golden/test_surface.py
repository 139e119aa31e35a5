"""Interfaces of users and their scripts are those of commit 9dda6e4, possibly with additions; see make.py."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.golden import golden

#: entry-point groups for parts of installed packages, and the sections in which `al-loop list` shows these
GROUPS = {
    "al_loop.environments": "environment",
    "al_loop.oracles": "oracle",
    "al_loop.features": "features",
    "al_loop.objectives": "objective",
    "al_loop.policies": "policy",
    "al_loop.searches": "search",
    "al_loop.evolution": "evolution",
    "al_loop.surrogates": "surrogate",
    "al_loop.acquisitions": "acquisition",
    "al_loop.selectors": "selector",
    "al_loop.latent_models": "latent",
    "al_loop.energies": "energy",
    "al_loop.properties": "property",
    "al_loop.sinks": "sink",
}


def snapshot(name: str) -> Any:
    return json.loads((golden.SURFACE / name).read_text(encoding="utf-8"))


def test_every_config_of_before_is_still_valid_by_the_schema() -> None:
    was, now = snapshot("schema.json"), golden.schema()
    assert golden.missing(was, now) == []
    assert golden.tightened(was, now) == []


def test_commands_keep_their_arguments_and_options() -> None:
    assert golden.missing(snapshot("options.json"), golden.options()) == []


def test_every_part_is_still_there() -> None:
    assert golden.missing(snapshot("kinds.json"), golden.kinds()) == []


def test_public_names_keep_their_parameters_and_members() -> None:
    assert golden.missing(snapshot("public_names.json"), golden.public_names()) == []


def test_public_names_keep_the_order_of_their_parameters() -> None:
    now = golden.public_names()
    for name, signature in snapshot("public_names.json").items():
        was = signature.get("parameters", [])
        assert now[name].get("parameters", [])[: len(was)] == was, name


def test_shipped_configs_keep_their_fingerprints() -> None:
    assert golden.missing(snapshot("fingerprints.json"), golden.fingerprints()) == []


def test_installed_packages_bring_parts_by_the_same_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a part in each group; listing them does not import it."""
    package = tmp_path / "golden_plugin-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: golden-plugin\nVersion: 1.0\n")
    points = (f"[{group}]\nplugged_{section} = golden_plugin:Part\n" for group, section in GROUPS.items())
    (package / "entry_points.txt").write_text("\n".join(points))
    monkeypatch.syspath_prepend(tmp_path)
    found = golden.kinds()
    assert {section: f"plugged_{section}" in kinds for section, kinds in found.items()} == dict.fromkeys(found, True)
    assert found.keys() == set(GROUPS.values())


@pytest.mark.slow
def test_a_new_ledger_has_all_that_one_had_before(finished: Callable[[str], Path]) -> None:
    assert golden.missing(snapshot("ledger.json"), golden.design(finished("pool") / "ledger.db")) == []


def test_no_row_of_a_ledger_can_be_changed(finished: Callable[[str], Path]) -> None:
    with closing(sqlite3.connect(finished("pool") / "ledger.db", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        filled = []
        for table in set(snapshot("ledger.json")["tables"]) - {"leases"}:  # the one row that a driver renews
            column = connection.execute(f'SELECT name FROM pragma_table_info("{table}")').fetchone()[0]
            if not connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]:
                continue  # triggers fire per row
            filled.append(table)
            for sql in (
                f'UPDATE "{table}" SET "{column}" = "{column}"',
                f'DELETE FROM "{table}"',
                f'INSERT OR REPLACE INTO "{table}" SELECT * FROM "{table}"',
            ):
                with pytest.raises(sqlite3.IntegrityError, match="insert-only"):
                    connection.execute(sql)
        connection.execute("ROLLBACK")
    assert {"campaign", "sessions", "rounds", "candidates", "attempts", "evaluations", "round_reports"} <= {*filled}


# -- exit codes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    golden.copy_campaigns(tmp_path)
    (tmp_path / "twice.yaml").write_text("name: a\nname: b\n")
    (tmp_path / "broken.yaml").write_text("name: [")
    (tmp_path / "empty").mkdir()
    (tmp_path / "golden_broken.py").write_text("def measure(word):\n    raise ValueError('the furnace is cold')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["list"], 0),
        (["check", "words.yaml", "--no-oracle"], 0),
        (["check", "words.yaml", "oracle.target=golden_broken:measure"], 1),
        (["run", "nowhere.yaml"], 2),
        (["run", "broken.yaml"], 2),
        (["run", "twice.yaml"], 2),
        (["run", "words.yaml", "surogate.kind=gp"], 2),
        (["run", "words.yaml", "rounds.count=-1"], 2),
        (["run", "words.yaml", "surrogate.kind=oracle_of_delphi"], 2),
        (["run", "words.yaml", "oracle.target=nowhere:measure"], 2),
        (["run", "words.yaml", "not a change"], 2),
        (["run", "words.yaml", "--no-such-option"], 2),
        (["no-such-command"], 2),
        ([], 2),
        (["status", "nowhere"], 2),
        (["export", "empty"], 2),
        (["tell", "nowhere", "table.csv"], 2),
        (["stop", "empty"], 2),
        (["pretrain", "words.yaml"], 2),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else None,
)
def test_a_command_exits_with_the_same_code(arguments: list[str], code: int, project: Path) -> None:
    found, out, err = golden.call(*arguments)
    assert found == code, out + err
    assert not (project / "runs").exists()


def test_another_campaign_is_not_written_into_a_run(project: Path, finished: Callable[[str], Path]) -> None:
    code, _, err = golden.call("run", "pool.yaml", "seed=99", "--run-dir", str(finished("pool")))
    assert code == 2
    assert "another campaign" in err


@pytest.mark.slow
@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_campaign_that_is_told_to_end_exits_with_the_same_code(which: int, code: int, project: Path) -> None:
    process = subprocess.Popen(
        golden.command("run", "fidelities.yaml", "--run-dir", "run", "--quiet"),
        env=golden.environment(GOLDEN_PAUSE="0.2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job of a shell ignores it
    )
    try:
        deadline = time.monotonic() + 600
        while not n_calls(project / "run/ledger.db"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, which)
        assert process.wait(timeout=600) == code
    finally:
        process.kill()


def n_calls(ledger: Path) -> int:
    try:
        return int(golden.query(ledger, "SELECT count(*) FROM attempts")[0][0]) if ledger.is_file() else 0
    except sqlite3.OperationalError:  # its tables do not exist yet
        return 0


def test_the_command_is_where_the_installed_script_looks_for_it() -> None:
    assert callable(importlib.import_module("al_loop.cli").main)
