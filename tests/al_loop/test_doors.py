"""Whatever door a run is looked at through, no secret and no control sequence comes out, and no table has a formula."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import golden

pytestmark = pytest.mark.slow

SECRET = "pl4nt3d-s3cr3t"
#: of objects; files with control characters are refused
NAMES = ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "d\u202etxt", "title", "<script>f</script>", "plain"]
CONFIG = f"""
name: doors
environment: {{{{kind: pool, file: names.csv, object_type: other}}}}
oracle:
  target: "leaky_{{module}}:Leaky"
  url: "https://lab:{SECRET}-url@host/x?api_key={SECRET}-query"
  api_key: {SECRET}-argument
  headers: {{{{X-Lab: {SECRET}-header}}}}
  late: "${{{{PLANTED_REFERENCE}}}}"
features: {{{{target: "leaky_{{module}}:Lengths"}}}}
rounds: {{{{initial: 4, batch_size: 4, count: 1}}}}
checkpoints: "memory://lab:{SECRET}-checkpoints@host/{{module}}?token={SECRET}-parameter"
evaluation: {{{{workers: 1, timeout_s: 60, cache: "sqlite:///cache.db"}}}}
sinks: [{{{{kind: jsonl, path: sink.jsonl}}}}]
"""
CODE = """
import os, sys
from pathlib import Path
import torch
from al_loop.features.base import Features
from al_loop.oracles.base import Objective, Oracle, Outcome

class Lengths(Features):
    kernel = "rbf"
    d = 1

    def compute(self, objects):
        return torch.tensor([[float(len(name))] for name in objects])

    def similarity(self, X1, X2):
        return (X1 == X2.T).double()

class Leaky(Oracle):
    objectives = (Objective("value"),)

    def __init__(self, url: str, api_key: str, headers: dict[str, str], late: str):
        self.all = [url, api_key, str(headers), late, os.environ["PLANTED_TOKEN"]]

    def evaluate(self, objects):
        commands = [Path(f"/proc/{pid}/cmdline") for pid in (os.getpid(), os.getppid())]
        Path("commands.txt").write_text("".join(path.read_text() for path in commands if path.exists()))
        for word in objects:
            error = ValueError(f"{self.all} \\x1b[31m\\x1b]0;title\\x07\\nerror: faked\\u202e\\x9b2J")
            error.add_note(f"note with {self.all} \\x1b[2J")
            if "S" in word or "title" in word:
                raise error
            yield Outcome((float(len(word)),), info={"request": self.all, "=escape": "\\x1b[2J"})
"""
COMMANDS = [
    "status RUN",
    "status -v RUN",
    "watch --once RUN",
    "verify RUN",
    "report RUN -o out/report.html",
    "viewer -o out/viewer.html",
    "notebook RUN --no-open",
    "backup RUN out/backup",
    "compare out/backup RUN -o out/compare.html",
    "export RUN -o out/answers.csv",
    "export RUN -o out/answers.tsv",
    "export RUN -o out/answers.jsonl",
    "export RUN --table candidates -o out/candidates.csv",
    "export RUN --table changes -o out/changes.csv",
    "review RUN",
    f"plan doors.yaml ledger=postgresql://lab:{SECRET}@127.0.0.1:9/db --goal 20 --simulations 2",
    f"compare postgresql://lab:{SECRET}@127.0.0.1:9/db RUN",
    f"dashboard postgresql+odd://lab:{SECRET}@127.0.0.1:9/db",
    f"watch --once postgresql://lab:{SECRET}@127.0.0.1:9/db?password={SECRET}",
    f"submit doors.yaml --address http://lab:{SECRET}@127.0.0.1:9",
    f"submit doors.yaml evaluation.cache=postgresql://lab:{SECRET}@h/db --address http://127.0.0.1:9",
    f"run doors.yaml checkpoints=s3x://lab:{SECRET}@bucket/x?secret={SECRET} --run-dir other",
    f"run doors.yaml evaluation.cache=postgresql://lab:{SECRET}@127.0.0.1:9/db rounds.count=2",
    f"run doors.yaml ledger=postgresql://lab:{SECRET}@127.0.0.1:9/db --run-dir another --verbose",
]
LOOK = """
import json, sys, threading, urllib.request
from tests.golden import golden
done = [[words, *golden.call(*words)] for words in json.load(sys.stdin)]
import al_loop
from al_loop.report.server import Dashboard, open_server
run = al_loop.open_run("runs/doors")
done.append([["repr"], 0, repr(run) + str(run.describe()), ""])
with open_server(Dashboard(["runs/doors"]), port=0) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    with urllib.request.urlopen(address) as page:
        done.append([["dashboard"], 0, page.read().decode(), ""])
    server.shutdown()
json.dump(done, open("looked.json", "w"))
"""


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Run a campaign with secrets and hostile names, open every door, and return the folder and what was printed."""
    folder = tmp_path_factory.mktemp("doors")
    module = folder.name.replace("-", "_")
    (folder / f"leaky_{module}.py").write_text(CODE)
    (folder / "names.csv").write_text("name\n" + "".join(f'"{name}"\n' for name in NAMES))
    (folder / "doors.yaml").write_text(CONFIG.format(module=module))
    (folder / "out").mkdir()
    variables = {"PLANTED_TOKEN": f"{SECRET}-variable", "PLANTED_REFERENCE": f"{SECRET}-reference"}
    first = golden.run("run", "doors.yaml", folder=folder, **variables)
    assert first.returncode == 0, first.stderr
    commands = json.dumps([command.replace("RUN", "runs/doors").split() for command in COMMANDS])
    second = subprocess.run(
        [sys.executable, "-c", LOOK],
        input=commands,
        cwd=folder,
        env=golden.environment(**variables),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert second.returncode == 0, second.stderr
    printed = {"run": first.stdout + first.stderr, "": second.stdout + second.stderr}
    for words, _code, out, err in json.loads((folder / "looked.json").read_text()):
        printed[" ".join(words)] = out + err
    assert all(printed[door] for door in printed if door)
    (folder / "looked.json").unlink()
    return folder, printed


def test_no_door_shows_a_secret(looked: tuple[Path, dict[str, str]]) -> None:
    folder, printed = looked
    for door, text in printed.items():
        assert SECRET not in text, door
    written = [path for path in folder.rglob("*") if path.is_file() and path.parent != folder]
    written += [folder / "sink.jsonl", folder / "commands.txt"]
    assert {"report.html", "compare.html", "viewer.html", "answers.tsv"} <= {path.name for path in written}
    for path in written:
        assert SECRET.encode() not in path.read_bytes(), path


def test_no_door_shows_a_control_sequence_and_no_page_runs_a_name(looked: tuple[Path, dict[str, str]]) -> None:
    folder, printed = looked
    for door, text in printed.items():
        assert not set(text) & set("\x1b\x07\x9b\u202e"), door
    for path in (*folder.glob("out/*.html"), *folder.glob("runs/doors/*.ipynb"), folder / "sink.jsonl"):
        text = path.read_text(encoding="utf-8")
        assert not set(text) & set("\x1b\x07\x9b\u202e"), path
        assert "<script>f" not in text, path


def test_no_table_has_a_formula(looked: tuple[Path, dict[str, str]]) -> None:
    tables = [*looked[0].glob("out/*.csv"), *looked[0].glob("out/*.tsv")]
    assert len(tables) == 4
    for path in tables:
        for cell in re.split(r"[,\t\n]", path.read_text(encoding="utf-8")):
            assert not re.match(r"\"?[=@+]", cell), (path.name, cell)
