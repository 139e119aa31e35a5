"""Real programs that misbehave, and programs whose answers are read while they run."""

import sys
from contextlib import suppress

import psutil
import pytest

from al_loop.oracles.base import Failure, evaluate_all, evaluate_each
from al_loop.oracles.command import Command
from tests.support.placed import wait_until_ended


def python(code, *arguments, **options):
    return Command([sys.executable, "-c", code, *arguments], **options)


def failure(oracle, *objects):
    return [o.failure for o in evaluate_all(oracle, objects or ["a"])]


# ---- programs that do not behave ------------------------------------------------------------------------------------


def is_dead(pid):
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_what_was_cut_off_when_the_program_died_is_no_value():
    """``a,12`` may be the first half of ``a,123``."""
    code = "import os; os.write(1, b'object,value\\nb,1\\na,12'); os._exit(75)"
    first, second = evaluate_all(python(code, call_size=2), ["a", "b"])
    assert first.failure.kind == "retryable"
    assert second.values == (1.0,)
    well = "import os; os.write(1, b'object,value\\na,12')"
    assert evaluate_all(python(well), ["a"])[0].values == (12.0,)


def test_what_was_cut_off_in_a_file_is_no_value_either():
    code = "import os, sys; open(sys.argv[1], 'w').write('object,value\\na,12'); os._exit(int(sys.argv[2]))"
    assert failure(python(code, "{output}", "1"))[0].kind == "permanent"
    assert evaluate_all(python(code, "{output}", "0"), ["a"])[0].values == (12.0,)


def test_a_program_that_never_reads_its_input_does_not_block():
    objects = [f"{'x' * 1000}{i}" for i in range(1000)]  # far more than a pipe holds
    code = f"print('object,value'); print({objects[0]!r} + ',1')"
    first, second, *_ = evaluate_all(python(code, call_size=1000), objects)
    assert first.values == (1.0,)
    assert "no answer" in second.failure.reason


def test_a_program_that_closes_its_output_early_is_waited_for():
    code = "import os, time; os.write(1, b'object,value\\na,1\\n'); os.close(1); os.close(2); time.sleep(0.3); "
    code += "os._exit({})"
    assert evaluate_all(python(code.format(0)), ["a"])[0].values == (1.0,)
    (first, second) = evaluate_all(python(code.format(75), call_size=2), ["a", "b"])
    assert first.values == (1.0,)
    assert "exit code 75" in second.failure.reason
    shell = ["/bin/sh", "-c", "exec 1>&- 2>&-; sleep 600"]
    assert failure(Command(shell, timeout_s=1))[0].kind == "timeout"


def test_what_a_program_leaves_running_with_its_output_open_is_not_waited_for(tmp_path):
    code = f"""
import subprocess, sys
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open({str(tmp_path / "pid")!r}, "w").write(str(left.pid))
print("object,value\\na,1")
"""
    try:
        assert evaluate_all(python(code, timeout_s=300), ["a"])[0].values == (1.0,)
        assert not is_dead(int((tmp_path / "pid").read_text())), "nothing was left running, so nothing was tested"
    finally:
        psutil.Process(int((tmp_path / "pid").read_text())).kill()


def test_what_goes_on_to_write_behind_a_program_that_has_ended_is_not_listened_to(monkeypatch):
    monkeypatch.setattr(
        "al_loop.oracles._io.subprocess_runner._CHUNK", 1
    )  # so slow a reader never finds the pipe empty
    shell = ["/bin/sh", "-c", "yes >&2 & echo object,value; echo a,1"]
    assert evaluate_all(Command(shell, timeout_s=300), ["a"])[0].values == (1.0,)


@pytest.mark.parametrize("output", ["stdout", "{output}"])
def test_a_program_that_writes_without_end_is_ended(monkeypatch, output):
    monkeypatch.setattr("al_loop.oracles.command._LIMIT_MB", 1)
    if output == "stdout":
        oracle = python("import os\nwhile True: os.write(1, b'x' * 4096)")
    else:
        oracle = python("import sys; open(sys.argv[1], 'w').write('x' * 2_000_000)", output)
    (found,) = failure(oracle)
    assert found.kind == "permanent"
    assert "1 MB" in found.reason


