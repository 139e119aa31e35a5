"""Durations of the phases of rounds, and the utilisation of the oracle workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class RoundTimes:
    """Duration of each phase of each round in this process, and utilisation of the oracle workers."""

    def __init__(self) -> None:
        self.seconds: dict[int, dict[str, float]] = {}
        #: share of the oracle workers' time that went into calls, from report to report
        self.utilisation: dict[int, float] = {}
        #: seconds that the last batch took to be decided on
        self.decision_s: float | None = None
        self._round_began = time.monotonic()
        self._round_busy_s = 0.0

    @contextmanager
    def measure(self, number: int, phase: str) -> Iterator[None]:
        """Measure a phase of a round."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds.setdefault(number, {})[phase] = time.monotonic() - began

    def end_round(self, number: int, n_workers: int, busy_s: float) -> None:
        """Compute the utilisation since the round before.

        Args:
            number: the round that ends.
            n_workers: number of oracle workers.
            busy_s: seconds that all of them spent in calls so far.
        """
        now = time.monotonic()
        if n_workers:
            self.utilisation[number] = (busy_s - self._round_busy_s) / (n_workers * max(now - self._round_began, 1e-9))
        self._round_began, self._round_busy_s = now, busy_s
