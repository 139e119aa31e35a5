"""Command that regenerates the expectations and fixtures: ``python -m tests.golden.make WHAT... [--force]``.

WHAT is one of

- ``expected``: the batches of each campaign (``expected/*.json``),
- ``surface``: the user interfaces (``surface/*.json``),
- ``runs``: the run directories, and tables exported from them (``runs/``).

Existing files are not overwritten without ``--force``: all were written by commit 9dda6e4, before the packages were
rearranged, and prove that nothing has changed since. Regenerate only what is meant to change, review the difference in
git, and give the reason in the commit. Never regenerate ``runs`` and ``ledgers``: they were written by older versions.
A version that changes the format of runs adds its own fixtures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.golden import golden

#: runs al-loop without traces of this machine: its name, and the path of the program
_ANONYMOUS = """
import platform, socket, sys
socket.gethostname = platform.node = lambda: "golden"
from al_loop.cli import main
sys.argv = ["al-loop", *sys.argv[1:]]
main()
"""
_ANONYMOUS_FOLDER = "/home/golden/campaigns"


def expected(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the batches of each campaign."""
    for name in golden.NAMES:
        done = golden.run("run", f"{name}.yaml", "--run-dir", f"runs/{name}", "--quiet", folder=folder)
        assert done.returncode == 0, done.stderr
        yield golden.EXPECTED / f"{name}.json", golden.batches(folder / f"runs/{name}/ledger.db")


def surface(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the user interfaces."""
    for name, snapshot in golden.snapshots().items():
        yield golden.SURFACE / name, golden.as_text(snapshot)
    done = golden.run("run", "pool.yaml", "--run-dir", "runs/design", "rounds.count=0", folder=folder)
    assert done.returncode == 0, done.stderr
    yield golden.SURFACE / "ledger.json", golden.as_text(golden.design(folder / "runs/design/ledger.db"))


def runs(folder: Path) -> Iterator[tuple[Path, str | bytes]]:
    """Yield a finished run, a run killed in the middle of a round, and the tables and status of both."""
    command = [sys.executable, "-c", _ANONYMOUS, "run"]
    finished = [*command, "words.yaml", "--run-dir", "runs/words", "--quiet", "rounds.count=2"]
    subprocess.run(finished, cwd=folder, env=golden.environment(), check=True)
    killed = [*command, "fidelities.yaml", "--run-dir", "runs/fidelities", "--quiet"]
    process = subprocess.Popen(killed, cwd=folder, env=golden.environment(GOLDEN_PAUSE="0.3"), start_new_session=True)
    ledger = folder / "runs/fidelities/ledger.db"
    while not ledger.is_file() or _n_answers(ledger, 1) < 1:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.15)  # so that the next calls have started
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for name in ("words", "fidelities"):
        run = folder / "runs" / name
        golden.query(run / "ledger.db", "PRAGMA wal_checkpoint(TRUNCATE)")
        pointer = {
            "ledger": f"sqlite:///{_ANONYMOUS_FOLDER}/runs/{name}/ledger.db",
            "folders": [_ANONYMOUS_FOLDER, _ANONYMOUS_FOLDER],
        }
        (run / "campaign.json").write_text(json.dumps(pointer))
        for table in golden.TABLES:
            path = folder / f"{name}_{table}.csv"
            code, _, err = golden.call("export", str(run), "--table", table, "-o", str(path))
            assert code == 0, err
            yield golden.RUNS / path.name, path.read_text()
        yield golden.RUNS / f"{name}_status.json", golden.as_text(golden.status(run))
        for path in sorted(run.rglob("*")):
            if path.is_file() and path.suffix not in (".log", ".db-wal", ".db-shm"):
                content = path.read_bytes()
                assert not re.search(re.escape(str(folder)).encode(), content), f"{path} names {folder}"
                yield golden.RUNS / path.relative_to(folder / "runs"), content


def _n_answers(ledger: Path, number: int) -> int:
    sql = f"SELECT count(*) FROM evaluations JOIN candidates ON id = candidate_id WHERE round = {number}"
    try:
        return int(golden.query(ledger, sql)[0][0])
    except sqlite3.OperationalError:  # its tables do not exist yet
        return 0


_MAKERS: dict[str, Callable[[Path], Iterator[tuple[Path, str | bytes]]]] = {
    "expected": expected,
    "surface": surface,
    "runs": runs,
}


def main() -> None:
    """Write the requested files, all or none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=_MAKERS)
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        files = [pair for what in options.what for pair in _MAKERS[what](golden.copy_campaigns(Path(folder, what)))]
        existing = [str(path.relative_to(golden.HERE)) for path, _ in files if path.exists()]
        if existing and not options.force:
            parser.exit(2, f"nothing was written, because files exist (use --force): {', '.join(existing)}\n")
        for path, content in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            print(path.relative_to(golden.ROOT))


if __name__ == "__main__":
    main()
