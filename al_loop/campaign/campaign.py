"""The campaign: open a run, run its rounds, close it. Everything about the past comes from the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.util import immutabledict

from al_loop.campaign.building import campaign_fingerprint
from al_loop.campaign.context import CampaignContext
from al_loop.campaign.course import changes_of_course, public_config, summaries
from al_loop.campaign.driver_lease import DriverLease
from al_loop.campaign.earlier_data import read_earlier_data
from al_loop.campaign.executor import Executor
from al_loop.campaign.guarded_reporter import GuardedReporter
from al_loop.campaign.imports import commit_import, plan_import
from al_loop.campaign.preparation import CampaignParts, prepare
from al_loop.campaign.provenance import changed_origins, describe, origins, written_files
from al_loop.campaign.recorded_defaults import as_begun
from al_loop.campaign.reporter import Reporter
from al_loop.campaign.round_loop import RoundLoop
from al_loop.campaign.round_report import close_rounds
from al_loop.campaign.round_times import RoundTimes
from al_loop.campaign.tracking import TrackingReporter
from al_loop.config import CampaignConfig, build
from al_loop.config.initial_data import earlier_data_items
from al_loop.config.method import described
from al_loop.config.plugins import load_target
from al_loop.config.space_defaults import former_blocks_note
from al_loop.errors import counted, summary
from al_loop.ledger import Lease, Ledger
from al_loop.ledger.engines import parse_url, sqlite_url
from al_loop.outgoing import redacted, remember_secrets_of
from al_loop.sinks import Sinks, Status
from al_loop.storage.activity import ActivityFile
from al_loop.storage.checkpoints import Checkpoints
from al_loop.storage.ledger_head import LedgerHead
from al_loop.storage.rescued import RescuedAnswers
from al_loop.storage.run_directory import RunDirectory
from al_loop.system.stopping import Stopped, StopRequest, current_request, stop_on_unhandled_signals

if TYPE_CHECKING:
    from al_loop.campaign.proposer import Proposer

#: the executor of campaigns that are given none: this machine, without Ray. It is found by its name, as ``target:``
#: parts are, because this package must not import ``actors``.
DEFAULT_EXECUTOR = "al_loop.actors.local:LocalExecutor"


def ledger_url(config: CampaignConfig, run_dir: Path) -> URL:
    """Return the database URL of a campaign's ledger: the config's, or a file in the run directory.

    Args:
        config: the campaign's config.
        run_dir: its run directory.
    """
    return sqlite_url(run_dir.resolve() / "ledger.db") if config.ledger is None else parse_url(config.ledger)


def public_url(config: CampaignConfig, run_dir: Path) -> str:
    """Return the URL of a campaign's ledger as text without its password; references such as ``${NAME}`` stay."""
    url = make_url(config.ledger) if config.ledger and "${" in config.ledger else ledger_url(config, run_dir)
    secret = "" if url.password is None else str(url.password)
    query = {name: value for name, value in url.query.items() if redacted(value, name) == value}
    shown = url._replace(password=secret if "${" in secret else None, query=immutabledict(query))
    return shown.render_as_string(hide_password=False).replace(quote(secret, safe=""), secret)


