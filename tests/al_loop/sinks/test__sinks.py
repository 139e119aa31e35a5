"""Sinks receive every call in order, and none of them can stop, slow or break a campaign."""

from __future__ import annotations

import queue
import sys
import threading

import pytest

from al_loop.errors import ConfigError
from al_loop.sinks import Sinks
from tests.support.sinks import CALLS, CONFIG, Recorder, tell


def test_every_sink_hears_everything_in_order() -> None:
    sinks = [Recorder(), Recorder()]
    tell(Sinks(sinks))
    assert [s.calls for s in sinks] == [CALLS, CALLS]


def test_without_sinks_nothing_runs() -> None:
    before = threading.active_count()
    sinks = Sinks([])
    sinks.begin("found", "uid1", CONFIG)
    assert threading.active_count() == before
    sinks.log(0, {"best": 1.0})
    sinks.end("finished")


def test_a_sink_that_raises_is_told_of_once_and_hinders_no_other() -> None:
    def refuse(method: str) -> None:
        if method in ("log", "note"):
            raise ValueError("no such metric\nand a page of details")

    notes: list[str] = []
    broken, well = Recorder(refuse), Recorder()
    tell(Sinks([broken, well], notes.append))
    assert notes == ["sink recorder fails (ValueError: no such metric); the campaign continues without it"]
    assert well.calls == CALLS
    assert broken.calls == [CALLS[0], CALLS[-1]]


def test_a_sink_that_exits_ends_nobody() -> None:
    notes: list[str] = []
    tell(Sinks([Recorder(lambda method: sys.exit("bye"))], notes.append))
    assert len(notes) == 1
    assert "SystemExit: bye" in notes[0]


def test_a_server_that_comes_up_late_gets_everything() -> None:
    tries: list[str] = []

    def refuse_twice(method: str) -> None:
        tries.append(method)
        if tries.count("begin") < 3:
            raise ConnectionError("refused")

    notes: list[str] = []
    arrived = threading.Event()
    sink = Recorder(lambda method: (refuse_twice(method), arrived.set() if method == "note" else None)[0])
    sinks = Sinks([sink], notes.append, retry_s=0.01)
    sinks.begin("found", "uid1", CONFIG)
    sinks.log(0, {"best": 0.0})
    sinks.log(1, {"best": 0.5})
    sinks.note("the space counts as exhausted")
    assert arrived.wait(300)
    sinks.end("finished")
    assert sink.calls == CALLS
    assert len(notes) == 1


def test_a_sink_that_hangs_keeps_nobody_waiting_and_loses_the_oldest() -> None:
    hangs, go_on = threading.Event(), threading.Event()
    heard: queue.Queue[str] = queue.Queue()

    def hang(method: str) -> None:
        if method == "log" and not go_on.is_set():
            hangs.set()
            go_on.wait(300)

    notes: list[str] = []
    slow, well = Recorder(hang), Recorder(heard.put)
    sinks = Sinks([slow, well], notes.append, capacity=3, patience_s=10)
    sinks.begin("found", "uid1", CONFIG)
    assert heard.get(timeout=300) == "begin"
    for number in range(9):
        sinks.log(number, {"best": 0.0})
        assert heard.get(timeout=300) == "log"
        assert hangs.wait(300)
    assert len(notes) == 1
    assert "sink recorder is too slow" in notes[0]
    go_on.set()
    sinks.end("finished")
    assert [c[1] for c in slow.calls if c[0] == "log"] == [0, 6, 7, 8]
    assert slow.calls[-1] == ("end", "finished")


def test_the_end_waits_a_bounded_time_and_says_what_is_lost() -> None:
    go_on = threading.Event()
    notes: list[str] = []
    sink = Recorder(lambda method: None if method == "begin" else (go_on.wait(300), None)[1])
    sinks = Sinks([sink], notes.append, patience_s=0.2)
    sinks.begin("found", "uid1", CONFIG)
    sinks.log(0, {"best": 0.0})
    sinks.end("stopped")
    assert not go_on.is_set()
    assert len(notes) == 1
    assert "did not end in time" in notes[0]
    go_on.set()


def test_a_campaign_may_begin_again_after_its_end() -> None:
    sink = Recorder()
    sinks = Sinks([sink])
    tell(sinks)
    sinks.log(7, {"best": 1.0})
    tell(sinks)
    assert sink.calls == CALLS + CALLS


def test_what_is_no_sink_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"str is not a subclass of al_loop\.sinks\.Sink"):
        Sinks(["mlflow"])  # type: ignore[list-item]
