"""From candidate to committed answer, beside whatever the campaign does meanwhile."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from al_loop.campaign.executor import CallTimeout, MemoryExceeded, OracleWorker, WorkerLost
from al_loop.config import Budget, Evaluation
from al_loop.errors import CampaignError
from al_loop.ledger import Answer, Candidate, Ledger
from al_loop.oracles.base import Call, Failure, Outcome
from al_loop.storage.artifacts import ArtifactFolder
from al_loop.storage.cache import EvaluationCache
from al_loop.storage.rescued import RescuedAnswers

_LONGEST_BACKOFF_S = 300.0
_LOOK_S = 1.0  # how often the ledger is asked for answers that others committed

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Task:
    """A candidate to be measured, and what was tried in this session."""

    candidate: Candidate
    n_failed: int = 0
    #: it was in a call of several that failed as a whole, and is asked for by itself to tell the guilty one
    is_alone: bool = False


@dataclass
class _Entry(Generic[Item, Result]):
    """Something on its way into the ledger, and what became of it."""

    item: Item
    result: Result | None = None
    error: BaseException | None = None
    is_done: bool = False


class GroupCommit(Generic[Item, Result]):
    """Writes what many threads bring at the same time in one transaction.

    What comes while one thread is writing waits for the next, who writes all of it: a thousand workers need not wait
    for a thousand disk syncs, one after the other.
    """

    def __init__(self, write: Callable[[list[Item]], list[Result]]) -> None:
        self._write = write
        self._waiting: list[_Entry[Item, Result]] = []
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def __call__(self, item: Item) -> Result:
        """Returns when the item is written; raises what its writing raised."""
        mine: _Entry[Item, Result] = _Entry(item)
        with self._lock:
            self._waiting.append(mine)
        with self._turn:
            if not mine.is_done:
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
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value]


class EvaluationPool:
    """A thread for each oracle worker takes candidates, has them evaluated, and commits each answer as it arrives.

    An attempt is recorded before the oracle is called, so that after a kill the ledger knows what was in flight. A
    lost worker and a ``retryable`` failure are tried again, after a pause that doubles; after the last attempt the
    failure is the answer. Answers that others commit meanwhile (``al-loop tell``) are found in the ledger.

    Args:
        ledger: where everything is recorded.
        workers: one thread each; none where people answer.
        settings: how the oracle is called.
        budget: what may be spent, by all sessions of the campaign.
        call_size: how many objects one call takes.
        prices: the cost of a call at a fidelity, where the oracle does not say; else ``settings.cost``.
        on_answer: told of each answer with the seconds that it took; ``None``: it came from elsewhere.
        on_note: told what the user should know.
        artifacts: where the files that come with answers are kept.
        cache: what other campaigns were answered.
        rescued: where answers are put that the ledger would not take to the end.
    """

    def __init__(
        self,
        ledger: Ledger,
        workers: Sequence[OracleWorker],
        settings: Evaluation,
        *,
        budget: Budget | None = None,
        call_size: int = 1,
        prices: Mapping[str, float] | None = None,
        on_answer: Callable[[Candidate, Outcome | None, float], None] = lambda candidate, outcome, seconds: None,
        on_note: Callable[[str], None] = lambda message: None,
        artifacts: ArtifactFolder | None = None,
        cache: EvaluationCache | None = None,
        rescued: RescuedAnswers | None = None,
    ) -> None:
        campaign = ledger.campaign()
        assert campaign is not None, "the campaign has begun"
        self._uid = campaign.uid
        self._ledger, self._workers, self._settings = ledger, list(workers), settings
        self._budget, self._call_size, self._prices = budget or Budget(), call_size, dict(prices or {})
        self._on_answer, self._on_note = on_answer, on_note
        self._artifacts, self._cache, self._rescued = artifacts, cache, rescued
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)  # workers wait for it
        self._progress = threading.Condition(self._lock)  # the campaign waits for it
        self._ready: deque[_Task] = deque()
        self._delayed: list[tuple[float, int, _Task]] = []
        self._counter = itertools.count()
        self._open: dict[int, Candidate] = {}
        self._committing: set[int] = set()  # candidates whose answers are this pool's own
        self._running: dict[str, float] = {}  # worker -> when its call began
        self._n_calls, self._cost = ledger.n_calls(), ledger.cost()
        #: what the attempts at each unanswered candidate are expected to cost
        self._unsettled = {c.id: self._price(c.fidelity) * n for c, n in ledger.in_flight().items()}
        self._seen = ledger.n_answers()
        self._looked = time.monotonic()
        self._busy_s, self._n_done_calls = 0.0, 0
        self._failures_in_a_row: list[Failure] = []
        #: answers that came in this session, and how many of them are values
        self.n_settled = self.n_values = 0
        self._error: BaseException | None = None
        self._is_closing = False
        self._begin_together = GroupCommit(self._begin_all)
        self._commit_together = GroupCommit(self._commit_all)
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), name=worker.name, daemon=True) for worker in workers
        ]
        for thread in self._threads:
            thread.start()

    # -- what stands where --------------------------------------------------------------------------------------------

    @property
    def n_open(self) -> int:
        """Candidates that were submitted and have no answer yet."""
        with self._lock:
            return len(self._open)

    def n_open_of(self, candidate_ids: Collection[int]) -> int:
        """How many of these have no answer yet."""
        with self._lock:
            return sum(id_ in self._open for id_ in candidate_ids)

    @property
    def n_waiting(self) -> int:
        """Candidates that no worker has taken yet."""
        with self._lock:
            return len(self._ready) + len(self._delayed)

    @property
    def n_workers(self) -> int:
        """How many calls there may be at once."""
        return len(self._workers)

    @property
    def busy_s(self) -> float:
        """Seconds that all workers together have spent in calls of the oracle, in this session."""
        with self._lock:
            now = time.monotonic()
            return self._busy_s + sum(now - began for began in self._running.values())

    @property
    def mean_call_s(self) -> float | None:
        """Seconds of a call of the oracle, on average; None before the first has ended."""
        with self._lock:
            return self._busy_s / self._n_done_calls if self._n_done_calls else None

    def calls_left(self) -> int | None:
        """How many further calls the budget allows; None: any number."""
        with self._lock:
            left = [] if self._budget.calls is None else [self._budget.calls - self._n_calls]
            if self._budget.cost is not None:
                spent = self._cost + sum(self._unsettled.values())
                price = max([self._settings.cost, *self._prices.values()])
                # a call that costs nothing by itself may be made until what was spent reaches the budget
                left.append(
                    int((self._budget.cost - spent) / price + 1e-9) if price else int(spent < self._budget.cost)
                )
            return max(min(left), 0) if left else None

    @property
    def cost_left(self) -> float:
        """What the budget leaves to be spent; infinite where it says nothing of cost."""
        with self._lock:
            if self._budget.cost is None:
                return math.inf
            return max(self._budget.cost - self._cost - sum(self._unsettled.values()), 0.0)

    @property
    def is_spent(self) -> bool:
        """Whether the budget allows no further call."""
        return self.calls_left() == 0

    def _price(self, fidelity: str) -> float:
        return self._prices.get(fidelity, self._settings.cost)

    # -- what the campaign asks for -----------------------------------------------------------------------------------

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Hands candidates over; those that are being evaluated already are left alone."""
        with self._lock:
            new = [c for c in candidates if c.id not in self._open]
            self._open.update((c.id, c) for c in new)
        if self._cache is not None and new:
            known = self._cache.find([(c.object, c.fidelity) for c in new])
            for candidate in new:
                if (outcome := known.get((candidate.object, candidate.fidelity))) is not None:
                    now = datetime.now(UTC)
                    self._commit(candidate, Answer(candidate.id, outcome, "cache", now, now))
            new = [c for c in new if c.id in self._open]
        if self._workers:
            with self._lock:
                self._ready.extend(_Task(c) for c in new)
                self._work.notify(len(new))

    def wait(self, is_enough: Callable[[], bool] = lambda: False) -> bool:
        """Until every candidate is answered, ``is_enough`` says so, or the budget keeps the rest from being measured.

        Returns:
            Whether the budget was what ended it.

        Raises:
            Exception: what went wrong, e.g. an answer that could not be committed, or an oracle that always fails.
        """
        with self._lock:
            while True:
                self.raise_error()
                self._look_for_told()
                if not self._open or is_enough():
                    return False
                if self._workers and self.is_spent and not self._running:
                    return True
                # a time-out lets the main thread see Ctrl-C on every platform
                self._progress.wait(0.2)

    def raise_error(self) -> None:
        """Raises what stopped the pool, if anything did."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Ends all workers at once; what they were evaluating stays pending in the ledger."""
        with self._lock:
            self._is_closing = True
            self._ready.clear()
            self._delayed.clear()
            self._work.notify_all()
        self._ledger.stop_waiting()  # answers that cannot be committed now are rescued
        for worker in self._workers:
            worker.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _look_for_told(self) -> None:
        """Takes note of answers and vetoes that others committed; asks the ledger once a second at the most."""
        if not self._open or time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        self._seen, answered = self._ledger.answered_since(self._seen)
        for id_, has_value in answered.items():
            if id_ not in self._committing:
                self._settled(id_, None, has_value)
        for id_ in self._ledger.vetoed() & self._open.keys():  # never measured, so there is nothing to wait for
            self._open.pop(id_)
            self._unsettled.pop(id_, None)
            self._progress.notify_all()

    # -- a worker's thread --------------------------------------------------------------------------------------------

    def _serve(self, worker: OracleWorker) -> None:
        try:
            worker.start()  # before it takes anything: a worker that waits for a place must not keep an object waiting
            while taken := self._take(worker):
                try:
                    self._evaluate(worker, taken)
                finally:
                    self._end_call(worker)
                worker.start()
        except BaseException as error:
            with self._lock:
                if not self._is_closing:
                    self._error = self._error or error
                self._progress.notify_all()

    def _take(self, worker: OracleWorker) -> list[_Task]:
        """What the next call is to measure; nothing when the pool is closed."""
        with self._lock:
            while not self._is_closing:
                while self._delayed and self._delayed[0][0] <= time.monotonic():
                    self._ready.append(heapq.heappop(self._delayed)[2])
                left = self.calls_left() if self._ready else None
                if self._ready and left != 0 and self._error is None:
                    first = self._ready.popleft()
                    taken = [first]
                    most = 1 if first.is_alone else min(self._call_size, self._call_size if left is None else left)
                    while self._ready and len(taken) < most:
                        if self._ready[0].is_alone or self._ready[0].candidate.fidelity != first.candidate.fidelity:
                            break
                        taken.append(self._ready.popleft())
                    self._n_calls += len(taken)
                    for task in taken:
                        self._set_aside(task.candidate)
                    self._running[worker.name] = time.monotonic()
                    return taken
                self._work.wait(max(self._delayed[0][0] - time.monotonic(), 0.0) if self._delayed else None)
            return []

    def _end_call(self, worker: OracleWorker) -> None:
        with self._lock:
            self._busy_s += time.monotonic() - self._running.pop(worker.name)
            self._n_done_calls += 1
            if self._budget.cost is not None or self._budget.calls is not None:
                self._work.notify()  # what was set aside for this call may do for another
            self._progress.notify_all()

    def _set_aside(self, candidate: Candidate) -> None:
        self._unsettled[candidate.id] = self._unsettled.get(candidate.id, 0.0) + self._price(candidate.fidelity)

    def _begin_all(self, calls: list[tuple[str, list[_Task]]]) -> list[dict[int, int]]:
        """The attempt number of each task that is still open, for each call."""
        workers = {task.candidate.id: name for name, tasks in calls for task in tasks}
        try:
            numbers = self._ledger.begin_attempts([i for i in workers if i in self._open], workers)
        except CampaignError:
            with self._lock:  # somebody may have told an answer, or vetoed an object, just now
                self._looked = 0.0
                self._look_for_told()
            numbers = self._ledger.begin_attempts([i for i in workers if i in self._open], workers)
        ids = [[task.candidate.id for task in tasks] for _, tasks in calls]
        return [{i: numbers[i] for i in of_call if i in numbers} for of_call in ids]

    def _evaluate(self, worker: OracleWorker, taken: list[_Task]) -> None:
        attempts = self._begin_together((worker.name, taken))
        with self._lock:
            self._n_calls -= len(taken) - len(attempts)
        taken = [task for task in taken if task.candidate.id in attempts]
        if not taken:
            return
        timeout_s = self._settings.timeout_s * len(taken)
        call = Call({task.candidate.object: self._key(task.candidate) for task in taken}, taken[0].candidate.fidelity)
        left = deque(taken)
        started = datetime.now(UTC)
        try:
            for outcome in worker.call([task.candidate.object for task in taken], timeout_s, call):
                task = left.popleft()
                self._settle(task, outcome, worker, started, attempts[task.candidate.id])
                started = datetime.now(UTC)
            return
        except CallTimeout:
            failure = Failure("timeout", f"no answer within {timeout_s:g} s; the process was ended")
        except MemoryExceeded as error:
            failure = Failure("permanent", f"{error}; the process was ended")
        except WorkerLost as error:
            if self._is_closing:
                return
            failure = Failure("retryable", f"the worker died: {error}")
        if len(taken) > 1:
            for task in left:
                task.is_alone = True
                self._again(task, 0.0)
            return
        self._settle(left[0], Outcome(failure=failure), worker, started, attempts[left[0].candidate.id])

    def _settle(self, task: _Task, outcome: Outcome, worker: OracleWorker, started: datetime, attempts: int) -> None:
        """Commits an outcome, or has the object measured again."""
        finished = datetime.now(UTC)
        if outcome.failure is not None and outcome.failure.kind == "retryable":
            task.n_failed += 1
            if task.n_failed < self._settings.attempts:
                self._again(task, self._settings.backoff_s * 2.0 ** (task.n_failed - 1))
                return
        candidate = task.candidate
        if outcome.cost is None:
            outcome = replace(outcome, cost=self._price(candidate.fidelity) * attempts)
        self._commit(candidate, Answer(candidate.id, outcome, worker.name, started, finished))
        if self._cache is not None:
            self._cache.add(candidate.object, candidate.fidelity, outcome)

    def _again(self, task: _Task, delay_s: float) -> None:
        with self._lock:
            if not self._is_closing:
                due = time.monotonic() + min(delay_s, _LONGEST_BACKOFF_S)
                heapq.heappush(self._delayed, (due, next(self._counter), task))
                self._work.notify()

    def _key(self, candidate: Candidate) -> str:
        """The idempotency key: the same for each attempt at a candidate, and for no other candidate of any campaign."""
        return hashlib.sha256(f"{self._uid}:{candidate.id}".encode()).hexdigest()[:32]

    # -- committing ---------------------------------------------------------------------------------------------------

    def _commit(self, candidate: Candidate, answer: Answer) -> None:
        """Returns when the answer is in the ledger."""
        with self._lock:
            self._committing.add(candidate.id)
        if self._artifacts is not None and answer.outcome.artifacts:
            answer = replace(answer, outcome=self._artifacts.save(candidate.id, answer.outcome))
        if (refused := self._commit_together(answer)) is not None:
            self._on_note(f"{candidate.object}: {refused}; not taken in as well: {answer.outcome}")
        seconds = (answer.finished - answer.started).total_seconds()
        self._settled(candidate.id, answer.outcome, answer.outcome.values is not None, seconds)

    def _commit_all(self, answers: list[Answer]) -> list[str | None]:
        try:
            return self._ledger.commit_answers(answers)
        except Exception as error:
            if self._rescued is None:
                raise
            raise self._rescued.keep(answers, error) from error

    def _settled(self, candidate_id: int, outcome: Outcome | None, has_value: bool, seconds: float = 0.0) -> None:
        """A candidate has its answer in the ledger; outcome: None where others committed it."""
        with self._lock:
            candidate = self._open.pop(candidate_id, None)
            self._unsettled.pop(candidate_id, None)
            self._committing.discard(candidate_id)
            if candidate is None:
                return
            self.n_settled += 1
            self.n_values += has_value
            if outcome is not None:
                self._cost += outcome.cost or 0.0
                self._count_failures(outcome)
            self._progress.notify_all()
        self._on_answer(candidate, outcome, seconds)

    def _count_failures(self, outcome: Outcome) -> None:
        if outcome.failure is None:
            self._failures_in_a_row.clear()
            return
        self._failures_in_a_row.append(outcome.failure)
        most = self._settings.stop_after_failures
        if most is not None and len(self._failures_in_a_row) >= most and self._error is None:
            kinds = Counter(f.kind for f in self._failures_in_a_row).most_common()
            reasons = Counter(f.reason for f in self._failures_in_a_row).most_common(1)
            self._error = CampaignError(
                f"the oracle failed for {most} objects in a row ({', '.join(f'{n} {kind}' for kind, n in kinds)}), so "
                f"nothing more is spent; most often: {reasons[0][0]:.300}. Put the oracle right and run the same "
                "command again; if so many failures are to be expected, raise evaluation.stop_after_failures"
            )
