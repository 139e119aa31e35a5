"""No secret and no control sequence leaves a campaign, whatever setting, answer or person it comes from."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest
import typer

from al_loop.cli.common import exit_codes, resume_message
from al_loop.errors import ConfigError
from al_loop.ledger.engines import parse_url
from al_loop.outgoing import (
    MASK,
    one_line,
    printable,
    redact,
    redacted,
    remember,
    resolved,
    resolved_all,
    styled,
    written_out,
)
from al_loop.system.spreadsheet_cells import inert_cell, without_guard
from tests.golden import golden

SECRET = "pl4nt3d-s3cr3t"
HIDDEN = [
    f"postgresql+psycopg://lab:{SECRET}@host/db",
    f"postgresql://lab:{SECRET}/with@odd@host:5432/db?sslmode=require",
    f"postgresql://lab@host/db?password={SECRET}",
    f"s3://key:{SECRET}@bucket/folder",
    f"https://user:{SECRET}@host:8443/path",
    f"https://ghp_0123456789{SECRET}@github.com/lab/code",
    f"https://host/path?x=1&api_key={SECRET}&y=2",
    f"https://host/path?X-Amz-Signature={SECRET}",
    f"https://host/path?sig={SECRET}#there",
    f"https://host/?access_token={SECRET}",
    f"Authorization: Bearer {SECRET}",
    f"authorization: Basic {SECRET}",
    f"{{'X-Api-Key': '{SECRET}'}}",
    f'{{"password": "{SECRET}"}}',
    f"al-loop run c.yaml oracle.password={SECRET} seed=1",
    f"PGPASSWORD={SECRET} psql",
    f"Cookie: {SECRET}",
    f"client_secret={SECRET}",
]
SHOWN = [
    "C[C@@H](N)C(=O)O",
    "sqlite:////data/runs/a b/ledger.db",
    "postgresql+psycopg://lab@host:5432/db",
    "postgresql://lab:${LAB_PASSWORD}@host/db",
    "unknown key: colour; known keys: kind, target",
    "ValueError: key=5, token 7",
    "token_variable=LAB_TOKEN",
    "http://host:8265/jobs",
    "rounds.count=3 sampler.lr=0.1",
    "round 3: 5 answers",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_secrets_are_hidden_in_any_text(text: str) -> None:
    assert SECRET not in redact(text)
    assert MASK in redact(text)
    assert redact(redact(text)) == redact(text)
    assert SECRET not in str(ConfigError(f"cannot open {text}"))
    assert SECRET not in json.dumps(redacted({"a": [{"b": text}]}))


@pytest.mark.parametrize("text", SHOWN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text
    assert redacted(text) == text


def test_values_are_hidden_by_the_names_of_their_keys_and_references_stay() -> None:
    content = {
        "headers": {"X-Lab": SECRET, "Accept": "application/json"},
        "variables": {"LICENCE": SECRET, "OMP_NUM_THREADS": "4", "DATA": "/data/x", "PW": "${PW}"},
        "api_key": SECRET,
        "token": "${LAB_TOKEN}",
        "token_variable": "LAB_TOKEN",
        "key": "column",
        "n": 3,
    }
    hidden = redacted(content)
    assert SECRET not in json.dumps(hidden)
    kept = {"Accept": "application/json"}, {"OMP_NUM_THREADS": "4", "DATA": "/data/x", "PW": "${PW}"}
    assert hidden["headers"].items() >= kept[0].items()
    assert hidden["variables"].items() >= kept[1].items()
    assert (hidden["token"], hidden["token_variable"], hidden["key"], hidden["n"]) == (
        "${LAB_TOKEN}",
        "LAB_TOKEN",
        "column",
        3,
    )


@pytest.mark.parametrize("password", ["secret", "Password", "client", "secret=", "//root:"])
def test_a_secret_that_is_part_of_a_name_uncovers_no_other(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_loop.outgoing._remembered", {})
    remember(password)
    for text in (f"client_secret={SECRET}", f"db password: {SECRET}", f"https://root:{SECRET}@host/x?token={SECRET}"):
        assert SECRET not in redact(text)
    assert redact("the secret was not recorded; set a password") == "the secret was not recorded; set a password"


def test_remembered_secrets_and_those_of_the_environment_are_hidden_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_SERVICE_TOKEN", "n0-one-kn0ws")
    remember("r3m&mbered")
    text = redact(f"sent n0-one-kn0ws and r3m&mbered and {quote('r3m&mbered', safe='')}")
    assert text == f"sent {MASK} and {MASK} and {MASK}"


def test_references_are_resolved_late_quoted_in_urls_and_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PW", "a/b@c:d")
    url = parse_url("postgresql://lab:${LAB_PW}@host/db")
    assert (url.password, url.host) == ("a/b@c:d", "host")
    assert resolved_all({"a": ["${LAB_PW}"], "command": ["sh", "-c", "echo ${LAB_PW}"]}) == {
        "a": ["a/b@c:d"],
        "command": ["sh", "-c", "echo ${LAB_PW}"],
    }
    monkeypatch.delenv("LAB_PW")
    with pytest.raises(ValueError, match="LAB_PW is not set"):
        resolved("${LAB_PW}")
    with pytest.raises(ConfigError, match="its secret was not recorded"):
        parse_url("postgresql://lab:***@host/db")


def test_errors_keep_their_type_and_text_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ConfigError("x: is wrong")))
    assert (type(error), str(error)) == (ConfigError, "x: is wrong")


def test_an_interrupted_command_and_a_bug_show_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"ledger=postgresql://lab:{SECRET}@host/db"
    monkeypatch.setattr("sys.argv", ["al-loop", "run", "c.yaml", url])
    for error in (KeyboardInterrupt(), RuntimeError(f"{url}\x1b[2J"), ConfigError(url)):
        with pytest.raises(typer.Exit), exit_codes(verbose=True, when_interrupted=resume_message()):
            raise error
        printed = capsys.readouterr()
        text = printed.out + printed.err
        assert "postgresql://lab:***@host/db" in text
        assert SECRET not in text
        assert "\x1b[2J" not in text


# -- a campaign with secrets in every setting that can carry one

CONFIG = """
name: planted
environment: {{kind: sequence, alphabet: ACGU, length: 6}}
oracle:
  target: "leaky_{module}:Leaky"
  url: "https://lab:{secret}-url@host/x?api_key={secret}-query"
  api_key: {secret}-argument
  headers: {{X-Lab: {secret}-header}}
  late: "${{PLANTED_REFERENCE}}"
