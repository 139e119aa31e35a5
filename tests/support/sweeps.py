"""A folder with a campaign to sweep over and its oracle."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIG = """
name: swept
seed: 3
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "sweep_oracle:sweep_score"}
sampler: {steps: 4, batch_size: 8, pool: 32, hidden: 8}
rounds: {count: 1, batch_size: 4, initial: 6}
evaluation: {workers: 1, timeout_s: 60}
"""


ORACLE = """
import os, time

def sweep_score(word, weight=0.5, pause=0.0, tag=None):
    with open("calls.log", "a") as file:
        file.write(word + "\\n")
    time.sleep(pause)
    with open("ended.log", "a") as file:
        file.write(f"{os.getpid()} {word}\\n")
    if weight < 0:
        raise ValueError(f"the furnace is cold for {word}")  # not the same for all, as of a broken oracle
    return word.count("G") + weight * word.count("GA")

class Quits:
    def check(self):
        raise SystemExit("no licence")

    def evaluate(self, words):
        return []
"""


@contextmanager
def sweep_folder(folder: Path) -> Iterator[Path]:
    """Write a config and an oracle to a user's folder, and change to it."""
    before, path = Path.cwd(), list(sys.path)
    (folder / "sweep_oracle.py").write_text(re.sub(r"\w+\.log", lambda log: str(folder / log[0]), ORACLE))
    (folder / "swept.yaml").write_text(CONFIG)
    (folder / "calls.log").touch()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)
        sys.path[:] = path
        sys.modules.pop("sweep_oracle", None)
