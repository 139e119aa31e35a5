"""Real programs as oracles: their input, their answers, exit codes, files and arguments."""

import json
import os
import sys
from pathlib import Path

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles.base import Call, Fidelity, Objective, evaluate_all
from al_loop.oracles.command import Command
from al_loop.oracles.testing import OracleContract

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
        ("object,value\\na,1,5", "more fields than the header"),
        ("object,value\\na,nan", "not finite"),
        ("object,value\\na,1\\na,2", "twice"),
        ("object,value\\nb,1", "no answer"),
        ("object,value,failure\\na,1,burnt", "burnt"),
        ("object,value,failure\\na,1,TRUE", "no reason"),
        ("object,value,value\\na,1,2", "two columns"),
        ('object,value\\na,"5,5"', "write 5.5 with a decimal point"),
        ('object,value\\na,"1,234"', "may mean 1234 or 1.234"),
        ("object,value\\na,~5", "a bound"),
    ],
)
def test_what_is_no_answer_is_a_permanent_failure(printed, reason):
    (found,) = failure(python(f"print('{printed}')"))
    assert found.kind == "permanent"
    assert reason in found.reason


@pytest.mark.parametrize(
    "printed",
    [
        "object,value,failure\\na,5.5,FALSE",
        "object,value,failure\\na,5.5,no",
        "object,value,failure\\na,5.5,0",
        "object;value\\na;5,5",
        "object\\tvalue\\na\\t5,5",
        "\ufeffobject, value\\na, 5.5",
        "object,value\\na,5.5,,",
    ],
)
def test_tables_of_programs_in_other_notations(printed):
    assert [o.values for o in evaluate_all(python(f"print('{printed}')"), ["a"])] == [(5.5,)]


def test_garbage_in_json_lines_is_a_permanent_failure():
    for printed in ("{", "[1]", '{"value": 1}', '{"object": "a", "value": true}'):
        assert failure(python(f"print({printed!r})", format="jsonl"))[0].kind == "permanent"


def test_bytes_that_are_no_text_are_a_failure():
    code = "import sys; sys.stdout.buffer.write(bytes(range(256)))"
    assert failure(python(code))[0].kind == "permanent"


# ---- keys, fidelities, noise, artifacts -----------------------------------------------------------------------------


def test_the_program_is_told_the_key_of_each_object():
    code = """
import csv, os, sys
print("object,value,told,variable")
for row in csv.DictReader(sys.stdin):
    print(f"{row['object']},1,{row['key']},{os.environ.get('AL_LOOP_KEY')}")
"""
    oracle = python(code, call_size=2)
    (alone,) = evaluate_all(oracle, ["a"], Call({"a": "k1"}))
    assert alone.info == {"told": "k1", "variable": "k1"}
    both = evaluate_all(oracle, ["a", "b"], Call({"a": "k1", "b": "k2"}))
    assert [o.info for o in both] == [{"told": "k1", "variable": "None"}, {"told": "k2", "variable": "None"}]
    outside = [evaluate_all(oracle, ["a"])[0].info["told"] for _ in range(2)]
    assert len(set(outside) - {""}) == 2


def test_the_program_is_told_the_fidelity():
    code = (
        "import os, sys; print('object,value,told'); print(f'a,{len(sys.argv[1])},{os.environ[\"AL_LOOP_FIDELITY\"]}')"
    )
    oracle = python(code, "--level={fidelity}", fidelities={"high": 10.0, "low": 1.0})
    assert oracle.fidelities == (Fidelity("low", 1.0), Fidelity("high", 10.0))
    assert evaluate_all(oracle, ["a"])[0].info == {"told": "high"}
    (low,) = evaluate_all(oracle.at("low"), ["a"])
    assert (low.values, low.info) == ((float(len("--level=low")),), {"told": "low"})
    with pytest.raises(ValueError, match="low, high"):
        oracle.at("middle")