sampler: {{steps: 4, batch_size: 8, hidden: 8, pool: 16}}
rounds: {{initial: 4, batch_size: 4, count: 1}}
checkpoints: "memory://lab:{secret}-checkpoints@host/{module}"
evaluation: {{workers: 1, timeout_s: 60, cache: "{cache}"}}
sinks: [{{kind: jsonl, path: sink.jsonl}}]
"""
ORACLE = """
import os, sys
from al_loop.oracles.base import Objective, Oracle, Outcome

class Leaky(Oracle):
    objectives = (Objective("value"),)

    def __init__(self, url: str, api_key: str, headers: dict[str, str], late: str):
        self.all = [url, api_key, str(headers), late, os.environ["PLANTED_TOKEN"]]
        assert late == os.environ["PLANTED_REFERENCE"], late

    def evaluate(self, objects):
        for word in objects:
            print(*self.all)
            print(*self.all, file=sys.stderr)
            if word.count("A") > 1:
                raise ValueError(f"no answer from {self.all} \\x1b[31m\\x1b]0;title\\x07\\nerror: faked\\u202e")
            yield Outcome((float(word.count("G")),), info={"request": self.all, "escape": "\\x1b[2J"})
"""


@pytest.fixture(scope="module")
def leaked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Run a campaign with planted secrets, look at it in every way, and return its folder and what was printed."""
    folder = tmp_path_factory.mktemp("planted")
    module = folder.name.replace("-", "_")
    (folder / f"leaky_{module}.py").write_text(ORACLE)
    cache = "sqlite:///cache.db"
    config = folder / "planted.yaml"
    config.write_text(CONFIG.format(secret=SECRET, module=module, cache=cache))
    variables = {"PLANTED_TOKEN": f"{SECRET}-variable", "PLANTED_REFERENCE": f"{SECRET}-reference"}
    done = golden.run("run", "planted.yaml", folder=folder, **variables)
    assert done.returncode == 0, done.stderr
    bad = {
        "cache": f"evaluation.cache=postgresql+psycopg://lab:{SECRET}-cache@127.0.0.1:9/db",
        "ledger": f"ledger=postgresql+psycopg://lab:{SECRET}-ledger@127.0.0.1:9/db?sslpassword={SECRET}-parameter",
        "scheme": f"ledger=postgres+odd://lab:{SECRET}-scheme@127.0.0.1:9/db",
    }
    commands = [
        ["run", "planted.yaml", bad["cache"], "rounds.count=2"],
        ["run", "planted.yaml", bad["ledger"], "--verbose", "--run-dir", "other"],
        ["run", "planted.yaml", bad["scheme"]],
    ]
    looks = ("status -v RUN", "verify RUN", "export RUN -o -", "export RUN --table changes -o -")
    commands += [shlex.split(command.replace("RUN", "runs/planted")) for command in looks]
    answers = golden.run_all(commands, folder, **variables)
    return folder, [done.stdout + done.stderr, *(out + err for _, out, err in answers)]


