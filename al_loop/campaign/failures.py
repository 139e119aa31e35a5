"""A limit on failures in a row, which stops a campaign whose oracle is broken."""

from __future__ import annotations

from collections import Counter

from al_loop.errors import CampaignError, counted
from al_loop.oracles.base import Failure, Outcome


class FailureStreak:
    """Counts the failures since the last value.

    Args:
        limit: failures in a row that are too many; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._failures: list[Failure] = []

    def add(self, outcome: Outcome) -> CampaignError | None:
        """Count an outcome, and return an error if there were too many failures in a row."""
        if outcome.failure is None:
            self._failures.clear()
            return None
        self._failures.append(outcome.failure)
        if self._limit is None or len(self._failures) < self._limit:
            return None
        kinds = Counter(f.kind for f in self._failures).most_common()
        reason = Counter(f.reason for f in self._failures).most_common(1)[0][0]
        details = ", ".join(f"{n} {kind}" for kind, n in kinds)
        return CampaignError(
            f"the oracle failed for {counted(self._limit, 'object')} in a row ({details}), "
            f"so nothing more is spent; the most common reason: {reason:.300}. Correct the oracle and run the same "
            "command again (al-loop retry RUN asks again for what failed); if so many failures are to be expected, "
            "raise evaluation.stop_after_failures"
        )
