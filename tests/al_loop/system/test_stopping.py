"""Requests to stop, which signals make and loops look at."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from al_loop.system import stopping
from al_loop.system.stopping import FINISH_CALLS, LEAVE, STOP, URGENT, Stopped, StopRequest


@pytest.fixture(autouse=True)
def _usual_handlers() -> Iterator[None]:
    """The handlers of a process that nobody has changed; a job in the background ignores Ctrl-C."""
    usual = {number: signal.getsignal(number) for number in stopping.STOP_SIGNALS}
    for number in stopping.STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in usual.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_heeded_at_the_next_look(number: signal.Signals) -> None:
    with stopping.stop_on_signals():
        os.kill(os.getpid(), number)
        time.sleep(0.01)  # nothing is raised here
        with pytest.raises(Stopped) as stopped:
            stopping.look()
    assert stopped.value.signal_number == number


def test_a_signal_during_a_callback_of_the_garbage_collector_is_not_lost() -> None:
    def interrupt(phase: str, info: object) -> None:
        if phase == "start":
            os.kill(os.getpid(), signal.SIGTERM)

    with stopping.stop_on_signals():
        gc.callbacks.append(interrupt)
        try:
            gc.collect(0)
        finally:
            gc.callbacks.remove(interrupt)
        with pytest.raises(Stopped):
            stopping.look()


@pytest.mark.parametrize("wait", [lambda: stopping.pause(600), lambda: stopping.wait_for(lambda: False, 600)])
def test_waits_end_soon_after_a_signal(wait: Callable[[], object]) -> None:
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGTERM]).start()
    with pytest.raises(Stopped), stopping.stop_on_signals():
        wait()


def test_a_second_signal_interrupts_what_does_not_look() -> None:
    with stopping.stop_on_signals() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.level == STOP
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_second_signal_does_not_interrupt_the_cleaning_up_but_a_third_does() -> None:
    with stopping.stop_on_signals() as request:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            stopping.look()
        os.kill(os.getpid(), signal.SIGINT)
        assert (request.level, request.is_urgent) == (URGENT, True)
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)
        assert request.level == LEAVE


def test_a_signal_may_let_calls_finish_and_a_further_one_does_not() -> None:
    with stopping.stop_on_signals() as request:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert request.level == FINISH_CALLS
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.level == STOP


def test_ignored_signals_stay_ignored_and_all_handlers_are_put_back() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    with stopping.stop_on_signals() as request:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not request.is_made
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_a_notebook_ctrl_c_stops_and_handlers_of_others_are_left_alone() -> None:
    request, received = StopRequest(), list[int]()
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    with stopping.stop_on_unhandled_signals(request):
        os.kill(os.getpid(), signal.SIGTERM)
        stopping.look()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            stopping.look()
    assert received == [signal.SIGTERM]


def test_another_thread_has_its_own_request() -> None:
    ended = threading.Event()

    def work(request: StopRequest) -> None:
        with stopping.stop_on_unhandled_signals(request), pytest.raises(Stopped):
            stopping.pause(600)
        ended.set()

    request = StopRequest()
    threading.Thread(target=work, args=[request]).start()
    request.make()
    assert ended.wait(60)
    stopping.look()  # nothing was asked of this thread


def test_a_stop_that_takes_a_while_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_SILENT_S", 0.0)
    announced, messages = threading.Event(), list[str]()

    def announce(message: str) -> None:
        messages.append(message)
        announced.set()

    with stopping.stop_on_signals(announce):
        os.kill(os.getpid(), signal.SIGTERM)
        assert announced.wait(60)
    assert messages == ["SIGTERM: stopping after the current step; a second Ctrl-C or SIGTERM stops faster"]


def test_threads_that_do_not_end_are_given_up_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_JOIN_S", 0.3)
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait, args=[60], daemon=True) for _ in range(50)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    stopping.join_all(threads, StopRequest())
    gate.set()
    assert time.monotonic() - began < 50 * 0.3