@pytest.mark.slow
def test_no_secret_is_printed(leaked: tuple[Path, list[str]]) -> None:
    for text in leaked[1]:
        assert SECRET not in text


def test_no_secret_is_written(leaked: tuple[Path, list[str]]) -> None:
    folder, _ = leaked
    written = [p for p in folder.rglob("*") if p.is_file() and p.parent != folder] + [folder / "sink.jsonl"]
    assert {"ledger.db", "campaign.json", "oracle-0.log", "sink.jsonl"} <= {path.name for path in written}
    for path in written:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
    with sqlite3.connect(folder / "runs" / "planted" / "ledger.db") as connection:
        config = json.loads(connection.execute("SELECT config FROM sessions").fetchone()[0])
    connection.close()
    assert config["oracle"]["late"] == "${PLANTED_REFERENCE}"


def test_no_control_sequence_of_an_oracle_is_printed_or_written(leaked: tuple[Path, list[str]]) -> None:
    folder, texts = leaked
    texts = texts + [path.read_text() for path in (folder / "runs" / "planted" / "logs").iterdir()]
    for text in texts:
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
        assert "\nerror: faked" not in text.replace("\nValueError", "")


# -- characters and sizes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\x", "x"),
        ("\x9b31mx", "\\x9b31mx"),
        ("a\rb", "a\\x0db"),
        ("a\r\nb", "a\nb"),
        ("a\x08\x7f\x00", "a\\x08\\x7f\\x00"),
        ("\u202eabc\u2066\u2028", "\\u202eabc\\u2066\\u2028"),
        ("é中\u200d👩", "é中\u200d👩"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert one_line(f"{text}\nerror: x") == f"{shown}\\nerror: x".replace("a\nb", "a\\nb")


def test_a_terminal_gets_colours_and_nothing_else() -> None:
    assert styled("\x1b[1;31merror:\x1b[0m \x1b[2J\x1b]0;t\x07x") == "\x1b[1;31merror:\x1b[0m x"
    assert styled("\x1b[2K\x1b[1A\x1b]0;t\x07x", has_cursor=True) == "\x1b[2K\x1b[1Ax"


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1"])
def test_cells_of_text_tables_are_no_formulas_and_are_read_back_as_they_were(cell: str) -> None:
    assert inert_cell(cell) == f"'{cell}"
    assert without_guard(inert_cell(cell)) == cell


@pytest.mark.parametrize("cell", ["-1.5", "+3", "-1e-3", "C=O", "'quoted", "", "a=b"])
def test_other_cells_stay(cell: str) -> None:
    assert inert_cell(cell) == without_guard(cell) == cell


def test_environment_variables_are_not_changed() -> None:
    assert SECRET not in json.dumps(dict(os.environ))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain µm ±", "plain µm ±"),
        ("two\nlines\tand", "two\nlines\tand"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\x08\x7f\x9b2J", "a\\x0db\\x08\\x7f\\x9b2J"),
        ("abc\u202etxt", "abc\\u202etxt"),
    ],
)
def test_no_terminal_obeys_a_text_that_is_written_out(text, shown):
    assert written_out(text) == shown
