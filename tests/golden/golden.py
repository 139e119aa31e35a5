"""Functions shared by the golden tests and make.py: they run campaigns, and take snapshots.

They use only interfaces that must not change: the command line, the public names of al_loop, config files, and SQL on
ledgers.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import importlib
import inspect
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CAMPAIGNS, EXPECTED, RUNS, SURFACE = (HERE / name for name in ("campaigns", "expected", "runs", "surface"))
LEDGERS = HERE / "ledgers"
NAMES = sorted(path.stem for path in CAMPAIGNS.glob("*.yaml"))
TABLES = ("evaluations", "candidates", "decisions")
#: classes whose public fields are described by the JSON schema, not by their Python members
_WITHOUT_MEMBERS = ("Campaign", "CampaignConfig")

# a campaign on Ray starts its own cluster, as others may be running on the machine
_ON_RAY = """
import sys
import ray
from al_loop.cli import main
from tests.support.local_ray import start_ray

start_ray()
sys.argv = ["al-loop", *sys.argv[1:], "--address", "auto"]
main()
"""
_ALL = """
import json, sys
from tests.golden import golden
answers = [golden.call(*words) for words in json.load(sys.stdin)]
with open(sys.argv[1], "w") as file:
    json.dump(answers, file)
"""


# -- the command line ------------------------------------------------------------------------------------------------


def environment(**more: str) -> dict[str, str]:
    """Return the environment variables of a process that runs this checkout's al-loop."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "al_loop.cli", *arguments]


def run(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``al-loop ARGUMENTS`` in a new process and a folder."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=300
    )


