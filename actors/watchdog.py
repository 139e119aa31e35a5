"""A process that ends an oracle's worker once its driver is gone.

A thread of the worker cannot do that while the oracle holds the interpreter in native code, for minutes perhaps; such
workers would compete with those of the next start. The process is small, since it is forked before anything is
imported. It is no child of the worker, whose oracle may wait for its own children.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from al_loop.storage.bounded_log import BoundedLog
from al_loop.system.processes import end_tree

_POLL_S = 0.5  # between two looks at the worker and the size of its log
_MAX_FILES = 1 << 16  # of which the process may have inherited some


def start_watchdog(lifeline: int, log: Path | None = None) -> None:
    """Start the process. Call this before any thread is started.

    Args:
        lifeline: the number of a file that reads as ended when the driver has ended.
        log: the worker's log, whose size is bounded also while the oracle holds the interpreter.
    """
    worker = os.getpid()
    child = os.fork()
    if child:
        with suppress(ChildProcessError, InterruptedError):
            os.waitpid(child, 0)
        return
    try:  # fork again, so that the process is an orphan
        if os.fork() == 0:
            _watch(lifeline, worker, None if log is None else BoundedLog(log))
    finally:
        os._exit(0)


def _watch(lifeline: int, worker: int, log: BoundedLog | None) -> None:
    """Wait until the driver or the worker is gone; in the first case end the worker and all that it has started."""
    os.setsid()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    # an open copy of the worker's connection would hide its end from the driver
    os.closerange(3, lifeline)
    os.closerange(lifeline + 1, _MAX_FILES)
    process = psutil.Process(worker)
    while not select.select([lifeline], [], [], _POLL_S)[0]:
        if log is not None:
            log.trim()
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return
    if process.is_running():
        end_tree(worker)
