"""The way of an answer from the oracle into the ledger, or beside it where the ledger does not take it in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from al_loop.campaign.answers_at_stop import AnswersAtStop
from al_loop.campaign.group_commit import GroupCommit
from al_loop.errors import CampaignError, summary
from al_loop.ledger import Answer, Candidate, Ledger
from al_loop.ledger.faults import is_refusal
from al_loop.oracles.base import Outcome
from al_loop.storage.artifacts import ArtifactFolder
from al_loop.storage.cache import EvaluationCache
from al_loop.storage.rescued import RescuedAnswers


@dataclass(frozen=True)
class AnswerStores:
    """Stores of answers besides the ledger.

    Args:
        artifacts: for the files that the oracle returns; None to keep none.
        cache: answers that campaigns share; None to share none.
        rescued: for answers that the ledger could not take; None to lose them.
    """

    artifacts: ArtifactFolder | None = None
    cache: EvaluationCache | None = None
    rescued: RescuedAnswers | None = None


class AnswerCommits:
    """Commits answers, and remembers each one from its arrival until it is in the ledger. Safe to use from threads.

    Args:
        ledger: where the answers belong.
        stores: where they are put beside.
        on_note: receives messages for the user.
    """

    def __init__(self, ledger: Ledger, stores: AnswerStores, on_note: Callable[[str], None]) -> None:
        self._ledger, self._stores, self._on_note = ledger, stores, on_note
        self._lock = threading.Lock()
        self._in_hand: dict[int, Answer] = {}
        self._n_committed = 0
        self._is_stopping = False
        self._together = GroupCommit(self._commit_all)

    def commit(self, candidate: Candidate, answer: Answer) -> None:
        """Return once the answer is in the ledger, or was refused with a message.

        Args:
            candidate: the candidate.
            answer: its answer.

        Raises:
            CampaignError: the ledger did not take the answer in time; the message says where it is.
        """
        with self._lock:
            self._in_hand[candidate.id] = answer
            is_stopping = self._is_stopping
        if is_stopping:
            self._put_beside([answer])
        if self._stores.artifacts is not None and answer.outcome.artifacts:
            answer = replace(answer, outcome=self._stores.artifacts.save(candidate.id, answer.outcome))
        refusal = self._together(answer)
        with self._lock:
            del self._in_hand[candidate.id]
            self._n_committed += refusal is None
        if refusal is not None:
            self._set_aside(candidate, answer, refusal)

    def stop_waiting(self) -> None:
        """Put all answers that are on their way beside the ledger at once, as well as those that still arrive."""
        with self._lock:
            self._is_stopping = True
            in_hand = list(self._in_hand.values())
        self._put_beside(in_hand)

    def account(self) -> AnswersAtStop:
        """Return what became of the answers of this session; those that the ledger took after all are kept no more."""
        rescued = self._stores.rescued
        kept = {} if rescued is None else rescued.kept()
        with self._lock:
            in_hand, n_committed = set(self._in_hand), self._n_committed
        if rescued is not None:
            rescued.drop(kept.keys() - in_hand)
        still_kept = {id_: path for id_, path in kept.items() if id_ in in_hand}
        n_lost = len(in_hand - still_kept.keys())
        return AnswersAtStop(n_committed, len(still_kept), sorted(set(still_kept.values())), n_lost)

    def _put_beside(self, answers: Sequence[Answer]) -> None:
        if not answers or self._stores.rescued is None:
            return
        if not self._stores.rescued.put_beside(answers):
            self._on_note(f"these answers are not in the ledger yet, and no file can be written: {answers}")

    def _commit_all(self, answers: list[Answer]) -> list[str | None]:
        try:
            return self._ledger.commit_answers(answers)
        except Exception as error:
            if is_refusal(error):  # of one of them, which must not keep the others out
                return (
                    [reason for a in answers for reason in self._commit_all([a])]
                    if len(answers) > 1
                    else [self._commit_bare(answers[0], error)]
                )
            if self._stores.rescued is None:
                raise
            raise self._stores.rescued.keep(answers, error) from error

    def _commit_bare(self, answer: Answer, error: Exception) -> str | None:
        """Commit an answer that the database refuses without what need not be in it, and keep the whole one aside."""
        reason = f"the database refuses it ({summary(error.__cause__ or error)})"
        aside = None if self._stores.rescued is None else self._stores.rescued.set_aside([(answer, reason)])
        where = f"the whole answer is in {aside}" if aside else "the whole answer could not be kept"
        bare = replace(answer.outcome, info={"set_aside": f"{reason}; {where}"}, artifacts={})
        failure = Outcome.failed("permanent", f"{reason}; {where}")
        for outcome in (bare, replace(failure, cost=answer.outcome.cost), failure):
            try:
                refusal = self._ledger.commit_answers([replace(answer, outcome=outcome)])[0]
            except Exception as again:
                if not is_refusal(again):
                    raise
                continue
            lost = "its info" if outcome is bare else "its values"
            self._on_note(f"candidate {answer.candidate_id}: {lost} cannot be recorded: {reason}; {where}")
            return refusal
        raise CampaignError(f"the answer for candidate {answer.candidate_id} cannot be recorded: {reason}; {where}")

    def _set_aside(self, candidate: Candidate, answer: Answer, refusal: str) -> None:
        aside = None if self._stores.rescued is None else self._stores.rescued.set_aside([(answer, refusal)])
        where = "" if aside is None else f" (it is kept in {aside})"
        self._on_note(f"{candidate.object}: {refusal}; this answer is not recorded{where}: {answer.outcome}")
