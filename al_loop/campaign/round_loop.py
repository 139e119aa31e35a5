"""The rounds of an open campaign: start one, wait for its answers, close and report it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from al_loop.campaign.answer_commits import AnswerStores
from al_loop.campaign.answers_at_stop import AnswersAtStop
from al_loop.campaign.building import oracle_identity
from al_loop.campaign.closing import RoundProgress, affordable, may_close, n_to_keep_busy
from al_loop.campaign.context import CampaignContext
from al_loop.campaign.earlier_data import read_earlier_data, summary_of
from al_loop.campaign.evaluation import EvaluationPool, PoolSettings
from al_loop.campaign.reporter import Phase
from al_loop.campaign.round_report import close_rounds
from al_loop.campaign.round_state import records_of
from al_loop.campaign.round_times import RoundTimes
from al_loop.config.initial_data import earlier_data_items
from al_loop.errors import CampaignError, ConfigError, counted
from al_loop.ledger import Candidate, Import, Proposal
from al_loop.monitoring.forecast import Forecast
from al_loop.monitoring.stopping import stop_reason
from al_loop.oracles.base import Outcome
from al_loop.seeding import derive_seed
from al_loop.storage.artifacts import ArtifactFolder
from al_loop.storage.cache import EvaluationCache
from al_loop.system import stopping
from al_loop.system.stopping import FINISH_CALLS, STOP

if TYPE_CHECKING:
    from al_loop.campaign.proposer import Batch, Proposer

_REVIEW_POLL_S = 1.0
#: origins of candidates that were measured without being proposed
_BY_OTHERS = ("told", "imported")


class RoundLoop:
    """Runs rounds while oracle workers measure; to be closed at the end, which ends the workers.

    Args:
        context: of the open campaign.
        has_workers: whether to start oracle workers; without them, all answers come from people.
    """

    def __init__(self, context: CampaignContext, *, has_workers: bool = True) -> None:
        self._context, self._config = context, context.config
        self._ledger, self._parts = context.ledger, context.parts
        self._times = RoundTimes()
        self._n_logged_answers = 0
        self._phase_of_answers: Phase | None = None
        with ExitStack() as opening:
            self._pool = self._open_pool(opening, has_workers=has_workers)
            with ExitStack() as on_failure:
                on_failure.callback(self._pool.close)
                self._pool.submit([c for c in self._ledger.pending() if self._is_released(c.round)])
                on_failure.pop_all()
            self._open = opening.pop_all()

    def _open_pool(self, opening: ExitStack, *, has_workers: bool) -> EvaluationPool:
        evaluation, oracle, parts = self._config.evaluation, self._parts.oracle, self._parts
        cache = None
        if evaluation.cache is not None:
            identity = oracle_identity(self._config, oracle)
            n_values = len(parts.oracle_objectives)
            cache = EvaluationCache(evaluation.cache, identity, self._config.name, self._context.note, n_values)
            opening.callback(cache.close)
        n_workers = evaluation.workers if has_workers and not oracle.is_external else 0
        return EvaluationPool(
            self._ledger,
            [self._context.executor.oracle_worker(i) for i in range(n_workers)],
            PoolSettings(evaluation, self._config.budget, oracle.call_size, parts.fidelities.prices),
            AnswerStores(ArtifactFolder(self._context.directory.artifacts), cache, self._context.rescued),
            on_answer=self._on_answer,
            on_note=self._context.note,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the oracle workers; what they were measuring stays pending, unless it may finish first."""
        request = stopping.current_request()
        level = 0 if request is None else request.level
        finish_calls = level == FINISH_CALLS or (level == STOP and self._config.evaluation.finish_calls)
        if finish_calls and (n := self._pool.n_running):
            self._context.note(f"stopping once {n} running {'call has' if n == 1 else 'calls have'} finished")
        self._pool.close(finish_calls=finish_calls)
        self._open.close()

    @property
    def answers_at_stop(self) -> AnswersAtStop:
        """The destinations of this session's answers; available once the loop is closed."""
        return self._pool.answers_at_stop

    # -- start a round -------------------------------------------------------------------------------------------------

    def start_round(self, number: int, proposer: Proposer) -> bool:
        """Decide on a batch, commit it to the ledger, and have it measured.

        Args:
            number: the round.
            proposer: proposes the batch.

        Returns:
            False if no batch was started: the budget or the space of objects is exhausted, or a stop rule applies.

        Raises:
            ConfigError: no object meets the constraints, so that the campaign cannot begin.
            CampaignError: no object of a later round meets the constraints.
        """
        rounds, reporter = self._config.rounds, self._context.reporter
        earlier = self._earlier_data() if number == 0 else ()
        if number == 0 and self._parts.environment.source:
            reporter.note(self._parts.environment.source)
        for note in self._parts.seeds.notes if number == 0 else ():
            self._context.note(f"seeds: {note}")
        n_answers = self._ledger.n_answers()
        n_first = proposer.n_first(number, n_answers)
        n = self._affordable(rounds.batch_size if n_first is None else n_first)
        if not (n or earlier) or (number and self._stops(number, None)):
            return False
        info: dict[str, Any] = {"n_answers": n_answers}
        if number and n_first is not None:
            info["is_first"] = True
        if self._parts.fidelities.are_several:
            info["fidelities"] = list(self._parts.fidelities.names)
        began = time.monotonic()
        batch = self._propose(number, proposer, n, info, {i.object for i in earlier})
        if number and self._stops(number, batch.forecast):
            return False
        self._times.decision_s = time.monotonic() - began
        is_unreachable = info.get("reached", {}).get("found") == 0
        if not batch.proposals and (n or is_unreachable):
            self._check_constraints(number, proposer, has_earlier=bool(earlier))
        if not batch.proposals and not earlier:
            self._context.stop("no new acceptable object was found: the space counts as exhausted")
            return False
        if len(batch.proposals) < n:
            n_again = sum(p.replicate > 0 for p in batch.proposals)
            n_new, n = len(batch.proposals) - n_again, n - n_again
            rates = proposer.source.pass_rates()
            why = f"; of the objects that were drawn last, {rates}" if rates else ""
            reporter.note(f"round {number}: only {n_new} of {n} new acceptable objects were found{why}")
        seed, seconds = derive_seed(self._config.seed, number), self._times.seconds.get(number, {})
        proposals = self._with_details(batch.proposals)
        if earlier:
            candidates = self._ledger.open_first_round(earlier, proposals, seed=seed, seconds=seconds, info=info)
        else:
            candidates = self._ledger.open_round(number, proposals, seed=seed, seconds=seconds, info=info)
        if self._is_released(number):
            self._pool.submit(candidates)
        return True

    def _check_constraints(self, number: int, proposer: Proposer, *, has_earlier: bool) -> None:
        """Raise an error if a batch is empty because no object meets the constraints."""
        shortage = proposer.source.shortage()
        if number == 0 and shortage:
            raise ConfigError(f"constraints: {shortage}; widen the bounds")
        if number == 0 and not has_earlier:
            raise ConfigError(proposer.source.why_none())
        if shortage:
            raise CampaignError(
                f"constraints: round {number}: {shortage}; widen the bounds, and run the same command again"
            )

    def _with_details(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """Return proposals with what the library says about their objects."""
        entries = self._parts.details([p.object for p in proposals])
        return [replace(p, details=entry or None) for p, entry in zip(proposals, entries, strict=True)]

    def _earlier_data(self) -> tuple[Import, ...]:
        """Return the measurements of the config's initial_data, and tell the user about them."""
        items = earlier_data_items(self._config.initial_data)
        if not items:
            return ()
        data = read_earlier_data(self._parts, items)
        for note in (summary_of(data), *data.notes):
            self._context.note(f"initial_data: {note}")
        if not data.n_values and not self._config.rounds.initial:
            raise ConfigError("initial_data: no measurement has a value to learn from; set rounds.initial")
        return data.imports

    def _propose(self, number: int, proposer: Proposer, n: int, info: dict[str, Any], known: Set[str]) -> Batch:
        """Return the batch of a round, and add its numbers to info; known objects are not in the first batch."""
        times, n_answers = self._times, info["n_answers"]
        if number == 0 or "is_first" in info:
            with times.measure(number, "select"):
                batch = proposer.first_batch(n, known, number)
            info |= batch.info
            return batch
        with times.measure(number, "fit"):
            models = proposer.fit(number, n_answers)
        if self._parts.has_sampler:
            with times.measure(number, "train"):
                info |= proposer.train(number, n_answers, models, self._pool.raise_error)
        with times.measure(number, "select"):
            batch = proposer.select(number, n_answers, models, n, self._pool.cost_left)
        info |= {**models.info, **batch.info}
        return batch

    def _affordable(self, n: int) -> int:
        """Return how many of n calls the budget allows beside the candidates that wait already."""
        pool = self._pool
        calls_left = pool.calls_left()
        if calls_left is not None and calls_left <= pool.n_waiting and pool.n_workers:
            pool.wait()  # some may need no call after all: answered by people, or failed for the last time
            calls_left = pool.calls_left()
        return affordable(n, calls_left, pool.n_waiting, are_fidelities_chosen=self._parts.fidelities.are_several)

    def _stops(self, number: int, forecast: Forecast | None) -> bool:
        """Return whether a stop rule ends the campaign before a round; if so, record it."""
        objectives = self._parts.objectives
        records = records_of(self._context.states.current().rounds, objectives)
        reason = stop_reason(self._config.stop.model_dump(), records, objectives.record_goal, forecast)
        if reason is not None:
            self._context.stop(f"stopped before round {number}: {reason}", "change the rule and run it again")
        return reason is not None

    # -- review --------------------------------------------------------------------------------------------------------

    def _is_released(self, number: int) -> bool:
        """Return whether the batch of a round may be measured: at once, or after a person has approved it."""
        if not self._config.rounds.review or self._ledger.has_gone_out(number):
            return True
        # a first round may consist of earlier data alone
        return not number and all(c.origin in _BY_OTHERS for c in self._ledger.candidates())

    def await_review(self, number: int) -> None:
        """Wait until a person has approved the batch of a round, and have it measured."""
        if self._is_released(number):
            return
        command = f"al-loop review {self._context.directory.path}"
        self._context.note(f"round {number}: the batch awaits review: {command}; to release it: {command} --approve")
        with self._context.reporter.phase(number, "review", 1):
            while not self._is_released(number):
                self._pool.raise_error()
                stopping.pause(_REVIEW_POLL_S)
        self._pool.submit([c for c in self._ledger.pending() if c.round == number])

    # -- finish a round ------------------------------------------------------------------------------------------------

    def finish_round(self, number: int) -> bool:
        """Wait until a round may close, and report it.

        Args:
            number: the round.

        Returns:
            Whether the budget ended it.
        """
        pool, directory = self._pool, self._context.directory
        if self._parts.oracle.is_external and pool.n_open:
            waiting = f"{counted(pool.n_open, 'object')} {'awaits' if pool.n_open == 1 else 'await'} measurement"
            self._context.note(
                f"round {number}: {waiting}. To export them as a table: "
                f"al-loop ask {directory.path}; to import results: al-loop tell {directory.path} FILE"
            )
        with (
            self._times.measure(number, "evaluate"),
            self._context.reporter.phase(number, "oracle", pool.n_open) as phase,
        ):
            self._phase_of_answers = phase
            is_spent = pool.wait(self._closes(number))
            self._phase_of_answers = None
        self._times.end_round(number, pool.n_workers, pool.busy_s)
        self.close_rounds(number)
        return is_spent

    def close_rounds(self, last: int) -> None:
        """Report every round up to the last that has no report."""
        close_rounds(self._context, last, self._times)

    def is_over(self, number: int) -> bool:
        """Return whether the next batch may be decided on now, after a round."""
        return self._is_released(number) and (not self._pool.n_open or self._closes(number)())

    def _closes(self, number: int) -> Callable[[], bool]:
        """Return a function that says whether the next round may start now."""
        pool, ledger = self._pool, self._ledger
        vetoed = ledger.vetoed()
        state = self._context.states.current()
        proposed = [c for c in state.candidates if c.round == number and c.origin not in _BY_OTHERS]
        batch = [c.id for c in proposed if c.id not in vetoed]
        row = state.rounds[number]
        n_before = ledger.n_answers() - row.info.get("n_answers", 0) - pool.n_settled
        had_value = any(o.values is not None for o in state.observations)

        def closes() -> bool:
            progress = RoundProgress(
                n_batch=len(batch),
                n_open=pool.n_open_of(batch),
                n_waiting=pool.n_waiting,
                n_needed=n_to_keep_busy(pool.n_workers, self._times.decision_s, pool.mean_call_s),
                n_new=n_before + pool.n_settled,
                calls_left=pool.calls_left(),
                has_value=had_value or pool.n_values > 0,
                open_s=(datetime.now(UTC) - row.opened).total_seconds(),
            )
            return may_close(self._config.rounds, number, progress)

        return closes

    def finish(self, is_spent: bool, is_finished: Callable[[], bool]) -> None:
        """Wait for the last answers, and record it if the budget ended the campaign.

        Args:
            is_spent: whether the budget is known to be spent.
            is_finished: says whether everything was measured.
        """
        pool = self._pool
        with self._context.reporter.phase(self._ledger.last_round() or 0, "last answers", pool.n_open):
            is_spent = pool.wait() or is_spent
        if not (is_spent or (pool.is_spent and not is_finished())):
            return
        n_open = len(self._ledger.pending())
        reason = f"the budget is spent ({counted(self._ledger.n_calls(), 'call')}, cost {self._ledger.cost():g})"
        reason += f"; {counted(n_open, 'candidate')} {'was' if n_open == 1 else 'were'} not measured" if n_open else ""
        self._context.stop(reason, "raise budget.calls or budget.cost")

    def _on_answer(self, candidate: Candidate, outcome: Outcome | None, seconds: float) -> None:
        """Log an answer; called by the threads of the pool."""
        self._n_logged_answers += 1
        if outcome is not None:
            numbers = {
                "oracle/seconds": seconds,
                "oracle/failed": float(outcome.failure is not None),
                "oracle/open": self._pool.n_open,
            }
            self._context.sinks.log(self._n_logged_answers, numbers)
            if outcome.failure is not None:
                self._context.reporter.detail(f"{candidate.object}: {outcome.failure.kind}: {outcome.failure.reason}")
        if self._phase_of_answers is not None:
            self._phase_of_answers.advance()
