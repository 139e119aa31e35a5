"""Attribution of an oracle's failures: to the objects, or to the oracle itself and what it needs.

Only failures of objects are answers. While nothing was ever measured, failures are held back: if the first objects all
fail in the same way, the oracle is to blame. A service that is unavailable is waited for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from al_loop.campaign.oracle_call import CallResult
from al_loop.campaign.task_queue import Task
from al_loop.config import Evaluation
from al_loop.errors import CampaignError
from al_loop.system.checks import LONGEST_S

_N_ALIKE = 5  # that so many different objects fail alike, with nothing ever measured, is no coincidence
_RETURNED = "the oracle returned"  # something that is no value, such as NaN: it may well be of many objects
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 60.0
_VARIABLE = re.compile(r"\boracle-\d+\.log\b|\b0x[0-9a-fA-F]+\b")  # parts of a reason that differ from call to call


@dataclass(frozen=True)
class Ruling:
    """The treatment of results.

    Args:
        answers: results that are answers, to be committed.
        again: tasks to be called again, each after a pause in seconds.
        void: results that are no answers; the calls were for nothing.
        note: a message for the user; empty for none.
        error: what stops the campaign, if anything.
    """

    answers: Sequence[CallResult] = ()
    again: Sequence[tuple[Task, float]] = ()
    void: Sequence[CallResult] = ()
    note: str = ""
    error: CampaignError | None = None


@dataclass
class _Outage:
    """A time in which the oracle is unavailable."""

    since: float
    n_probes: int = 0
    next_probe: float = 0.0


class OracleHealth:
    """Judges the results of calls. Not thread-safe: the evaluation pool locks it.

    Args:
        settings: the config's ``evaluation``: attempts, pauses, ``patience_s`` and ``stop_after_failures``.
        has_measured: whether the oracle measured anything in an earlier session.
    """

    def __init__(self, settings: Evaluation, has_measured: bool) -> None:
        self._settings = settings
        self._has_measured = has_measured
        #: failures of objects that differ show that the oracle works
        self._is_trusted = has_measured or settings.stop_after_failures is None
        self._held: list[CallResult] = []
        self._failing: set[int] = set()  # objects that failed in a way that may pass, since the last value
        self._outage: _Outage | None = None

    @property
    def is_down(self) -> bool:
        """Whether the oracle is unavailable."""
        return self._outage is not None

    def pause_s(self, n_running: int) -> float | None:
        """Return how long no call may begin; None if one may begin now.

        Args:
            n_running: number of calls that run; while the oracle is unavailable, one at a time tries it.
        """
        if self._outage is None:
            return None
        left_s = self._outage.next_probe - time.monotonic()
        return None if left_s <= 0 and n_running == 0 else max(left_s, _PAUSE_S)

    @property
    def n_held(self) -> int:
        """Number of results that are held back."""
        return len(self._held)

    def judge(self, result: CallResult) -> Ruling:
        """Return what becomes of a result, and of those that were held back."""
        task, failure = result.task, result.outcome.failure
        if failure is None:
            return self._value(result)
        if failure.kind == "environment" or (failure.kind == "unavailable" and not self._has_measured):
            return self._stop(
                [*self._take_held(), result],
                f"the oracle cannot work: {failure.reason}. No object is to blame, so nothing was recorded or spent",
            )
        if failure.kind == "unavailable":
            return self._wait(result)
        if failure.kind == "retryable":
            task.n_failed += 1
            if not result.has_crashed:
                self._failing.add(task.candidate.id)
            if task.n_failed < self._settings.attempts:
                return Ruling(again=[(task, _doubled(self._settings.backoff_s, task.n_failed - 1))])
            if self._has_measured and not result.has_crashed and len(self._failing) > 1:
                return self._wait(result)
        self._outage = None
        is_returned = failure.reason.startswith(_RETURNED)
        if self._is_trusted or is_returned or failure.kind not in ("permanent", "retryable"):
            return Ruling(answers=[result])
        self._held.append(result)
        return self.conclude() if len(self._held) == _N_ALIKE else Ruling()

    def conclude(self) -> Ruling:
        """Return what becomes of the results that were held back, because no further ones will come."""
        held = self._take_held()
        if len(held) > 1 and self._are_alike(held):
            return self._stop(
                held,
                f"the first {len(held)} objects all failed in the same way ({held[-1].failure.reason:.300}), so the "
                "oracle itself seems to be broken, and nothing was recorded or spent (if such failures are expected, "
                "let the oracle report them as 'invalid', or set evaluation.stop_after_failures to null)",
            )
        self._is_trusted = self._is_trusted or bool(held)
        return Ruling(answers=held)

    @staticmethod
    def _are_alike(held: Sequence[CallResult]) -> bool:
        is_passing = all(r.failure.kind == "retryable" and not r.has_crashed for r in held)
        return is_passing or len({(r.failure.kind, _VARIABLE.sub("", r.failure.reason)) for r in held}) == 1

    def _value(self, result: CallResult) -> Ruling:
        """Return that the failures held back are the objects' own; those that may pass are tried again."""
        held = self._take_held()
        self._has_measured = self._is_trusted = True
        self._failing.clear()
        self._outage = None
        passing = [r for r in held if r.failure.kind == "retryable" and not r.has_crashed]
        for earlier in passing:
            earlier.task.n_failed = 0
        return Ruling(answers=[*(r for r in held if r not in passing), result], again=[(r.task, 0.0) for r in passing])

    def _wait(self, result: CallResult) -> Ruling:
        """Return that an object is called again when the oracle is available again, or that this takes too long."""
        note = ""
        if self._outage is None:
            self._outage = _Outage(time.monotonic())
            note = (
                f"the oracle is unavailable ({result.failure.reason:.300}); waiting for up to "
                f"{self._settings.patience_s:g} s (evaluation.patience_s); nothing is lost"
            )
        outage = self._outage
        waited_s = time.monotonic() - outage.since
        result.task.n_failed = 0
        if waited_s >= self._settings.patience_s:
            return self._stop(
                [result],
                f"the oracle has been unavailable for {waited_s:.0f} s (evaluation.patience_s = "
                f"{self._settings.patience_s:g}): {result.failure.reason:.300}. Every answer is safe",
            )
        pause_s = _doubled(max(self._settings.backoff_s, _PAUSE_S), outage.n_probes)
        pause_s = min(pause_s, _LONGEST_PAUSE_S, self._settings.patience_s - waited_s)
        outage.n_probes += 1
        outage.next_probe = time.monotonic() + pause_s
        return Ruling(again=[(result.task, 0.0)], void=[result], note=note)

    def _stop(self, void: Sequence[CallResult], reason: str) -> Ruling:
        return Ruling(void=void, error=CampaignError(f"{reason}; correct the oracle and run the same command again"))

    def _take_held(self) -> list[CallResult]:
        held, self._held = self._held, []
        return held


def _doubled(pause_s: float, n: int) -> float:
    """Return a pause that was doubled n times, at most 20 times and to as long as timers take."""
    return min(pause_s * 2.0 ** min(n, 20), LONGEST_S)
