"""Rules for closing a round, and for the size of the next batch. Pure functions of counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from al_loop.config.schema import Rounds


@dataclass(frozen=True)
class RoundProgress:
    """The progress of a round.

    Args:
        n_batch: candidates of the round, without those that were vetoed or that people added.
        n_open: how many of these have no answer yet.
        n_waiting: candidates of any round that no oracle worker has taken yet.
        n_needed: how many must wait for no worker to run out while the next batch is decided on.
        n_new: answers that arrived since the round's batch was decided on.
        calls_left: calls that the budget still allows; None for any number.
        has_value: whether anything was measured successfully so far.
        open_s: seconds since the round was opened.
    """

    n_batch: int
    n_open: int
    n_waiting: int
    n_needed: int
    n_new: int
    calls_left: int | None
    has_value: bool
    open_s: float


def may_close(settings: Rounds, number: int, progress: RoundProgress) -> bool:
    """Return whether the next round may start, although not everything was measured.

    Args:
        settings: the config's ``rounds``: ``close_share``, ``close_after_s`` and ``keep_busy``.
        number: the round.
        progress: where it stands.
    """
    is_spent = progress.calls_left is not None and progress.calls_left <= progress.n_waiting
    # the last round has nothing to make room for, and without a single value nothing can be learned
    if number >= settings.count or is_spent or not progress.has_value:
        return False
    if progress.n_open <= int((1 - settings.close_share) * progress.n_batch + 1e-9):
        return True
    if settings.close_after_s is not None and progress.open_s >= settings.close_after_s:
        return True
    has_learned = progress.n_new > 0 and (number > 0 or progress.n_open <= progress.n_batch / 2)
    return settings.keep_busy and has_learned and progress.n_waiting <= progress.n_needed


def n_to_keep_busy(n_workers: int, decision_s: float | None, mean_call_s: float | None) -> int:
    """Return how many candidates must wait for no oracle worker to run out during a decision.

    Args:
        n_workers: number of oracle workers.
        decision_s: seconds that deciding on the last batch took; None if unknown.
        mean_call_s: mean duration of a call in seconds; None or 0 if unknown.
    """
    if decision_s is None or not mean_call_s:
        return n_workers
    return math.ceil(1.2 * n_workers * decision_s / mean_call_s)


def affordable(n: int, calls_left: int | None, n_waiting: int, *, are_fidelities_chosen: bool) -> int:
    """Return how many of n candidates the budget allows beside those that wait already.

    Args:
        n: number of candidates that the config asks for.
        calls_left: calls that the budget still allows; None for any number.
        n_waiting: candidates that no worker has taken yet.
        are_fidelities_chosen: whether calls differ in cost, so that their cost is the limit rather than their number.
    """
    if calls_left is None or (are_fidelities_chosen and calls_left > n_waiting):
        return n
    return max(min(n, calls_left - n_waiting), 0)
