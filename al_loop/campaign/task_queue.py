"""The candidates that wait for an oracle worker, some of them until a pause is over."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from al_loop.ledger import Candidate

_LONGEST_PAUSE_S = 300.0


@dataclass
class Task:
    """A candidate to be measured, and what was tried in this session.

    Args:
        candidate: the candidate.
        n_failed: calls that failed in a way that may pass.
        calls: the numbers of the calls that are in the ledger.
        is_alone: whether it was in a call of several that failed as a whole, and is now called for by itself, to find
            the guilty one.
    """

    candidate: Candidate
    n_failed: int = 0
    calls: list[int] = field(default_factory=list)
    is_alone: bool = False

    def idempotency_key(self, campaign: str) -> str:
        """Return a key that is the same for each attempt at the candidate, and for no other one of any campaign.

        Args:
            campaign: the campaign's unique id.
        """
        return hashlib.sha256(f"{campaign}:{self.candidate.id}".encode()).hexdigest()[:32]


class TaskQueue:
    """First in, first out, but for tasks that are tried again after a pause. Not thread-safe: the pool locks it."""

    def __init__(self) -> None:
        self._ready: deque[Task] = deque()
        self._delayed: list[tuple[float, int, Task]] = []
        self._counter = itertools.count()

    def __len__(self) -> int:
        return len(self._ready) + len(self._delayed)

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Append candidates."""
        self._ready.extend(Task(c) for c in candidates)

    def retry(self, task: Task, pause_s: float) -> None:
        """Append a task after a pause of at most five minutes.

        Args:
            task: the task.
            pause_s: length of the pause in seconds.
        """
        due = time.monotonic() + min(pause_s, _LONGEST_PAUSE_S)
        heapq.heappush(self._delayed, (due, next(self._counter), task))

    def has_ready(self) -> bool:
        """Return whether a task can be taken now."""
        while self._delayed and self._delayed[0][0] <= time.monotonic():
            self._ready.append(heapq.heappop(self._delayed)[2])
        return bool(self._ready)

    def pause_s(self) -> float | None:
        """Return the seconds until the next pause is over; None if no task pauses."""
        return max(self._delayed[0][0] - time.monotonic(), 0.0) if self._delayed else None

    def take_call(self, size: int) -> list[Task]:
        """Remove and return the tasks of one call: distinct objects at one fidelity; there must be a ready one.

        Args:
            size: largest number of objects in the call.
        """
        first = self._ready.popleft()
        tasks = [first]
        while self._ready and len(tasks) < (1 if first.is_alone else size):
            following = self._ready[0]
            if following.is_alone or following.candidate.fidelity != first.candidate.fidelity:
                break
            if any(task.candidate.object == following.candidate.object for task in tasks):
                break  # a call names its objects
            tasks.append(self._ready.popleft())
        return tasks

    def clear(self) -> None:
        """Remove all tasks."""
        self._ready.clear()
        self._delayed.clear()
