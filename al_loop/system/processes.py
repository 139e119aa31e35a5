"""Ending a process together with all that it started."""

from __future__ import annotations

import ctypes
import signal
import sys
from contextlib import suppress

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants' orphans (Linux), so that end_tree still finds them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_tree(pid: int) -> None:
    """Kills a process and every descendant, also those in sessions and process groups of their own.

    The tree is stopped first, from the root down, so that nothing is started while it is being walked.
    """
    found: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        waiting = [psutil.Process(pid)]
        while waiting:
            process = waiting.pop()
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(signal.SIGSTOP)
                found.append(process)
                waiting += process.children()
    for process in reversed(found):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()


def end_descendants() -> None:
    """Kills all that this process has started, but not itself."""
    for child in psutil.Process().children():
        end_tree(child.pid)


def tree_memory(pid: int) -> int:
    """Bytes of memory that a process and its descendants hold (resident; what they share counts for each)."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_info().rss
    return total
