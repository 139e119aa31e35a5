"""A tiny campaign for tests of the command line, and functions that run commands in this process."""

from __future__ import annotations

from typer.testing import CliRunner

from al_loop.cli import app

ORACLE = """
import time
from pathlib import Path

def cli_score(word, pause=0.0, log=""):
    if log:
        with open(log, "a") as file:
            file.write(word + "\\n")
    time.sleep(pause)
    return word.count("A") + 0.5 * word.count("CU")

def cli_picky(word):
    if word.count("A") > 1:
        raise ValueError("too many A")
    return word.count("C")

def cli_broken(word):
    raise ValueError("the furnace is cold")
"""
CONFIG = """
name: tiny
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "cli_oracle:cli_score"}
sampler: {steps: 4, batch_size: 8, pool: 32, hidden: 8}
rounds: {count: 2, batch_size: 4, initial: 6}
evaluation: {workers: 1, timeout_s: 30}
"""


def call(*arguments: str) -> tuple[int, str, list[str]]:
    """Run a command; return its exit code, its standard output and the lines of its standard error."""
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr.splitlines()


def lines(*arguments: str) -> tuple[int, list[str], list[str]]:
    """Run a command; return its exit code and the lines of its standard output and standard error."""
    code, out, err = call(*arguments)
    return code, out.splitlines(), err
