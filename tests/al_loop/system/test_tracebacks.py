"""Tracebacks of a user's code: their frames, without ours, whatever the error is like."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from al_loop.config.plugins import find, load_target
from al_loop.errors import ConfigError
from al_loop.oracles.base import Outcome, evaluate_all
from al_loop.oracles.wrap import oracle_from
from al_loop.system.tracebacks import describe_error, shorten, user_traceback

MODULE = """
def helper(word):
    return undefined_name

def misspelt(word):
    return helper(word)

def chained(word):
    try:
        open("/nowhere/at/all")
    except OSError as error:
        raise ValueError("no\\nsuch\\nfile") from error

def endless(word):
    return endless(word)

def long(word):
    raise ValueError("x" * 100_000)

class Nasty(Exception):
    def __str__(self):
        raise RuntimeError("no text")
    def __reduce__(self):
        raise RuntimeError("cannot be pickled")

def nasty(word):
    raise Nasty()

def cancelled(word):
    import asyncio
    raise asyncio.CancelledError

def package(word):
    import no_such_package_at_all
"""


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that calls a function of the user's module and returns the outcome."""
    (tmp_path / "users_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "users_module", raising=False)

    def call(name: str) -> Outcome:
        (outcome,) = evaluate_all(oracle_from(load_target(f"users_module:{name}")), ["CCO"])
        return outcome

    return call


@pytest.mark.parametrize(
    ("name", "reason", "line"),
    [
        ("misspelt", "NameError: name 'undefined_name' is not defined", 3),
        ("chained", "ValueError: no such file", 12),
        ("endless", "RecursionError: maximum recursion depth exceeded", 15),
        ("nasty", "Nasty: its message cannot be shown: RuntimeError", 27),
        ("cancelled", "CancelledError", 31),
        ("package", "ModuleNotFoundError: No module named 'no_such_package_at_all'", 34),
    ],
)
def test_a_failure_has_its_reason_place_and_traceback(
    answer, tmp_path: Path, name: str, reason: str, line: int
) -> None:
    outcome = answer(name)
    assert outcome.failure is not None
    assert outcome.failure.reason == reason
    error = outcome.info["error"]
    assert error["file"] == str(tmp_path / "users_module.py")
    assert error["line"] == line
    assert error["type"] == reason.partition(":")[0]
    text = error["traceback"]
    assert f'users_module.py", line {line}' in text
    assert "al_loop" not in text.replace(str(tmp_path), "")


def test_a_traceback_has_the_causes(answer) -> None:
    text = answer("chained").info["error"]["traceback"]
    assert "FileNotFoundError" in text
    assert "The above exception was the direct cause" in text


def test_a_huge_message_is_cut(answer) -> None:
    outcome = answer("long")
    assert len(outcome.failure.reason) < 700
    assert "(100,000 characters)" in outcome.failure.reason
    assert len(outcome.info["error"]["traceback"]) < 2_000
    assert "in long" in outcome.info["error"]["traceback"]


def test_an_error_of_al_loop_itself_keeps_its_frames() -> None:
    with pytest.raises(ConfigError) as caught:
        find("surrogate", "no_such_kind")
    error = caught.value.with_traceback(caught.tb.tb_next)  # without the frame of this test
    assert "in find" in user_traceback(error)
    assert describe_error(error).startswith("ConfigError: 'no_such_kind' is not one of")


def test_a_shortened_text_keeps_its_end() -> None:
    text = shorten("a" * 1000 + "the end", 100)
    assert text.endswith("the end")
    assert "907 characters left out" in text
    assert shorten("short", 100) == "short"
