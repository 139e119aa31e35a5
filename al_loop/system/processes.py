"""Termination and memory of a process together with all processes that it started."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Make this process the parent of its descendants' orphans (Linux), so that ``end_tree`` still finds them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_tree(pid: int) -> None:
    """Kill a process and all its descendants, including those in other sessions and process groups, but not this one.

    The tree is stopped first, from the root down, so that it cannot grow while it is being traversed. This process may
    be part of it: a watchdog is, for a moment, a descendant of the worker that it may have to end at once.

    Args:
        pid: the process at the root of the tree.
    """
    stopped: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        pending = [psutil.Process(pid)]
        while pending:
            process = pending.pop()
            if process.pid == os.getpid():
                continue
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(signal.SIGSTOP)
                stopped.append(process)
                pending += process.children()
    for process in reversed(stopped):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()


def end_descendants() -> None:
    """Kill all descendants of this process."""
    for child in psutil.Process().children():
        end_tree(child.pid)


def tree_memory(pid: int) -> int:
    """Return the resident memory of a process and its descendants in bytes; shared pages count for each process."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_info().rss
    return total
