"""One call of the oracle by a worker, and its result for each object."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from al_loop.campaign.executor import CallEnded, OracleWorker, WorkerLost, outcome_of_ended_call
from al_loop.campaign.task_queue import Task
from al_loop.ledger import Answer
from al_loop.oracles.base import Call, Failure, Outcome


@dataclass(frozen=True)
class CallResult:
    """The result of a call of the oracle for one object.

    Args:
        task: the object.
        outcome: its outcome.
        worker: the name of the worker.
        started: when it began to measure this object.
        finished: when the outcome arrived.
        has_crashed: whether the worker's process died.
    """

    task: Task
    outcome: Outcome
    worker: str
    started: datetime
    finished: datetime
    has_crashed: bool = False

    @property
    def failure(self) -> Failure:
        """The failure, which must be there."""
        assert self.outcome.failure is not None
        return self.outcome.failure

    def as_answer(self, outcome: Outcome) -> Answer:
        """Return the answer for the ledger, with this outcome."""
        return Answer(self.task.candidate.id, outcome, self.worker, self.started, self.finished)


def results_of_call(
    worker: OracleWorker, tasks: Sequence[Task], timeout_s: float, campaign: str, on_note: Callable[[str], None]
) -> Iterator[CallResult]:
    """Call the oracle for some tasks, and yield their results as they arrive.

    If a call of several tasks ends early, those without a result are marked to be called alone, to find the guilty one.

    Args:
        worker: makes the call.
        tasks: the tasks, all at one fidelity.
        timeout_s: longest duration of the call for one object, in seconds.
        campaign: the campaign's unique id, for the idempotency keys.
        on_note: receives messages for the user.
    """
    keys = {task.candidate.object: task.idempotency_key(campaign) for task in tasks}
    limit_s = timeout_s * len(tasks)
    unanswered = deque(tasks)
    started = datetime.now(UTC)
    try:
        call = Call(keys, tasks[0].candidate.fidelity)
        for outcome in worker.call([task.candidate.object for task in tasks], limit_s, call):
            if not unanswered:
                on_note(f"{worker.name} returned more outcomes than objects; the last ones are ignored")
                return
            yield CallResult(unanswered.popleft(), outcome, worker.name, started, datetime.now(UTC))
            started = datetime.now(UTC)
        error: CallEnded = WorkerLost("it returned fewer outcomes than objects")
    except CallEnded as ended:
        error = ended
    outcome, has_crashed = outcome_of_ended_call(error, limit_s), isinstance(error, WorkerLost)
    if len(tasks) > 1:
        for task in unanswered:
            task.is_alone = True
    elif unanswered:
        yield CallResult(unanswered[0], outcome, worker.name, started, datetime.now(UTC), has_crashed)
