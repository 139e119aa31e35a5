"""The start of processes that import nothing of the user's by accident."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
#: the variable by which Python leaves the working directory out of its import path
SAFE_PATH = "PYTHONSAFEPATH"


@contextmanager
def isolated_spawn() -> Iterator[bool]:
    """Keep ``spawn`` from importing the user's files into the new process before it is ours.

    The process does not need the caller's main module: a notebook or a script without a ``__main__`` guard would start
    campaigns of its own. Nor does it look for the standard library in the working directory, where a user may have a
    ``queue.py``.

    Yields:
        Whether the user has set ``PYTHONSAFEPATH``.
    """
    with _LOCK:
        main = vars(sys.modules["__main__"])
        saved = {name: main[name] for name in ("__file__", "__spec__") if name in main}
        main["__spec__"] = None
        main.pop("__file__", None)
        has_safe_path = SAFE_PATH in os.environ
        os.environ.setdefault(SAFE_PATH, "1")
        try:
            yield has_safe_path
        finally:
            main.update(saved.items())
            if not has_safe_path:
                del os.environ[SAFE_PATH]
