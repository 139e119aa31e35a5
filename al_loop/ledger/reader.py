"""The read-only half of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.engine import Connection

from al_loop.ledger import copying, queries
from al_loop.ledger.copying import FirstRounds
from al_loop.ledger.database import Database
from al_loop.ledger.records import (
    AttemptRow,
    CampaignRow,
    Candidate,
    Change,
    Decision,
    EvaluationRow,
    Lease,
    Observation,
    Retry,
    RoundRow,
    SessionRow,
)

T = TypeVar("T")


class LedgerReader:
    """The read-only methods of a ledger; ``Ledger`` adds the writing ones.

    Each method reads in its own transaction, retries transient faults, and raises CampaignError if the database remains
    unavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- campaign, sessions, rounds

    def campaign(self) -> CampaignRow | None:
        """Return the campaign, or ``None`` if the ledger has none."""
        return self._database.read(queries.campaign)

    def sessions(self) -> list[SessionRow]:
        """Return every start of the campaign's process, in order."""
        return self._database.read(queries.sessions)

    def rounds(self) -> list[RoundRow]:
        """Return every round with its report, in order."""
        return self._database.read(queries.rounds)

    def last_round(self) -> int | None:
        """Return the number of the newest round, or ``None`` before the first."""
        return self._database.read(queries.last_round)

    def is_closed(self, number: int) -> bool:
        """Return whether the report of a round is committed."""
        return self._database.read(lambda c: queries.is_closed(c, number))

    def last_session(self) -> SessionRow | None:
        """Return the newest start of the campaign's process, or ``None`` before the first."""
        return self._database.read(queries.last_session)

    # -- candidates and decisions

    def candidates(self) -> list[Candidate]:
        """Return every candidate, in order."""
        return self._database.read(queries.candidates)

    def pending(self) -> list[Candidate]:
        """Return the candidates that have no answer and were not vetoed, in order."""
        return self._database.read(queries.pending)

    def in_flight(self) -> dict[Candidate, int]:
        """Return the candidates whose oracle calls (perhaps paid for) have no answer, each with the number of calls."""
        return self._database.read(queries.in_flight)

    def known_objects(self) -> set[str]:
        """Return every object ever proposed."""
        return self._database.read(queries.known_objects)

    def decisions(self) -> list[Decision]:
        """Return every decision of people and of the campaign's rules, in order."""
        return self._database.read(queries.decisions)

    def vetoed(self) -> set[int]:
        """Return the ids of the candidates that people vetoed."""
        return self._database.read(queries.vetoed)

    def is_approved(self, number: int) -> bool:
        """Return whether a person approved the batch of a round."""
        return self._database.read(lambda c: queries.is_approved(c, number))

    def has_gone_out(self, number: int) -> bool:
        """Return whether the batch of a round was approved, or the oracle was called for one of its candidates."""
        return self._database.read(lambda c: queries.has_gone_out(c, number))

    # -- answers and oracle calls

    def observations(self, until: int | None = None) -> list[Observation]:
        """Return the latest answer of each candidate with its object, in the order of the candidates.

        Args:
            until: the largest answer number to include, which reproduces an earlier state; None: all.
        """
        return self._database.read(lambda c: queries.observations(c, until))

    def evaluations(self, *, has_all_revisions: bool = False) -> list[EvaluationRow]:
        """Return the answers, in the order of the candidates.

        Args:
            has_all_revisions: whether to include the answers that were corrected or asked again later.
        """
        return self._database.read(lambda c: queries.evaluations(c, has_all_revisions=has_all_revisions))

    def n_answers(self) -> int:
        """Return the number of the newest answer or retry; corrections have numbers, too."""
        return self._database.read(queries.n_answers)

    def has_measured(self) -> bool:
        """Return whether the oracle has ever measured a value, earlier data aside."""
        return self._database.read(queries.has_measured)

    def answered_since(self, number: int) -> tuple[int, dict[int, bool]]:
        """Return the answers after a number.

        Args:
            number: the number of an answer; 0 precedes the first.

        Returns:
            The number of the newest answer, and for each candidate answered since then, whether it has a value.
        """
        return self._database.read(lambda c: queries.answered_since(c, number))

    def attempts(self) -> list[AttemptRow]:
        """Return every oracle call, by candidate and number."""
        return self._database.read(queries.attempts)

    def n_calls(self) -> int:
        """Return the number of oracle calls, further attempts included, without void ones and those of earlier data."""
        return self._database.read(queries.n_calls)

    def cost(self) -> float:
        """Return the sum of all recorded costs, without calls in flight and earlier data, in the oracle's currency."""
        return self._database.read(queries.cost)

    def retries(self) -> list[Retry]:
        """Return every request to measure a failed candidate again, in order."""
        return self._database.read(queries.retries)

    def first_rounds(self, number: int) -> FirstRounds:
        """Return the rows of the rounds before a number, for another ledger to take over."""
        return self._database.read(lambda c: copying.first_rounds(c, number))

    # -- changes and the lease

    def changes(self) -> list[Change]:
        """Return everything that changed between two starts, in order."""
        return self._database.read(queries.changes)

    def lease(self) -> Lease | None:
        """Return the lease of the process that drives the campaign, or ``None`` if none ever did."""
        return self._database.read(queries.lease)

    # -- tables of large campaigns

    def read(self, query: Callable[[Connection], T]) -> T:
        """Return the result of a query, such as those of ``columns``.

        Args:
            query: reads with a connection, in a transaction of its own.
        """
        return self._database.read(query)
