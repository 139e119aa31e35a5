"""Group commit: what many threads bring at the same time is written in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Entry(Generic[Item, Result]):
    """An item on its way into the ledger, and the result of writing it."""

    item: Item
    result: Result | None = None
    error: BaseException | None = None
    is_done: bool = False


class GroupCommit(Generic[Item, Result]):
    """Collects the items of threads that wait for one another, and writes them together.

    While one thread writes, items of others gather, and the next thread writes all of them: a thousand workers need not
    wait for a thousand disk syncs, one after the other.

    Args:
        write: writes some items in one transaction, and returns the result of each.
    """

    def __init__(self, write: Callable[[list[Item]], list[Result]]) -> None:
        self._write = write
        self._waiting: list[_Entry[Item, Result]] = []
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def __call__(self, item: Item) -> Result:
        """Return the result of an item once it is written.

        Raises:
            Exception: whatever the writing of its group raised.
        """
        own: _Entry[Item, Result] = _Entry(item)
        with self._lock:
            self._waiting.append(own)
        with self._turn:
            if not own.is_done:
                self._write_waiting()
        if own.error is not None:
            raise own.error
        return own.result  # type: ignore[return-value]

    def _write_waiting(self) -> None:
        with self._lock:
            entries, self._waiting = self._waiting, []
        try:
            results = self._write([e.item for e in entries])
            for entry, result in zip(entries, results, strict=True):
                entry.result = result
        except BaseException as error:
            for entry in entries:
                entry.error = error
        for entry in entries:
            entry.is_done = True