def test_what_is_written_to_stderr_without_end_is_read_and_forgotten():
    code = "import os\nfor _ in range(1000): os.write(2, b'x' * 10_000)\nos.write(2, b'the end'); raise SystemExit(1)"
    (found,) = failure(python(code))
    assert found.reason.endswith("the end")
    assert len(found.reason) < 400


def test_a_mark_of_the_byte_order_does_not_matter():
    code = "import os; os.write(1, b'\\xef\\xbb\\xbfobject,value\\r\\na,1\\r\\n')"
    assert evaluate_all(python(code), ["a"])[0].values == (1.0,)


def test_text_in_another_encoding_fails_its_object_alone():
    code = "import os; os.write(1, 'object,value\\né,1\\na,2\\n'.encode('latin-1'))"
    first, second = evaluate_all(python(code, call_size=2), ["é", "a"])
    assert first.failure.kind == "permanent"
    assert second.values == (2.0,)


def test_an_object_that_cannot_be_an_argument_is_invalid():
    assert failure(python("", "{object}"), "a\0b")[0].kind == "invalid"


def test_a_program_that_has_gone_since_the_check_is_a_failure_of_the_environment(tmp_path):
    (found,) = failure(Command([str(tmp_path / "gone")]))
    assert found == Failure("environment", "the program cannot be started: No such file or directory")


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    # a shell starts in milliseconds, also on a busy machine
    code = 'setsid sleep 600 & echo $! > "$0"; exec sleep 600'
    (found,) = failure(Command(["/bin/sh", "-c", code, str(tmp_path / "pid")], timeout_s=3))
    assert found.kind == "timeout"
    wait_until_ended(int((tmp_path / "pid").read_text()))


# ---- answers as they come -------------------------------------------------------------------------------------------

WAITS = """
import os, sys, time
with open(sys.argv[1] + "/pid", "w") as file:
    file.write(str(os.getpid()))
print("object,value\\na,1", flush=True)
while not os.path.exists(sys.argv[1] + "/go"):
    time.sleep(0.02)
print("b,2")
"""


def test_an_answer_is_handed_on_while_the_program_goes_on(tmp_path):
    answers = evaluate_each(python(WAITS, str(tmp_path), call_size=2, timeout_s=60), ["a", "b"])
    assert next(answers).values == (1.0,)
    (tmp_path / "go").touch()  # it would wait for ever if the first answer were held back
    assert next(answers).values == (2.0,)


def test_a_call_that_is_abandoned_ends_the_program_and_leaves_the_oracle_usable(tmp_path):
    (tmp_path / "calls").mkdir()
    oracle = python(WAITS, str(tmp_path), call_size=2, timeout_s=60, folder=str(tmp_path / "calls"))
    answers = evaluate_each(oracle, ["a", "b"])
    next(answers)
    answers.close()
    wait_until_ended(int((tmp_path / "pid").read_text()))
    assert list((tmp_path / "calls").iterdir()) == []
    (tmp_path / "go").touch()
    assert [o.values for o in evaluate_all(oracle, ["a", "b"])] == [(1.0,), (2.0,)]


def test_what_was_answered_before_the_time_was_up_is_kept():
    shell = ["/bin/sh", "-c", "echo object,value; echo a,1; exec sleep 600"]
    first, second = evaluate_all(Command(shell, call_size=2, timeout_s=1), ["a", "b"])
    assert first.values == (1.0,)
    assert second.failure.kind == "timeout"


def test_answers_may_come_in_any_order():
    code = "print('object,value\\nc,3\\na,1\\nb,2')"
    assert [o.values for o in evaluate_all(python(code, call_size=3), ["a", "b", "c"])] == [(1.0,), (2.0,), (3.0,)]


def test_a_row_that_cannot_be_read_spares_those_before_it():
    code = "print('object,value\\na,1\\nb,2\\nb,3\\nc,4')"
    first, second, third = evaluate_all(python(code, call_size=3), ["a", "c", "b"])
    assert first.values == (1.0,)
    assert [second.failure.kind, third.failure.kind] == ["permanent", "permanent"]
