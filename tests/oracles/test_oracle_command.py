"""Real programs as oracles: what goes in, what comes out, and every way in which they go wrong."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from al_loop.errors import ConfigError
from oracles.base import Objective, evaluate_all
from oracles.command import Command
from oracles.testing import OracleContract

LENGTHS = """
import csv, sys
rows = list(csv.DictReader(sys.stdin))
out = csv.writer(sys.stdout)
out.writerow(["object", "value", "failure", "reason", "note"])
for row in rows:
    bad = not row["object"].isalpha()
    failure = ["invalid", "not a word"] if bad else ["", ""]
    out.writerow([row["object"], "" if bad else len(row["object"]), *failure, "n"])
"""
LINES = """
import json, sys
with open(sys.argv[1]) as given, open(sys.argv[2], "w") as out:
    for line in given:
        name = json.loads(line)["object"]
        print(json.dumps({"object": name, "n": len(name), "n_a": name.count("a"), "cost": 2.5}), file=out)
"""


def python(code, *arguments, **options):
    return Command([sys.executable, "-c", code, *arguments], **options)


class TestContract(OracleContract):
    valid = ("a", "abc", "ab")
    invalid = ("", "1 2", 'a,"b"', "line\nbreak")

    def make(self):
        return python(LENGTHS, call_size=4)


class TestLinesContract(OracleContract):
    valid = ("a", "abc", "bb", '"; rm -rf / #', "line\nbreak", "é{input}")

    def make(self):
        objectives = ["n", Objective("n_a", goal="minimise")]
        return python(LINES, "{input}", "{output}", format="jsonl", objectives=objectives, call_size=8)


def failure(oracle, *objects):
    return [o.failure for o in evaluate_all(oracle, objects or ["a"])]


def test_costs_and_other_columns_are_kept():
    (outcome,) = evaluate_all(python(LENGTHS), ["abc"])
    assert outcome.values == (3.0,)
    assert outcome.info == {"note": "n"}
    oracle = python(LINES, "{input}", "{output}", format="jsonl", objectives=["n", "n_a"])
    assert evaluate_all(oracle, ["aba"])[0].cost == 2.5


def test_the_object_is_one_argument_and_no_shell_sees_it():
    code = "import sys; print('object,value'); print(f'{sys.argv[1]},{len(sys.argv)}')"
    (outcome,) = evaluate_all(python(code, "{object}"), ["$(id); `id` | & > x"])
    assert outcome.values == (2.0,)


@pytest.mark.parametrize(
    ("code", "kind"), [(1, "permanent"), (2, "invalid"), (3, "timeout"), (75, "retryable"), (127, "permanent")]
)
def test_exit_codes_are_failure_kinds(code, kind):
    oracle = python(f"import sys; sys.exit({code})", exit_codes={2: "invalid", 3: "timeout"})
    (found,) = failure(oracle)
    assert found.kind == kind
    assert f"exit code {code}" in found.reason


def test_a_crash_may_be_tried_again():
    (found,) = failure(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
    assert found.kind == "retryable"
    assert "signal 11" in found.reason


def test_what_the_program_printed_is_the_reason():
    (found,) = failure(python("raise RuntimeError('no licence left')"))
    assert "no licence left" in found.reason


def test_answers_given_before_a_crash_are_kept():
    code = "print('object,value\\na,1', flush=True); raise SystemExit(75)"
    first, second = evaluate_all(python(code, call_size=2), ["a", "b"])
    assert first.values == (1.0,)
    assert second.failure.kind == "retryable"


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("", "no answer"),
        ("garbage", "lacks object, value"),
        ("object,value\\na,many", "'many' for value"),
        ("object,value\\na", "None for value"),
        ("object,value\\na,nan", "not finite"),
        ("object,value\\na,1\\na,2", "twice"),
        ("object,value\\nb,1", "no answer"),
        ("object,value,failure\\na,1,burnt", "burnt"),
    ],
)
def test_what_is_no_answer_is_a_permanent_failure(printed, reason):
    (found,) = failure(python(f"print('{printed}')"))
    assert found.kind == "permanent"
    assert reason in found.reason


def test_garbage_in_json_lines_is_a_permanent_failure():
    for printed in ("{", "[1]", '{"value": 1}', '{"object": "a", "value": true}'):
        assert failure(python(f"print({printed!r})", format="jsonl"))[0].kind == "permanent"


def test_bytes_that_are_no_text_are_a_failure():
    code = "import sys; sys.stdout.buffer.write(bytes(range(256)))"
    assert failure(python(code))[0].kind == "permanent"


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
time.sleep(600)
"""
    (found,) = failure(python(code, timeout_s=3))
    assert found.kind == "timeout"
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    pytest.fail("its child is alive")


def test_each_call_has_an_empty_folder_of_its_own(tmp_path):
    code = "import os; print('object,value'); print(f'a,{len(os.listdir())}'); open('left', 'w')"
    oracle = python(code, folder=str(tmp_path))
    assert [evaluate_all(oracle, ["a"])[0].values for _ in range(2)] == [(0.0,), (0.0,)]
    assert list(tmp_path.iterdir()) == []


def test_folders_stay_where_that_is_asked(tmp_path):
    evaluate_all(python("raise SystemExit(1)", folder=str(tmp_path), keep="failed"), ["a"])
    evaluate_all(python("print('object,value\\na,1')", folder=str(tmp_path), keep="failed"), ["a"])
    assert len(list(tmp_path.iterdir())) == 1


def test_variables_reach_the_program():
    code = "import os; print('object,value'); print('a,' + os.environ['N_STEPS'])"
    assert evaluate_all(python(code, variables={"N_STEPS": "7"}), ["a"])[0].values == (7.0,)


def test_relative_programs_are_found_from_where_the_campaign_starts(tmp_path, monkeypatch):
    program = tmp_path / "score.sh"
    program.write_text("#!/bin/sh\necho object,value\necho a,5\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for command in (["./score.sh"], ["/bin/sh", "{here}/score.sh"]):
        oracle = Command(command)
        oracle.check()
        assert evaluate_all(oracle, ["a"])[0].values == (5.0,)


def test_a_program_or_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no program 'no-such-program'"):
        Command(["no-such-program"]).check()
    with pytest.raises(ConfigError, match="folder"):
        Command([sys.executable], folder=str(Path(tmp_path, "gone"))).check()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"command": []}, "empty"),
        ({"command": ["x"], "call_size": 0}, "call_size"),
        ({"command": ["x", "{object}"], "call_size": 2}, "one object"),
        ({"command": ["x"], "objectives": []}, "none"),
        ({"command": ["x"], "objectives": ["a", "a"]}, "different"),
        ({"command": ["x"], "objectives": ["cost"]}, "none of them"),
        ({"command": ["x"], "timeout_s": 0.0}, "timeout_s"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Command(**arguments)
