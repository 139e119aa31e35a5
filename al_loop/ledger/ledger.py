"""The class ``Ledger``: the durable record of a campaign. Requires neither torch nor ray.

The ledger is a campaign's single source of truth. Rows are inserted and never changed: triggers in the database reject
UPDATE and DELETE, so that not even an SQL console can rewrite a measurement. A write is durable when its call returns,
or the call raises. SQLite and PostgreSQL have the same tables and return the same results.

Every write runs under one lock (a process-wide lock and ``BEGIN IMMEDIATE`` on SQLite, an advisory lock on PostgreSQL),
so that a check and the insert that depends on it are atomic, and ids have neither gaps nor races. A write interrupted
by a lost connection is retried; the retry first checks whether its rows were committed after all. Transient faults (a
full disk, a restarting server) are retried for ``patience_s``.

Answers are numbered in the order of their commits, so that one number identifies the data behind a batch. A mistake in
an answer is corrected by a further *revision*: the latest is used, and the earlier ones remain in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from sqlalchemy.engine import URL

from al_loop.errors import CampaignError
from al_loop.ledger import answers as answer_writes
from al_loop.ledger import campaigns, copying
from al_loop.ledger import changes as change_writes
from al_loop.ledger import decisions as decision_writes
from al_loop.ledger import imports as import_writes
from al_loop.ledger import retries as retry_writes
from al_loop.ledger import rounds as round_writes
from al_loop.ledger.copying import FirstRounds
from al_loop.ledger.database import PATIENCE_S, Database
from al_loop.ledger.leased import LeasedLedger
from al_loop.ledger.records import Answer, Candidate, Change, Import, Proposal
from al_loop.oracles.base import Objective


class Ledger(LeasedLedger):
    """The record of one campaign in a SQLite file or a PostgreSQL database. Safe to use from many threads.

    A ledger with an older schema is upgraded when it is opened for writing (see ``migrations``); when it is opened for
    reading, a temporary copy is upgraded instead, which does not follow later writes.

    Args:
        url: ``sqlite:///RUN/ledger.db`` or ``postgresql+psycopg://user@host/database``; the tables are created if the
            database is empty.
        read_only: whether to open an existing ledger for reading; nothing is created, and every write raises.
        patience_s: how long a step is retried after a transient fault before it raises CampaignError, in seconds.
        on_wait: receives one message, with the reason, if the retries take long.

    Raises:
        ConfigError: the database is not reachable or writable, has other contents, or requires a newer al-loop.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        read_only: bool = False,
        patience_s: float = PATIENCE_S,
        on_wait: Callable[[str], None] = lambda message: None,
    ) -> None:
        super().__init__(Database(url, read_only=read_only, patience_s=patience_s, on_wait=on_wait))
        #: the database's URL as text, without and with its password
        self.name, self.url = self._database.name, self._database.url
        self._n_values: int | None = None

    # -- campaign and rounds

    def begin_campaign(
        self,
        *,
        name: str,
        config: Mapping[str, Any],
        fingerprint: str,
        seed: int,
        objectives: Sequence[Objective],
        versions: Mapping[str, str],
    ) -> bool:
        """Record the campaign, if it is new, and this start of its process.

        Args:
            name: the campaign's name.
            config: its config; the config of the first start remains the campaign's.
            fingerprint: a hash of the settings that must not change between starts.
            seed: its seed, of any size.
            objectives: the values that its oracle measures.
            versions: the versions of the packages involved.

        Returns:
            Whether the campaign is new.

        Raises:
            ConfigError: the ledger has a campaign with another fingerprint.
        """
        is_new = self._database.write(
            campaigns.begin_campaign(
                self.name,
                name=name,
                config=config,
                fingerprint=fingerprint,
                seed=seed,
                objectives=objectives,
                versions=versions,
            )
        )
        self._n_values = len(objectives)
        return is_new

    def open_round(
        self,
        number: int,
        batch: Sequence[Proposal],
        *,
        seed: int,
        seconds: Mapping[str, float],
        info: Mapping[str, Any],
    ) -> list[Candidate]:
        """Commit a round and its batch, all or nothing.

        Args:
            number: the round; rounds count from 0, without gaps.
            batch: the proposals.
            seed: the round's seed.
            seconds: the duration of each phase before the batch, by name.
            info: further details of the batch (JSON types).

        Returns:
            The candidates of the batch, in its order.

        Raises:
            CampaignError: the round exists, an object was proposed before or is in the batch twice, or the batch is
                empty.
        """
        return self._drive(round_writes.open_round(number, batch, seed=seed, seconds=seconds, info=info))

    def open_first_round(
        self,
        imports: Sequence[Import],
        batch: Sequence[Proposal],
        *,
        seed: int,
        seconds: Mapping[str, float],
        info: Mapping[str, Any],
    ) -> list[Candidate]:
        """Commit round 0 with earlier measurements and a batch, all or nothing.

        Args:
            imports: the earlier measurements, which become candidates with an answer.
            batch: the proposals; may be empty.
            seed: the round's seed.
            seconds: the duration of each phase before the batch, by name.
            info: further details of the batch (JSON types).

        Returns:
            The candidates of the batch, in its order.

        Raises:
            CampaignError: as ``open_round``.
        """
        n_values = self._number_of_values()
        return self._database.write(
            import_writes.open_first_round(imports, batch, n_values, seed=seed, seconds=seconds, info=info)
        )

    def add_imports(self, imports: Sequence[Import]) -> list[str]:
        """Commit earlier measurements to the last round, all or nothing.

        Args:
            imports: the earlier measurements; those of objects that are measured, being measured or vetoed are left
                out.

        Returns:
            The objects whose measurements were committed.

        Raises:
            CampaignError: there is no round yet.
        """
        return self._database.write(import_writes.add_imports(imports, self._number_of_values())) if imports else []

    def close_round(self, number: int, *, metrics: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
        """Commit the report of a round.

        Args:
            number: the round.
            metrics: its metrics (JSON types).
            seconds: the duration of each phase after the batch, by name.

        Raises:
            CampaignError: the round was never opened, or is closed already.
        """
        self._drive(round_writes.close_round(number, metrics=metrics, seconds=seconds))

    # -- decisions

    def decide(
        self,
        number: int,
        *,
        vetoes: Mapping[int, str],
        pins: Mapping[str, str],
        approve: bool,
        by: str,
        reason: str = "",
        fidelity: str = "",
    ) -> list[Candidate]:
        """Commit a person's decisions about the batch of a round, all or nothing.

        A vetoed candidate is neither measured nor proposed again. A pinned object becomes a further candidate, which
        can be vetoed like any other. No decision is possible after the approval.

        Args:
            number: the round, which must be the last.
            vetoes: the reason for each veto, by the candidate's id.
            pins: the reason for each pin, by the object to measure in addition.
            approve: whether to release the batch for measurement.
            by: the name of the person.
            reason: the reason for the approval; may be empty.
            fidelity: the fidelity at which to measure the pinned objects.

        Returns:
            The pinned candidates.

        Raises:
            CampaignError: one of the decisions is not possible; none is committed.
        """
        return self._database.write(
            decision_writes.decide(
                number, vetoes=vetoes, pins=pins, approve=approve, by=by, reason=reason, fidelity=fidelity
            )
        )

    def stop(self, reason: str) -> None:
        """Record why the campaign ends after the last round; does nothing before the first round."""
        self._drive(decision_writes.stop(reason))

    def take_over(self, first: FirstRounds, *, campaign: Mapping[str, Any], session: Mapping[str, Any]) -> None:
        """Fill this empty ledger with the first rounds of another campaign, whose answers cost this one nothing.

        Args:
            first: the rows of the rounds.
            campaign: the row of the new campaign.
            session: the row of its first session.

        Raises:
            ConfigError: the ledger has a campaign already.
        """
        self._database.write(copying.take_over(self.name, first, campaign, session))

    def record_changes(self, changes: Sequence[Change]) -> None:
        """Record what changed since the last start, all or nothing."""
        if changes:
            self._database.write(change_writes.record_changes(changes))

    # -- oracle calls and answers

    def begin_attempts(self, candidate_ids: Sequence[int], worker: str | Mapping[int, str]) -> dict[int, int]:
        """Record oracle calls that are about to start.

        Args:
            candidate_ids: the candidates to measure.
            worker: the worker that calls the oracle, for all candidates or by candidate.

        Returns:
            The number of each candidate's call, from 1.

        Raises:
            CampaignError: a candidate is unknown, vetoed or answered; no call is recorded.
        """
        return self._drive(answer_writes.begin_attempts(candidate_ids, worker)) if candidate_ids else {}

    def hand_out(self, candidate_ids: Sequence[int], worker: str, n: int | None = None) -> dict[int, int]:
        """Record calls of those candidates that nobody is measuring, so that two people never get the same one.

        Args:
            candidate_ids: the candidates, in the order in which they are handed out.
            worker: who measures them.
            n: largest number of candidates; None for all.

        Returns:
            The number of the call of each candidate that was handed out.
        """
        return self._database.write(answer_writes.hand_out(candidate_ids, worker, n)) if candidate_ids else {}

    def commit_answers(self, answers: Sequence[Answer]) -> list[str | None]:
        """Commit answers; one without a full set of finite values becomes a permanent failure.

        Args:
            answers: the answers; they may include ones that are in the ledger already.

        Returns:
            ``None`` for each answer that is in the ledger now; for any other, the reason for its refusal: the candidate
            is unknown, vetoed, or has a different answer.

        Raises:
            CampaignError: the database was unavailable for ``patience_s``.
        """
        if not answers:
            return []
        return self._database.write(answer_writes.commit_answers(answers, self._number_of_values()))

    def commit_told(
        self, answers: Sequence[Answer], corrections: Sequence[Answer], extra: Mapping[str, Answer]
    ) -> None:
        """Commit people's measurements, all or nothing.

        Args:
            answers: first answers of candidates.
            corrections: answers that replace earlier ones, which remain as earlier revisions.
            extra: answers for objects that were never proposed, by object (their candidate_id is ignored); the objects
                become further candidates of the last round.

        Raises:
            CampaignError: one of the answers is not acceptable; none is committed.
        """
        self._database.write(answer_writes.commit_told(answers, corrections, extra, self._number_of_values()))

    def retry(self, candidate_ids: Sequence[int], *, reason: str, by: str) -> None:
        """Make failed candidates pending again, all or nothing; their failures remain as earlier revisions.

        Args:
            candidate_ids: the candidates, whose latest answers are failures.
            reason: the reason; may be empty.
            by: the name of the person.

        Raises:
            CampaignError: a candidate has no answer, was asked again already, or has values; none is asked again.
        """
        if candidate_ids:
            self._database.write(retry_writes.retry(candidate_ids, reason=reason, by=by))

    def void_attempts(self, calls: Collection[tuple[int, int]], reason: str) -> None:
        """Declare oracle calls void, because the oracle could not work: they spend nothing of the budget.

        Args:
            calls: the candidate and the number of each call.
            reason: the reason.
        """
        if calls:
            self._database.write(retry_writes.void_attempts(calls, reason))

    def _number_of_values(self) -> int:
        if self._n_values is None:
            campaign = self.campaign()
            if campaign is None:
                raise CampaignError("the ledger has no campaign yet; call begin_campaign first")
            self._n_values = len(campaign.objectives)
        return self._n_values

    # -- closing

    def stop_waiting(self) -> None:
        """Stop retrying: running and later steps fail at their next transient fault."""
        self._database.stop_waiting()

    def close(self) -> None:
        """Close the connections; every committed row is on disk already."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