def run_on_ray(*arguments: str, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run ``al-loop ARGUMENTS`` on a new Ray cluster with its own home folder."""
    variables = environment(HOME=str(home), RAY_AUTH_MODE="disabled")
    return subprocess.run(
        [sys.executable, "-c", _ON_RAY, *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
    )


def call(*arguments: str) -> tuple[int, str, str]:
    """Run ``al-loop ARGUMENTS`` in this process; return exit code, standard output and standard error."""
    from al_loop.cli import main

    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    variables = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    with (
        mock.patch.object(sys, "argv", ["al-loop", *arguments]),
        mock.patch.object(sys, "path", list(sys.path)),
        mock.patch.dict(os.environ, variables),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    return int(code), out.getvalue(), err.getvalue()


def run_all(commands: Sequence[Sequence[str]], folder: Path, **variables: str) -> list[tuple[int, str, str]]:
    """Run commands of ``al-loop`` one after another in one new process and a folder; return what ``call`` returns.

    What was written past Python's streams is added to the last standard error.
    """
    answers = folder / "answers.json"
    done = subprocess.run(
        [sys.executable, "-c", _ALL, str(answers)],
        input=json.dumps(commands),
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    *rest, (code, out, err) = json.loads(answers.read_text())
    answers.unlink()
    return [*map(tuple, rest), (code, out, err + done.stdout + done.stderr)]


def copy_campaigns(folder: Path) -> Path:
    """Copy the configs with their oracle and their table to a folder; return the folder."""
    shutil.copytree(CAMPAIGNS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


# -- contents of a ledger --------------------------------------------------------------------------------------------


def query(ledger: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(ledger)) as connection:
        return connection.execute(sql).fetchall()


def batches(ledger: Path) -> str:
    """Return the fingerprint and the batches of a campaign: object, fidelity and answer of each candidate, in order."""
    ((fingerprint,),) = query(ledger, "SELECT fingerprint FROM campaign")
    rows = query(
        ledger,
        'SELECT c.round, c.object, c.fidelity, e."values", e.failure_kind FROM candidates c '
        "LEFT JOIN evaluations e ON e.candidate_id = c.id "
        "AND e.revision = (SELECT max(revision) FROM evaluations WHERE candidate_id = c.id) "
        "ORDER BY c.round, c.position",
    )
    rounds: dict[int, list[str]] = {}
    for number, name, fidelity, values, failure in rows:
        answer = failure if values is None else json.loads(values)
        rounds.setdefault(number, []).append(json.dumps([name, fidelity, answer]))
    blocks = [f'  "{number}": [\n    ' + ",\n    ".join(lines) + "\n  ]" for number, lines in rounds.items()]
    return f'{{\n"fingerprint": "{fingerprint}",\n"rounds": {{\n' + ",\n".join(blocks) + "\n}\n}\n"


def design(ledger: Path) -> dict[str, Any]:
    """Return the tables, columns, keys, triggers and indexes of a ledger."""
    tables: dict[str, Any] = {}
    for (name,) in query(ledger, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
        columns = query(ledger, f'SELECT name, type, "notnull", pk FROM pragma_table_info("{name}")')
        indexes = query(ledger, f'SELECT name, origin FROM pragma_index_list("{name}") WHERE "unique"')
        unique = [[n for (n,) in query(ledger, f'SELECT name FROM pragma_index_info("{i}")')] for i, _ in indexes]
        keys = query(ledger, f'SELECT "from", "table", "to" FROM pragma_foreign_key_list("{name}")')
        tables[name] = {
            "columns": {
                column: f"{kind}{' NOT NULL' * is_required}{f' PRIMARY KEY {key}' * bool(key)}"
                for column, kind, is_required, key in columns
            },
            "unique": sorted(unique),
            "references": {column: f"{table}.{to}" for column, table, to in sorted(keys)},
        }
    sql = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL"
    others: dict[str, dict[str, str]] = {"trigger": {}, "index": {}}
    for kind, name, table, text in sorted(query(ledger, sql)):
        event = re.search(r"\b(BEFORE|AFTER) (\w+)", text)
        others[kind][name] = f"{event[0]} ON {table}" if event else table
    return {"tables": tables, "triggers": others["trigger"], "indexes": others["index"]}


def dump(ledger: Path) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of all tables of a ledger; JSON columns stay text."""
    tables = {}
    with closing(sqlite3.connect(ledger)) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        for (name,) in names:
            tables[name] = [dict(row) for row in connection.execute(f'SELECT * FROM "{name}" ORDER BY rowid')]
    return tables


def columns(table: Path) -> list[str]:
    """Return the names in the first line of a CSV file."""
    return table.read_text(encoding="utf-8").splitlines()[0].split(",")


def rows(table: Path, columns: Sequence[str]) -> list[list[str]]:
    """Return the cells of some columns of a CSV file."""
    with table.open(encoding="utf-8", newline="") as file:
        return [[row[name] for name in columns] for row in csv.DictReader(file)]


def status(run: Path) -> dict[str, Any]:
    """Return what open_run reports of a run: status, columns and lengths of its tables, best objects."""
    from al_loop import open_run

    tables = (
        "candidates",
        "evaluations",
        "facts",
        "decisions",
        "artifacts",
        "rounds",
        "predictions",
        "forecasts",
        "alarms",
    )
    with open_run(run) as opened:
        fields = {field.name: getattr(opened.status(), field.name) for field in dataclasses.fields(opened.status())}
        columns = {name: list(map(str, getattr(opened, name).columns)) for name in tables}
        rows = {name: len(getattr(opened, name)) for name in tables}
        best = opened.best(5)[["object", opened.value_column]].values.tolist()
        header = {"name": opened.name, "objectives": [dataclasses.asdict(o) for o in opened.objectives]}
    return json.loads(
        json.dumps({**header, "status": fields, "columns": columns, "rows": rows, "best": best}, default=str)
    )


# -- user interfaces -------------------------------------------------------------------------------------------------


def fingerprint_of(config: Path) -> str:
    """Return the fingerprint of a config file; the only place that computes one."""
    from al_loop import load_config

    return str(load_config(config).fingerprint)


def fingerprints() -> dict[str, str]:
    return {path.name: fingerprint_of(path) for path in sorted((ROOT / "configs").glob("*.yaml"))}


def schema() -> list[str]:
    """Return one line per statement of the JSON schema of a config, without descriptions and class names."""
    code, out, err = call("schema")
    assert code == 0, err
    whole = json.loads(out)
    return sorted(set(_lines(_resolved(whole, whole.get("$defs", {}), ()), "config")))


def _resolved(node: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_resolved(item, definitions, inside) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        if name in inside:
            return {"recursive": True}
        node = {**definitions[name], **{k: v for k, v in node.items() if k != "$ref"}}
        inside = (*inside, name)
    resolved = {}
    for key, value in node.items():
        if key == "properties":
            resolved[key] = {name: _resolved(item, definitions, inside) for name, item in value.items()}
        elif key not in ("title", "description", "$defs"):
            resolved[key] = value if key in ("default", "const", "enum") else _resolved(value, definitions, inside)
    return resolved


def _lines(node: Any, path: str) -> Iterator[str]:
    if not isinstance(node, dict):
        yield f"{path}: {json.dumps(node)}"
        return
    for key, value in node.items():
        here = f"{path}.{key}"
        if key == "properties":
            for name, item in value.items():
                yield from _lines(item, f"{path}/{name}")
        elif key in ("enum", "required"):  # in any order
            yield from (f"{here}: {json.dumps(item)}" for item in value)
        elif key in ("anyOf", "oneOf", "allOf"):
            for i, item in enumerate(value):
                kind = item.get("properties", {}).get("kind", {}).get("const")
                names = [_label(other) for other in value[:i]]
                label = kind or _label(item) + "'" * names.count(_label(item))
                yield from _lines(item, f"{path}|{label}")
        elif isinstance(value, dict):
            yield from _lines(value, here)
        else:
            yield f"{here}: {json.dumps(value)}"


def _label(item: Mapping[str, Any]) -> str:
    if "kind" in item.get("properties", {}):
        return ""
    return str(item.get("type", item.get("const", "any")))


def options() -> dict[str, list[str]]:
    """Return the arguments and options of each command, as named by its help."""
    commands = [words[0] for words in _help_panel("Commands")]
    names = {"": [word for words in _help_panel("Options") for word in words]}
    for name in commands:
        panels = _help_panel("Arguments", name) + _help_panel("Options", name)
        names[name] = [word for words in panels for word in words]
    return names


def _help_panel(title: str, *command: str) -> list[list[str]]:
    """Return the names at the beginning of each row of a panel of a help text."""
    code, out, err = call(*command, "--help")
    assert code == 0, err
    rows: list[list[str]] = []
    is_inside = False
    for line in out.splitlines():
        text = line.strip(" │|")
        if re.match(r"^[╭+].*", line.strip()) or re.match(r"^\w+:$", line.strip()):
            is_inside = title in text
        elif is_inside and not text.startswith(("╰", "+")):
            indent = len(line) - len(line.lstrip(" │|"))
            if indent > 8 or not text:  # a wrapped line
                continue
            words = re.split(r"\s+", text.lstrip("* "))
            if title == "Options":
                rows.append([w.strip(",") for w in words[:3] if w.startswith("-")])
            else:
                rows.append([words[0]])
    return rows


def kinds() -> dict[str, list[str]]:
    """Return the built-in parts of each section, as listed by ``al-loop list``."""
    code, out, err = call("list")
    assert code == 0, err
    sections: dict[str, list[str]] = {}
    section = ""
    for line in out.splitlines():
        if line.startswith("  "):
            sections[section].append(line.split()[0])
        elif line and ":" not in line:
            section = line.split()[0]
            sections[section] = []
    return sections


def public_names() -> dict[str, dict[str, list[str]]]:
    """Return the public names of al_loop with their parameters and members."""
    al_loop = importlib.import_module("al_loop")
    return {name: _signature(name, getattr(al_loop, name)) for name in sorted(al_loop.__all__)}


def _signature(name: str, value: Any) -> dict[str, list[str]]:
    if not callable(value) or name in _WITHOUT_MEMBERS:
        return {}
    signature = {"parameters": list(inspect.signature(value).parameters)}
    if inspect.isclass(value):
        own = [c for c in value.__mro__ if c.__module__.partition(".")[0] in ("al_loop", "oracles", "actors")]
        members = {member for c in own for member in (*vars(c), *inspect.get_annotations(c))}
        if dataclasses.is_dataclass(value):
            members |= {field.name for field in dataclasses.fields(value)}
        signature["members"] = sorted(member for member in members if not member.startswith("_"))
    return signature


def missing(was: Any, now: Any, path: str = "") -> list[str]:
    """Return the differences of a value from its snapshot: missing or changed entries; new entries are allowed."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        gone = [f"{path}/{key}" for key in was if key not in now]
        return gone + [line for key in was if key in now for line in missing(was[key], now[key], f"{path}/{key}")]
    if isinstance(was, Sequence) and isinstance(now, Sequence) and not isinstance(was, str):
        return [f"{path}: {item}" for item in was if item not in now]
    return [] if was == now else [f"{path}: {was!r} is {now!r} now"]


def tightened(was: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return new lines of a schema that restrict existing keys; new choices and defaults are allowed."""
    nodes = {line.partition(": ")[0].rpartition(".")[0] for line in was}
    lines = []
    for line in sorted(set(now) - set(was)):
        node, _, key = line.partition(": ")[0].rpartition(".")
        if node in nodes and key != "enum" and ".default" not in node:
            lines.append(line)
    return lines


def snapshots() -> dict[str, Any]:
    """Return all snapshots of user interfaces by file name in ``surface``, except the ledger's design."""
    return {
        "schema.json": schema(),
        "options.json": options(),
        "kinds.json": kinds(),
        "public_names.json": public_names(),
        "fingerprints.json": fingerprints(),
    }


def as_text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
