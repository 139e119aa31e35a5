"""From candidate to committed answer, beside whatever the campaign does meanwhile."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from al_loop.config import Evaluation
from al_loop.execution import CallTimeout, MemoryExceeded, OracleWorker, WorkerLost
from al_loop.ledger import Candidate, Ledger
from oracles.base import Outcome

_BACKOFF_S = 0.5


class EvaluationPool:
    """A thread for each oracle worker takes candidates, has them evaluated, and commits each answer as it arrives.

    An attempt is recorded before the oracle is called, so that after a kill the ledger knows what was in flight. A
    lost worker and a ``retryable`` failure are tried again, with a pause that doubles; after the last attempt the
    failure is the answer.
    """

    def __init__(
        self,
        ledger: Ledger,
        workers: Sequence[OracleWorker],
        settings: Evaluation,
        call_size: int = 1,
        on_answer: Callable[[Candidate, Outcome], None] = lambda candidate, outcome: None,
    ) -> None:
        self._ledger, self._workers, self._settings = ledger, list(workers), settings
        self._call_size, self.on_answer = call_size, on_answer
        self._queue: deque[tuple[Candidate, int]] = deque()
        self._open: set[int] = set()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._is_closing = False
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), name=worker.name, daemon=True) for worker in workers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def n_open(self) -> int:
        """Candidates that were submitted and have no answer yet."""
        with self._changed:
            return len(self._open)

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Hands candidates over; those that are being evaluated already are left alone."""
        with self._changed:
            for candidate in candidates:
                if candidate.id not in self._open:
                    self._open.add(candidate.id)
                    self._queue.append((candidate, 1))
            self._changed.notify_all()

    def wait(self, n_open: int = 0) -> None:
        """Until no more than n_open candidates lack an answer.

        Raises:
            Exception: what went wrong where an answer could not be committed.
        """
        with self._changed:
            # a time-out lets the main thread see Ctrl-C on every platform
            while len(self._open) > n_open and self._error is None:
                self._changed.wait(0.2)
            self.raise_error()

    def raise_error(self) -> None:
        """Raises what stopped a worker's thread, if anything did."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Ends all workers at once; what they were evaluating stays pending in the ledger."""
        with self._changed:
            self._is_closing = True
            self._queue.clear()
            self._changed.notify_all()
        for worker in self._workers:
            worker.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _take(self) -> list[tuple[Candidate, int]]:
        with self._changed:
            while not self._queue and not self._is_closing:
                self._changed.wait()
            return [self._queue.popleft() for _ in range(min(self._call_size, len(self._queue)))]

    def _serve(self, worker: OracleWorker) -> None:
        try:
            worker.start()  # before it takes anything: a worker that waits for a place must not keep an object waiting
            while taken := self._take():
                self._evaluate(worker, taken)
                worker.start()
        except BaseException as error:
            with self._changed:
                if not self._is_closing:
                    self._error = error
                self._changed.notify_all()

    def _evaluate(self, worker: OracleWorker, taken: list[tuple[Candidate, int]]) -> None:
        for candidate, _ in taken:
            self._ledger.begin_attempt(candidate.id, worker.name)
        objects = [candidate.object for candidate, _ in taken]
        started = datetime.now(UTC)
        try:
            outcomes = worker.call(objects, self._settings.timeout_s * len(objects))
        except CallTimeout:
            reason = f"no answer within {self._settings.timeout_s * len(objects):g} s; the process was ended"
            outcomes = [Outcome.failed("timeout", reason) for _ in objects]
        except MemoryExceeded as error:
            outcomes = [Outcome.failed("permanent", f"{error}; the process was ended") for _ in objects]
        except WorkerLost as error:
            if self._is_closing:
                return
            outcomes = [Outcome.failed("retryable", f"the worker died: {error}") for _ in objects]
        finished = datetime.now(UTC)
        again = []
        for (candidate, attempt), outcome in zip(taken, outcomes, strict=True):
            if (
                outcome.failure is not None
                and outcome.failure.kind == "retryable"
                and attempt < self._settings.attempts
            ):
                again.append((candidate, attempt + 1))
                continue
            if outcome.cost is None:
                outcome = replace(outcome, cost=self._settings.cost)
            self._ledger.commit_answer(candidate.id, outcome, worker=worker.name, started=started, finished=finished)
            with self._changed:
                self._open.discard(candidate.id)
                self._changed.notify_all()
            self.on_answer(candidate, outcome)
        if again:
            time.sleep(_BACKOFF_S * 2 ** (max(attempt for _, attempt in again) - 2))
            with self._changed:
                if not self._is_closing:
                    self._queue.extend(again)
                    self._changed.notify_all()