class Campaign:
    """A discovery campaign: ``Campaign(config, run_dir).run()`` starts it, or resumes it where it stopped.

    Opening it checks the config against the oracle, locks the run directory and writes the first rows of the ledger.
    Use it as a context manager, or call ``close``.

    Args:
        config: what to do.
        run_dir: directory of the ledger (unless the config names a database), checkpoints, logs and artifacts.
        executor: where samplers, surrogate and oracle workers run; left out: on this machine, without Ray.
        reporter: receives progress and messages; left out: nobody does.
        accept_change: if the oracle's code or data changed since the last start, the reason why earlier and later
            values may be used together; left out: such a change is refused.

    Raises:
        ConfigError: the config does not fit the oracle, this machine lacks the device, the run directory is in use or
            cannot be written to, its ledger is of another campaign, or another process drives the campaign.
    """

    def __init__(
        self,
        config: CampaignConfig,
        run_dir: str | Path,
        executor: Executor | None = None,
        reporter: Reporter | None = None,
        accept_change: str | None = None,
    ) -> None:
        self.config = config = as_begun(config, ledger_url(config, Path(run_dir)), Path(run_dir))
        remember_secrets_of(config.model_dump(mode="json"))
        self._reporter, self._sinks = GuardedReporter(reporter or Reporter()), Sinks([])
        self._stop = current_request() or StopRequest()
        parts = prepare(config)
        parts.check(is_new=not (Path(run_dir) / "campaign.json").is_file())
        if executor is None:
            parts.check_device()
        patience_s = config.evaluation.patience_s
        with ExitStack() as opening:
            self.directory = RunDirectory(Path(run_dir), patience_s, self._note)
            opening.callback(self.directory.close)
            self._activity = ActivityFile(self.directory.path)
            url = ledger_url(config, self.directory.path)
            ledger = opening.enter_context(Ledger(url, patience_s=patience_s, on_wait=self._note))
            head = LedgerHead(self.directory.path)
            if loss := head.compare(ledger):
                self._note(loss)
            ledger.watch(head.write)
            previous = ledger.lease()
            opening.enter_context(DriverLease(ledger))
            pointer = json.dumps({"ledger": public_url(config, self.directory.path), "folders": config.folders})
            self.directory.write(self.directory.path / "campaign.json", pointer.encode())
            #: whether this start is the first of the campaign
            self.is_new = self._begin(ledger, parts, previous, accept_change)
            if self.is_new and config.method is not None:
                self._note(described(config))
            if self.is_new and (note := former_blocks_note(config)):
                self._note(note)
            row = ledger.campaign()
            assert row is not None
            self._uid = row.uid
            location = config.checkpoints or str(self.directory.checkpoints.absolute())
            checkpoints = Checkpoints(location, row.uid, patience_s, self._note)
            rescued = RescuedAnswers(self.directory.path, row.uid)
            if n := rescued.restore(ledger, self._note):
                verb = "is" if n == 1 else "are"
                self._note(f"{counted(n, 'answer')} that an earlier start could not commit {verb} in the ledger now")
            executor = executor or load_target(DEFAULT_EXECUTOR)(config, self.directory.logs)
            opening.callback(executor.close)
            executor.log_to(self.directory.logs)
            sinks = [*(build("sink", part) for part in config.sinks), *executor.sinks()]
            self._sinks = Sinks(sinks, self._reporter.note)
            self._context = CampaignContext(
                parts,
                self.directory,
                ledger,
                checkpoints,
                rescued,
                executor,
                TrackingReporter(self._reporter, self._activity),
                self._sinks,
            )
            ledger.checkpoint()
            self._open = opening.pop_all()

    def __enter__(self) -> Campaign:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the executor's processes, close the ledger and unlock the run directory."""
        self._open.close()

    @property
    def is_finished(self) -> bool:
        """Whether every round of the config is measured."""
        ledger = self._context.ledger
        last = ledger.last_round()
        return last is not None and last >= self.config.rounds.count and not ledger.pending()

    def run(self, n_rounds: int | None = None) -> None:
        """Run the rounds that are left.

        Args:
            n_rounds: how many of them, counted from the first that is not closed; None: all.

        Raises:
            CampaignError: the campaign cannot continue, for example because the oracle returned no value at all.
        """
        with stop_on_unhandled_signals(self._stop), self._session():
            self._import_added_data()
            if self.is_finished:
                close_rounds(self._context, self._last_round, RoundTimes())
                return
            with self._loop() as loop, self._proposer() as proposer:
                is_spent = self._run_rounds(loop, proposer, n_rounds)
                loop.finish(is_spent, lambda: self.is_finished)

    def stop(self, *, finish_calls: bool = False) -> None:
        """Have ``run`` stop cleanly and raise ``Stopped``; called from another thread. A second call stops faster.

        Args:
            finish_calls: whether the calls of the oracle that run may finish first.
        """
        self._stop.make(finish_calls=finish_calls)

    @contextmanager
    def _loop(self, *, has_workers: bool = True) -> Iterator[RoundLoop]:
        """Yield the loop of rounds; if it is ended before its end, say what became of the answers."""
        loop = RoundLoop(self._context, has_workers=has_workers)
        try:
            with loop:
                yield loop
        except Stopped as stopped:
            stopped.answers = str(loop.answers_at_stop)
            raise
        except BaseException:
            if loop.answers_at_stop.are_some_missing:
                self._note(str(loop.answers_at_stop))
            raise

    def _run_rounds(self, loop: RoundLoop, proposer: Proposer, n_rounds: int | None) -> bool:
        """Run rounds from the last one on; return whether the budget ended them."""
        ledger = self._context.ledger
        last = ledger.last_round()
        end = max(self.config.rounds.count, last or 0) + 1
        if n_rounds is not None:
            n_closed = sum(row.closed is not None for row in ledger.rounds())
            end = min(end, n_closed + n_rounds)
        for number in range(last or 0, end):
            if number != last and not loop.start_round(number, proposer):
                return False
            loop.await_review(number)
            if loop.finish_round(number):
                return True
        return False

    def advance(self) -> int:
        """Decide on the next batch if none awaits answers; nothing is evaluated, and nothing is waited for.

        This is one step of a campaign whose answers come from people.

        Returns:
            Number of candidates that await answers.
        """
        ledger = self._context.ledger
        with stop_on_unhandled_signals(self._stop), self._session():
            self._import_added_data()
            with self._loop(has_workers=False) as loop:
                while (last := ledger.last_round()) is None or loop.is_over(last):
                    if last is not None:
                        loop.close_rounds(last)
                    if last is not None and last >= self.config.rounds.count:
                        break
                    with self._proposer() as proposer:
                        number = 0 if last is None else last + 1
                        # a first round of earlier data alone leaves nothing to measure, so the next one follows
                        if not loop.start_round(number, proposer) or ledger.pending():
                            break
            return len(ledger.pending())

    def _import_added_data(self) -> None:
        """Import the earlier measurements that the config names, if it named others when it was started before."""
        ledger, items = self._context.ledger, earlier_data_items(self.config.initial_data)
        named = [session.config.get("initial_data") for session in ledger.sessions()[-2:]]
        is_unchanged = len(named) == 2 and named[0] == named[1]
        if not items or ledger.last_round() is None or is_unchanged:
            return
        data = read_earlier_data(self._context.parts, items)
        plan = plan_import(ledger, data)
        commit_import(ledger, plan.imports)
        for note in (*plan.lines(), *data.notes):
            self._note(f"initial_data: {note}")

    @property
    def _last_round(self) -> int:
        last = self._context.ledger.last_round()
        assert last is not None
        return last

    @contextmanager
    def _session(self) -> Iterator[None]:
        """Tell the sinks that the campaign begins, and how it ends."""
        self._sinks.begin(self.config.name, self._uid, public_config(self.config))
        self._activity.enter("", self._context.ledger.last_round() or 0)
        status: Status = "failed"
        try:
            yield
            status = "finished" if self.is_finished else "stopped"
            self._activity.leave(status)
        except KeyboardInterrupt:
            status = "stopped"
            self._activity.leave("interrupted")
            raise
        except BaseException as error:
            self._activity.leave("failed", summary(error))
            raise
        finally:
            self._sinks.end(status)

    @contextmanager
    def _proposer(self) -> Iterator[Proposer]:
        """Yield the proposer of batches, with the sampler's state after the last round."""
        import torch

        from al_loop.campaign.proposer import Proposer

        torch.set_num_threads(self.config.resources.threads)
        context = self._context
        with ExitStack() as stack:
            training = stack.enter_context(context.executor.training()) if context.parts.has_sampler else None
            proposer = Proposer(context, training)
            if (last := context.ledger.last_round()) is not None:
                proposer.restore(last)
            yield proposer

    def _note(self, message: str) -> None:
        """Tell the user something, also while the campaign is being opened."""
        self._reporter.note(message)
        self._sinks.note(message)

    def _begin(self, ledger: Ledger, parts: CampaignParts, previous: Lease | None, accept_change: str | None) -> bool:
        """Record the campaign or what changed since its last start; return whether it is new.

        Raises:
            ConfigError: the ledger is of another campaign, or the meaning of its values changed.
        """
        config, now = parts.config, origins(parts.config, parts.oracle)
        course = changes_of_course(ledger, config, str(self.directory.path))
        last = ledger.last_round()
        is_finished = last is not None and last >= config.rounds.count and not ledger.pending()
        written = written_files(config, ledger, previous)
        changed = changed_origins(ledger, now, accept_change, is_finished=is_finished, written=written)
        ledger.record_changes([*course, *changed.of_values, *changed.others])
        for line in summaries(course):
            self._note(f"changed {line}")
        if changed.of_values or changed.others:
            self._note(f"changed since the last start: {describe([*changed.of_values, *changed.others])}")
        row = ledger.campaign()
        return ledger.begin_campaign(
            name=config.name,
            config=public_config(config),
            fingerprint=campaign_fingerprint(config, parts.oracle) if row is None else row.fingerprint,
            seed=config.seed,
            objectives=parts.oracle_objectives,
            versions={**now, **changed.kept},
        )