def test_noise_is_a_column_for_each_objective():
    code = "print('object,x,y,x_std,y_std\\na,1,2,0.1,0.2')"
    (outcome,) = evaluate_all(python(code, objectives=["x", "y"]), ["a"])
    assert (outcome.noise, outcome.info) == ((0.1, 0.2), {})
    (outcome,) = evaluate_all(python(code.replace("0.2", ""), objectives=["x", "y"]), ["a"])
    assert (outcome.values, outcome.noise) == ((1.0, 2.0), None)


WRITES_FILES = """
import os
os.mkdir("poses")
for path, text in [("poses/1.sdf", "one"), ("poses/2.sdf", "two"), ("pose[1].txt", "odd"), ("run.log", "log")]:
    open(path, "w").write(text)
"""


def test_files_by_pattern_are_kept():
    code = WRITES_FILES + "print('object,value\\na,1')"
    (outcome,) = evaluate_all(python(code, artifacts=["poses/*.sdf", "run.log", "none*"]), ["a"])
    assert outcome.artifacts == {"poses_1.sdf": b"one", "poses_2.sdf": b"two", "run.log": b"log"}
    assert "'none*'" in outcome.info["artifacts_lost"]


def test_files_of_a_failure_are_kept_too():
    (outcome,) = evaluate_all(python(WRITES_FILES + "raise SystemExit(3)", artifacts=["*.log"]), ["a"])
    assert "exit code 3" in outcome.failure.reason
    assert outcome.artifacts == {"run.log": b"log"}


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_files_that_the_program_names_are_kept_for_their_object(format):
    rows = {"a": ["poses/1.sdf", "pose[1].txt"], "b": ["poses/2.sdf"]}
    if format == "csv":
        table = "object,value,artifacts\n" + "".join(f"{name},1,{'; '.join(files)}\n" for name, files in rows.items())
    else:
        table = "".join(json.dumps({"object": n, "value": 1, "artifacts": files}) + "\n" for n, files in rows.items())
    first, second = evaluate_all(python(WRITES_FILES + f"print({table!r})", format=format, call_size=2), ["a", "b"])
    assert first.artifacts == {"poses_1.sdf": b"one", "pose[1].txt": b"odd"}
    assert second.artifacts == {"poses_2.sdf": b"two"}


def test_files_outside_of_the_folder_are_not_kept(tmp_path):
    (tmp_path / "secret").write_text("secret")
    code = f"import os; os.symlink({str(tmp_path / 'secret')!r}, 'link'); print('object,value,artifacts\\na,1,{{}}')"
    for named in (str(tmp_path / "secret"), os.path.relpath(tmp_path / "secret", "/tmp/x"), "link", "..", ""):
        (outcome,) = evaluate_all(python(code.format(named)), ["a"])
        assert (outcome.values, outcome.artifacts) == ((1.0,), {})
        assert ("artifacts_lost" in outcome.info) == bool(named)


def test_files_that_are_too_large_are_told(monkeypatch):
    monkeypatch.setattr("al_loop.oracles.command._LIMIT_MB", 1)
    code = "print('object,value\\na,1')\nfor name in 'xyz': open(name, 'w').write('x' * 400_000)"
    (outcome,) = evaluate_all(python(code, artifacts=["?"]), ["a"])
    assert sorted(outcome.artifacts) == ["x", "y"]
    assert "'z'" in outcome.info["artifacts_lost"]


# ---- folders and variables ------------------------------------------------------------------------------------------


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
    with pytest.raises(ConfigError, match="the program 'no-such-program' does not exist"):
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
        ({"command": ["x"], "objectives": ["a", "a"]}, "distinct"),
        ({"command": ["x"], "objectives": ["cost"]}, "none of them"),
        ({"command": ["x"], "objectives": ["a", "a_std"]}, "_std"),
        ({"command": ["x"], "timeout_s": 0.0}, "timeout_s"),
        ({"command": ["x"], "artifacts": ["*.sdf"], "call_size": 2}, "column 'artifacts'"),
        ({"command": ["x"], "artifacts": ["../*.sdf"]}, "own folder"),
        ({"command": ["x"], "artifacts": ["/etc/passwd"]}, "own folder"),
        ({"command": ["x", "{fidelity}"]}, "there are none"),
        ({"command": ["x"], "fidelities": {"low": -1.0}}, "low"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Command(**arguments)
