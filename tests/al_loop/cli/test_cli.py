"""The command line: what each command prints, and with which code it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from al_loop.analysis import open_run
from al_loop.cli import app
from al_loop.cli.terminal import make_reporter

ROOT = Path(__file__).parents[3]
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a config and an oracle beside it."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "cli_oracle.py").write_text(ORACLE)
    (folder / "tiny.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def finished(folder: Path) -> str:
    """A finished run, by its directory."""
    result = CliRunner().invoke(app, ["run", str(folder / "tiny.yaml"), "--run-dir", str(folder / "done")])
    assert result.exit_code == 0, result.output
    return str(folder / "done")


def call(*arguments: str) -> tuple[int, str, list[str]]:
    """Exit code, standard output, and the lines of standard error."""
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr.splitlines()


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["run", "--help"], ["--version"]])
def test_what_needs_no_parts_loads_neither_torch_nor_ray(arguments: list[str]) -> None:
    code = (
        "import sys; from al_loop.cli import main\n"
        f"sys.argv = ['al-loop', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "loaded = {'torch', 'ray', 'botorch', 'pandas', 'rdkit'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_list_names_every_section_and_part() -> None:
    code, out, _ = call("list")
    assert code == 0
    for word in (
        "environment",
        "fragments",
        "oracle",
        "xtb",
        "surrogate",
        "gp",
        "acquisition",
        "ucb",
        "selector",
        "qed",
    ):
        assert word in out


def test_shipped_configs_are_valid_by_the_schema_and_a_typo_is_not() -> None:
    code, out, _ = call("schema")
    schema = json.loads(out)
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(schema)
    configs = sorted((ROOT / "configs").glob("*.yaml"))
    assert configs
    for path in configs:
        content = yaml.safe_load(path.read_text())
        jsonschema.validate(content, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**content, "surogate": {"kind": "gp"}}, schema)


def test_check_builds_the_parts_and_calls_the_oracle_once(folder: Path) -> None:
    log = folder / "check.log"
    code, out, err = call("check", "tiny.yaml", f"oracle.log={log}", "evaluation.cost=2.5")
    assert (code, err) == (0, [])
    assert "parameters" in out
    assert "14 calls x cost 2.5 = 35" in out
    assert len(log.read_text().split()) == 1
    assert not (folder / "runs").exists()


def test_check_without_oracle_calls_none(folder: Path) -> None:
    log = folder / "none.log"
    assert call("check", "tiny.yaml", f"oracle.log={log}", "--no-oracle")[0] == 0
    assert not log.exists()


def test_check_says_why_the_oracle_fails() -> None:
    code, _, err = call("check", "tiny.yaml", 'oracle={target: "cli_oracle:cli_broken"}')
    assert code == 1
    assert len(err) == 1
    assert "the furnace is cold" in err[0]


def test_a_run_reaches_its_end_and_is_then_finished(finished: str) -> None:
    code, out, err = call("run", "tiny.yaml", "--run-dir", finished)
    assert (code, err) == (0, [])
    assert "is finished: 3 rounds, 14 answers" in out
    with open_run(finished) as run:
        assert run.status().state == "finished"
        assert run.status().calls == 14


def test_quiet_says_a_line_a_round(folder: Path) -> None:
    code, out, _ = call("run", "tiny.yaml", "-q", "--run-dir", str(folder / "quiet"))
    lines = out.splitlines()
    assert code == 0
    assert ["round 0" in lines[0], "round 1" in lines[1], "round 2" in lines[2], "done" in lines[3]] == [True] * 4
    assert len(lines) == 4


def test_status_and_export(finished: str, folder: Path) -> None:
    code, out, _ = call("status", finished)
    assert code == 0
    for fact in ("tiny, finished", "3 of 3 closed", "14 of 14", "maximise cli_score"):
        assert fact in out
    for name, read in (("t.csv", pd.read_csv), ("t.parquet", pd.read_parquet)):
        assert call("export", finished, "-o", name)[0] == 0
        assert len(read(folder / name)) == 14
    assert call("export", finished, "--format", "parquet")[0] == 0
    assert (folder / "tiny.parquet").is_file()
    assert call("export", finished, "-o", "no/such/folder.csv")[0] == 2
    code, _, err = call("status", "nowhere")
    assert code == 2
    assert len(err) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tiny.yaml", "sampler.stpes=3"], ["sampler.stpes", "did you mean 'steps'"]),
        (["tiny.yaml", "rounds.count=many"], ["rounds.count", "'many'"]),
        (["tiny.yaml", "surrogate.kind=gpp"], ["surrogate.kind", "'gpp'", "gp"]),
        (
            ["tiny.yaml", "oracle.target=no_such_module:f"],
            ["oracle.target", "no_such_module", "the folder of the config"],
        ),
        (["tiny.yaml", "oracle.target=cli_oracle:nothing"], ["oracle.target", "cli_oracle", "nothing"]),
        (["tiny.yaml", "rounds"], ["'rounds'", "key=value"]),
        (["broken.yaml"], ["broken.yaml", "line 3"]),
        (["typo.yaml"], ["typo.yaml, line 8", "rouns"]),
        (["missing.yaml"], ["missing.yaml", "No such file"]),
        (["tiny.yaml", "--run-dir", "tiny.yaml/run"], ["tiny.yaml/run", "--run-dir"]),
        (["tiny.yaml", "ledger=oracle://x"], ["ledger", "oracle", "sqlite"]),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], expected: list[str], folder: Path) -> None:
    (folder / "broken.yaml").write_text("name: a\nenvironment: {kind: [\n")
    (folder / "typo.yaml").write_text(CONFIG + "rouns: 3\n")
    code, out, err = call("run", *arguments)
    assert (code, out) == (2, "")
    assert len(err) == 1, err
    assert err[0].startswith("error: ")
    for word in expected:
        assert word in err[0]


@pytest.fixture
def words(folder: Path) -> str:
    """A data set of words in which A and C take turns with G and U."""
    lines = [a + b + c + a + b + c for a in "AC" for b in "GU" for c in "AC"] * 4
    (folder / "words.txt").write_text("\n".join([*lines, "not a word"]))
    return "data=words.txt"


def test_a_pretrained_prior_starts_a_campaign(words: str, folder: Path) -> None:
    code, out, err = call("pretrain", "tiny.yaml", words, "steps=20", "lr=0.01", "batch_size=8", "-o", "words.pt")
    assert (code, err) == (0, [])
    assert "32 of 33 objects are in the space" in out
    assert "'not a word' has letters" in out
    assert "step 20 of 20: validation" in out
    assert out.splitlines()[-1] == "sampler: {prior: words.pt}"
    prior = "sampler.prior=words.pt"
    assert call("check", "tiny.yaml", prior, "--no-oracle")[0] == 0
    assert call("run", "tiny.yaml", prior, "-q", "--run-dir", str(folder / "prior"))[0] == 0
    for change, reason in (("sampler.hidden=9", "does not fit"), ("environment.alphabet=ACGT", "was made for")):
        code, _, err = call("run", "tiny.yaml", prior, change, "--run-dir", str(folder / reason))
        assert (code, len(err)) == (2, 1)
        assert reason in err[0]
        assert "words.pt" in err[0]
    # some of the data, by seed
    code, out, _ = call("pretrain", "tiny.yaml", words, "steps=1", "limit=8", "-o", "some.pt")
    assert code == 0
    assert "of 8 objects" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["data: missing", "data=FILE"]),
        (["data=nowhere.txt"], ["nowhere.txt", "No such file"]),
        (["data=empty.txt"], ["empty.txt", "contains no objects"]),
        (["data=foreign.txt"], ["none of 1 objects", "'XYZ'"]),
        (["data=words.txt", "steps=many"], ["steps", "'many'", "whole number"]),
        (["data=words.txt", "stpes=3"], ["stpes", "did you mean 'steps'"]),
        (["data=words.txt", "sampler.hiden=3"], ["sampler.hiden", "did you mean 'hidden'"]),
        (["data=words.txt", "-o", "no/such/folder.pt"], ["no/such/folder.pt", "-o"]),
        (["data=words.txt", "sampler.device=cuda:77"], ["sampler.device", "cuda:77"]),
    ],
)
def test_what_cannot_be_pretrained_is_one_clear_line(
    arguments: list[str], expected: list[str], words: str, folder: Path
) -> None:
    (folder / "empty.txt").write_text("\n\n")
    (folder / "foreign.txt").write_text("XYZ\n")
    code, out, err = call("pretrain", "tiny.yaml", *arguments)
    assert (code, out) == (2, "")
    assert len(err) == 1, err
    for word in expected:
        assert word in err[0]
    assert not (folder / "prior.pt").exists()


def test_the_ledger_of_another_campaign_is_left_alone(finished: str) -> None:
    code, _, err = call("run", "tiny.yaml", "seed=5", "--run-dir", finished)
    assert code == 2
    assert len(err) == 1
    assert "--run-dir" in err[0]


def test_an_oracle_that_answers_nothing_ends_with_an_explanation(folder: Path) -> None:
    broken = 'oracle={target: "cli_oracle:cli_broken"}'
    code, _, err = call("run", "tiny.yaml", broken, "--run-dir", str(folder / "broken"))
    assert code == 1
    assert len(err) == 1
    assert "no value for any of 6 objects" in err[0]
    assert "the furnace is cold" in err[0]


def test_a_bug_ends_with_a_traceback_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from al_loop.config import plugins as parts

    monkeypatch.setattr(parts, "built_in", lambda section: 1 / 0)
    code, _, err = call("list")
    assert code == 1
    assert "Traceback" in err[0]
    assert "bug" in err[-1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on_with_the_same_command(number: signal.Signals, code: int, folder: Path) -> None:
    run_dir, log = folder / f"stop-{code}", folder / f"stop-{code}.log"
    command = [sys.executable, "-m", "al_loop.cli", "run", "tiny.yaml", "oracle.pause=0.15", f"oracle.log={log}"]
    command += ["--run-dir", str(run_dir)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_ctrl_c
    )
    deadline = time.monotonic() + 120
    while not (log.exists() and len(log.read_text().split()) >= 3):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert len(err.splitlines()) == 1
    assert "safe" in err
    assert "tiny.yaml" in err
    with open_run(run_dir) as run:
        in_flight = {c.object for c in run.ledger.in_flight()}
        first = run.evaluations
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    called = Counter(log.read_text().split())
    assert {name for name, n in called.items() if n > 1} <= in_flight
    with open_run(run_dir) as run:
        assert run.status().state == "finished"
        pd.testing.assert_frame_equal(run.evaluations.loc[first.index], first)


def lines(*arguments: str) -> tuple[int, list[str], list[str]]:
    """Exit code, and the lines of standard output and standard error."""
    code, out, err = call(*arguments)
    return code, out.splitlines(), err


@pytest.fixture(scope="module")
def lab(folder: Path) -> Path:
    """A run that people answer, with its first batch of 6 proposed."""
    from al_loop import Campaign, load_config

    run_dir = folder / "lab"
    settings = ["oracle={kind: human, objectives: [{name: kd, unit: nM, goal: minimise}]}", "rounds.close_share=0.5"]
    with Campaign(load_config(folder / "tiny.yaml", settings), run_dir) as campaign:
        assert campaign.advance() == 6
    return run_dir


def test_people_are_asked_and_tell_and_the_next_batch_follows_without_a_running_campaign(lab: Path) -> None:
    code, out, _ = lines("ask", str(lab), "-n", "4", "-o", str(lab / "batch.csv"))
    assert code == 0
    assert "4 objects" in out[0]
    table = pd.read_csv(lab / "batch.csv")
    assert list(table.columns)[:2] == ["id", "sequence"]
    assert "kd (nM)" in table.columns
    code, _, err = lines("ask", str(lab), "-o", str(lab / "batch.csv"))
    assert (code, "is there already" in err[0]) == (2, True)

    table["kd (nM)"] = [5.0, 6.0, 7.0, None]
    table.to_csv(lab / "results.csv", index=False)
    code, _, err = lines("tell", str(lab), str(lab / "results.csv"))
    assert (code, "nobody is there to confirm" in err[-1]) == (2, True)
    code, out, _ = lines("tell", str(lab), str(lab / "results.csv"), "--dry-run")
    assert (code, out[-1]) == (0, "3 results would be committed")
    code, out, _ = lines("tell", str(lab), str(lab / "results.csv"), "--yes")
    assert (code, out[-1]) == (0, "committed: 3 results; 3 candidates are pending")
    code, out, _ = lines("tell", str(lab), str(lab / "results.csv"), "--yes")
    assert (code, out[-1]) == (0, "nothing new to commit")

    code, out, _ = lines("ask", str(lab), "--again")
    assert code == 0
    assert len(out) == 2, "the one of the four that has no result"
    # half of the first batch is back, so that the second is decided on: two are left of the first, four are new
    code, out, _ = lines("ask", str(lab), "-n", "6")
    assert code == 0
    assert [line.split(",")[2] for line in out[1:]] == ["0", "0", "1", "1", "1", "1"]
    assert all(line.split(",")[3] for line in out[3:]), "what is predicted of each stands in the table"
    code, _, err = lines("ask", str(lab))
    assert code == 1
    assert "7 are being measured (--again shows them)" in err[-1]


def test_status_says_how_often_and_why_the_oracle_failed(folder: Path) -> None:
    settings = ["oracle.target=cli_oracle:cli_picky", "rounds.count=0", "seed=3"]
    code, _, err = call("run", "tiny.yaml", *settings, "--run-dir", str(folder / "picky"), "--quiet")
    assert code == 0, err
    _, out, _ = lines("status", str(folder / "picky"))
    (line,) = [line for line in out if line.startswith("failures")]
    with open_run(folder / "picky") as run:
        n = int(run.evaluations["failure"].count())
    assert 0 < n < 6
    assert f"{n} permanent; {n} of them: ValueError: too many A" in line


def test_a_table_with_a_problem_commits_nothing(lab: Path) -> None:
    (lab / "bad.csv").write_text("id,kd (nM)\n4,3.5\n99,1\n")
    with open_run(lab) as run:
        before = len(run.evaluations)
    code, out, err = lines("tell", str(lab), str(lab / "bad.csv"), "--yes")
    assert code == 2
    assert any("id 99 is not in this run" in line for line in out)
    assert "nothing was committed" in err[-1]
    with open_run(lab) as run:
        assert len(run.evaluations) == before


def test_a_run_that_is_not_there_can_neither_ask_nor_be_told(folder: Path) -> None:
    for command in (("ask", "nowhere"), ("tell", "nowhere", "results.csv")):
        code, _, err = lines(*command)
        assert code == 2
        assert "there is no such run" in err[0]


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it


def test_the_table_fits_a_terminal_of_100_columns() -> None:
    import io

    from rich.console import Console

    from al_loop.cli.terminal import CampaignFacts
    from al_loop.monitoring.round_summary import RoundSummary
    from al_loop.oracles.base import Objective

    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100, color_system=None, legacy_windows=False)
    with make_reporter(quiet=False, verbose=False, console=console) as reporter:
        reporter.begin(CampaignFacts("x", [Objective("score", "kcal/mol", "minimise")], 3, 99, 7, "runs/x"))
        seconds = {"fit": 12.3, "train": 123.4, "select": 1.0, "evaluate": 4321.0}
        for number in range(2):
            reporter.round(RoundSummary(number, 99_999, 12 * number, -1234.5, -1000.0, 0.81, 16, -0.53, seconds))
        reporter.note("a note")
        reporter.end(99, [("CCO", (-1234.5,))], 75.0)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text.getvalue()).splitlines()  # without cursor movements
    rows = [line for line in lines if "99999" in line]
    assert len(rows) == 2
    assert all(len(line) <= 100 for line in rows)
    assert "12 failed" in rows[1]
    assert sum("scaff." in line for line in lines) == 1
    assert any("going on after 7" in line for line in lines)
    assert any("al-loop export runs/x" in line for line in lines)
