"""The evaluation pool: oracle workers measure candidates, and each answer is committed as it arrives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from al_loop.campaign.answer_commits import AnswerCommits
from al_loop.campaign.answer_commits import AnswerStores as AnswerStores
from al_loop.campaign.answers_at_stop import AnswersAtStop
from al_loop.campaign.budget import BudgetAccount
from al_loop.campaign.executor import OracleWorker
from al_loop.campaign.failures import FailureStreak
from al_loop.campaign.group_commit import GroupCommit
from al_loop.campaign.oracle_call import CallResult, results_of_call
from al_loop.campaign.oracle_health import OracleHealth, Ruling
from al_loop.campaign.pool_settings import PoolSettings as PoolSettings
from al_loop.campaign.task_queue import Task, TaskQueue
from al_loop.errors import CampaignError
from al_loop.ledger import Answer, Candidate, Ledger
from al_loop.oracles.base import Outcome
from al_loop.system import stopping
from al_loop.system.stopping import StopRequest

_SUSPENDED_S = 15.0  # after which a recorded call is not begun without asking again who drives the campaign
_LOOK_S = 1.0  # time between looks into the ledger for answers that others committed


class EvaluationPool:
    """Measures candidates: a thread for each oracle worker takes some, calls the oracle and commits each answer.

    An attempt is recorded before the oracle is called, so that after a kill the ledger knows what was in flight. A
    lost worker and a ``retryable`` failure are tried again, after a pause that doubles; after the last attempt the
    failure is the answer. Answers that others commit meanwhile (``al-loop tell``) are found in the ledger.

    Args:
        ledger: where everything is recorded.
        workers: one thread each; none if people answer.
        settings: how the oracle is called, and what may be spent.
        stores: where answers are kept besides the ledger.
        on_answer: called with each answer and the seconds that it took; the outcome is None if others committed it.
        on_note: receives messages for the user.
    """

    def __init__(
        self,
        ledger: Ledger,
        workers: Sequence[OracleWorker],
        settings: PoolSettings,
        stores: AnswerStores | None = None,
        *,
        on_answer: Callable[[Candidate, Outcome | None, float], None] = lambda candidate, outcome, seconds: None,
        on_note: Callable[[str], None] = lambda message: None,
    ) -> None:
        campaign = ledger.campaign()
        assert campaign is not None, "the campaign has begun"
        self._uid = campaign.uid
        self._ledger, self._workers, self._settings = ledger, list(workers), settings
        self._evaluation, self._stores = settings.evaluation, stores or AnswerStores()
        self._on_answer, self._on_note = on_answer, on_note
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)  # workers wait for it
        self._progress = threading.Condition(self._lock)  # the campaign waits for it
        self._queue = TaskQueue()
        self._open: dict[int, Candidate] = {}
        self._committing: set[int] = set()  # candidates whose answers are this pool's own
        self._call_began: dict[str, float] = {}  # by the name of the worker
        self._account = BudgetAccount(
            settings.budget,
            settings.prices,
            self._evaluation.cost,
            n_calls=ledger.n_calls(),
            cost=ledger.cost(),
            in_flight={c.id: (c.fidelity, n) for c, n in ledger.in_flight().items()},
        )
        self._seen = ledger.n_answers()
        self._looked = time.monotonic()
        self._busy_s, self._n_done_calls = 0.0, 0
        self._failures = FailureStreak(self._evaluation.stop_after_failures)
        self._health = OracleHealth(self._evaluation, ledger.has_measured())
        #: answers that arrived in this session, and how many of them have values
        self.n_settled = self.n_values = 0
        self._error: BaseException | None = None
        self._is_closing = False
        self._begin_together = GroupCommit(self._begin_all)
        self._commits = AnswerCommits(ledger, self._stores, on_note)
        #: what became of the answers of this session; known once the pool is closed
        self.answers_at_stop = AnswersAtStop()
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), name=worker.name, daemon=True) for worker in workers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def n_open(self) -> int:
        """Number of candidates that were submitted and have no answer yet."""
        with self._lock:
            return len(self._open)

    def n_open_of(self, candidate_ids: Collection[int]) -> int:
        """Return how many of these candidates have no answer yet."""
        with self._lock:
            return sum(id_ in self._open for id_ in candidate_ids)

    @property
    def n_waiting(self) -> int:
        """Number of candidates that no worker has taken yet."""
        with self._lock:
            return len(self._queue)

    @property
    def n_running(self) -> int:
        """Number of calls that run."""
        with self._lock:
            return len(self._call_began)

    @property
    def n_workers(self) -> int:
        """Largest number of calls at a time."""
        return len(self._workers)

    @property
    def busy_s(self) -> float:
        """Seconds that all workers together spent in calls of the oracle, in this session."""
        with self._lock:
            now = time.monotonic()
            return self._busy_s + sum(now - began for began in self._call_began.values())

    @property
    def mean_call_s(self) -> float | None:
        """Mean duration of a call of the oracle in seconds; None before the first has ended."""
        with self._lock:
            return self._busy_s / self._n_done_calls if self._n_done_calls else None

    def calls_left(self) -> int | None:
        """Return how many further calls the budget allows; None for any number."""
        with self._lock:
            return self._account.calls_left()

    @property
    def cost_left(self) -> float:
        """The remaining budget; infinite if the budget does not limit the cost."""
        with self._lock:
            return self._account.cost_left()

    @property
    def is_spent(self) -> bool:
        """Whether the budget allows no further call."""
        return self.calls_left() == 0

    # -- what the campaign calls ---------------------------------------------------------------------------------------

    def submit(self, candidates: Sequence[Candidate]) -> None:
        """Have candidates measured; those that were submitted before are ignored."""
        with self._lock:
            new = [c for c in candidates if c.id not in self._open]
            self._open.update((c.id, c) for c in new)
        if self._stores.cache is not None and new:
            first = [c for c in new if not c.replicate]  # a further measurement is the oracle's own
            cached = self._stores.cache.find([(c.object, c.fidelity) for c in first])
            for candidate in first:
                if (outcome := cached.get((candidate.object, candidate.fidelity))) is not None:
                    now = datetime.now(UTC)
                    self._commit(candidate, Answer(candidate.id, outcome, "cache", now, now))
            new = [c for c in new if c.id in self._open]
        if self._workers:
            with self._lock:
                self._queue.add(new)
                self._work.notify(len(new))

    def wait(self, is_enough: Callable[[], bool] = lambda: False) -> bool:
        """Wait until every candidate is answered, ``is_enough`` returns True, or the budget allows no further call.

        Args:
            is_enough: called repeatedly.

        Returns:
            Whether the budget ended it.

        Raises:
            Exception: what stopped the pool, such as an answer that could not be committed or an oracle that always
                fails.
        """
        while True:
            stopping.look()
            self.raise_error()
            self._find_others_answers()
            with self._lock:
                if not self._open or is_enough():
                    return False
                is_over = bool(self._workers) and self.is_spent and not self._call_began
                has_all = is_over or self._health.n_held >= len(self._open)
                ruling = self._health.conclude() if has_all else Ruling()
                if not has_all:
                    self._progress.wait(stopping.POLL_S)
            self._carry_out(ruling)
            if is_over:
                return True

    def raise_error(self) -> None:
        """Raise what stopped the pool, if anything did."""
        if self._error is not None:
            raise self._error

    def close(self, *, finish_calls: bool = False) -> None:
        """End all workers; what they were measuring stays pending in the ledger.

        Answers that have arrived and are not in the ledger yet are put beside it at once, before the ledger is waited
        for; ``answers_at_stop`` says what became of them.

        Args:
            finish_calls: whether the calls that run may finish first, until the stop becomes more urgent.
        """
        request = stopping.current_request() or StopRequest()
        with self._lock:
            self._is_closing = True
            self._queue.clear()
            self._work.notify_all()
        level = request.level
        while finish_calls and self._call_began and request.level == level and self._error is None:
            time.sleep(stopping.POLL_S)
        self._commits.stop_waiting()
        self._ledger.stop_waiting()
        closers = [threading.Thread(target=worker.close, daemon=True) for worker in self._workers]
        for closer in closers:
            closer.start()
        stopping.join_all([*closers, *self._threads], request)
        self.answers_at_stop = self._commits.account()

    def _find_others_answers(self) -> None:
        """Settle candidates that others answered or vetoed; reads the ledger at most once a second."""
        if not self._open or time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        # without the lock, which nobody could have while the database is waited for
        seen, answered = self._ledger.answered_since(self._seen)
        vetoed = self._ledger.vetoed()
        with self._lock:
            self._seen = max(seen, self._seen)
            others = {id_: has_value for id_, has_value in answered.items() if id_ not in self._committing}
            for id_ in vetoed & self._open.keys():  # never measured, so there is nothing to wait for
                self._open.pop(id_)
                self._account.release(id_)
                self._progress.notify_all()
        for id_, has_value in others.items():
            self._settled(id_, None, has_value)

    # -- a worker's thread ---------------------------------------------------------------------------------------------

    def _serve(self, worker: OracleWorker) -> None:
        try:
            worker.start()  # before it takes anything: a worker that waits for a slot must not keep an object waiting
            while tasks := self._take(worker):
                try:
                    self._evaluate(worker, tasks)
                finally:
                    self._end_call(worker)
                if not self._is_closing:
                    worker.start()
        except BaseException as error:
            with self._lock:
                if not self._is_closing:
                    self._error = self._error or error
                self._progress.notify_all()

    def _take(self, worker: OracleWorker) -> list[Task]:
        """Wait for candidates and return those of the next call; none once the pool is closed."""
        with self._lock:
            while not self._is_closing:
                has_ready = self._queue.has_ready()
                calls_left = self.calls_left() if has_ready else None
                down_s = self._health.pause_s(len(self._call_began)) if has_ready else None
                if has_ready and down_s is None and calls_left != 0 and self._error is None:
                    size = self._settings.call_size
                    tasks = self._queue.take_call(size if calls_left is None else min(size, calls_left))
                    for task in tasks:
                        self._account.reserve(task.candidate.id, task.candidate.fidelity)
                    self._call_began[worker.name] = time.monotonic()
                    return tasks
                self._work.wait(self._queue.pause_s() if down_s is None else down_s)
            return []

    def _end_call(self, worker: OracleWorker) -> None:
        with self._lock:
            self._busy_s += time.monotonic() - self._call_began.pop(worker.name)
            self._n_done_calls += 1
            if self._account.is_limited:
                self._work.notify()  # what was reserved for this call may do for another
            self._progress.notify_all()

    def _begin_all(self, calls: list[tuple[str, list[Task]]]) -> list[dict[int, int]]:
        """Record the attempts of some calls, and return the attempt's number of each task that is still open."""
        workers = {task.candidate.id: name for name, tasks in calls for task in tasks}
        try:
            numbers = self._ledger.begin_attempts([i for i in workers if i in self._open], workers)
        except CampaignError:
            self._looked = 0.0  # somebody may have answered or vetoed an object just now
            self._find_others_answers()
            numbers = self._ledger.begin_attempts([i for i in workers if i in self._open], workers)
        ids = [[task.candidate.id for task in tasks] for _, tasks in calls]
        return [{i: numbers[i] for i in of_call if i in numbers} for of_call in ids]

    def _evaluate(self, worker: OracleWorker, tasks: list[Task]) -> None:
        began_s = time.time()
        attempts = self._begin_together((worker.name, tasks))
        if time.time() - began_s > _SUSPENDED_S:  # this process may have been suspended, and replaced
            self._ledger.renew_lease()
        with self._lock:
            self._account.uncount(len(tasks) - len(attempts))
        tasks = [task for task in tasks if task.candidate.id in attempts]
        for task in tasks:
            task.calls.append(attempts[task.candidate.id])
        if not tasks:
            return
        unsettled = list(tasks)
        for result in results_of_call(worker, tasks, self._evaluation.timeout_s, self._uid, self._on_note):
            if result.has_crashed and self._is_closing:
                return
            unsettled.remove(result.task)
            try:
                self._settle(result)
            except CampaignError:
                if not self._is_closing:  # else the answer is beside the ledger, and further ones may have arrived
                    raise
        for task in unsettled:
            self._retry(task, 0.0)

    def _settle(self, result: CallResult) -> None:
        """Commit an outcome, have the object measured again, or hold it back until it is known whose failure it is."""
        with self._lock:
            was_down = self._health.is_down
            ruling = self._health.judge(result)
            if was_down and not self._health.is_down:
                self._work.notify_all()
        self._carry_out(ruling)

    def _carry_out(self, ruling: Ruling) -> None:
        if ruling.note:
            self._on_note(ruling.note)
        for result in ruling.void:
            candidate, calls = result.task.candidate, result.task.calls
            self._ledger.void_attempts([(candidate.id, number) for number in calls], result.failure.reason)
            with self._lock:
                self._account.take_back(candidate.id, candidate.fidelity, len(calls))
            calls.clear()
        for result in ruling.answers:
            candidate, outcome = result.task.candidate, result.outcome
            if outcome.cost is None:
                with self._lock:
                    outcome = replace(outcome, cost=self._account.reserved_for(candidate.id))
            self._commit(candidate, result.as_answer(outcome))
            if self._stores.cache is not None and not candidate.replicate:
                self._stores.cache.add(candidate.object, candidate.fidelity, outcome)
        for task, pause_s in ruling.again:
            self._retry(task, pause_s)
        if ruling.error is not None:
            raise ruling.error

    def _retry(self, task: Task, pause_s: float) -> None:
        with self._lock:
            if not self._is_closing:
                self._queue.retry(task, pause_s)
                self._work.notify()

    def _commit(self, candidate: Candidate, answer: Answer) -> None:
        """Return once the answer is in the ledger."""
        with self._lock:
            self._committing.add(candidate.id)
        self._commits.commit(candidate, answer)
        seconds = (answer.finished - answer.started).total_seconds()
        self._settled(candidate.id, answer.outcome, answer.outcome.values is not None, seconds)

    def _settled(self, candidate_id: int, outcome: Outcome | None, has_value: bool, seconds: float = 0.0) -> None:
        """Take note that a candidate has its answer in the ledger; outcome is None if others committed it."""
        with self._lock:
            candidate = self._open.pop(candidate_id, None)
            self._account.release(candidate_id)
            self._committing.discard(candidate_id)
            if candidate is None:
                return
            self.n_settled += 1
            self.n_values += has_value
            if outcome is not None:
                self._account.spend(outcome.cost or 0.0)
                self._error = self._error or self._failures.add(outcome)
            self._progress.notify_all()
        self._on_answer(candidate, outcome, seconds)
