"""A campaign from Python: run it, or ask for objects to measure and tell the results."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
from sqlalchemy.engine import URL

from al_loop.actors.executors import executor_at
from al_loop.analysis import Run
from al_loop.campaign.campaign import Campaign, ledger_url
from al_loop.campaign.preparation import CampaignParts, prepare
from al_loop.campaign.recorded_defaults import as_begun
from al_loop.client.reporter import make_reporter
from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError
from al_loop.ledger import Candidate, Ledger
from al_loop.ledger.scratch import copy_ledger
from al_loop.people.ask import ask as hand_out
from al_loop.people.ask import candidates_to_ask, reason_for_none, unreviewed_round
from al_loop.people.campaign_of_ledger import object_notation
from al_loop.people.tell import ImportOptions, commit_results, parse_results
from al_loop.storage.checkpoints import Checkpoints

if TYPE_CHECKING:
    from al_loop.analysis.status import RunStatus

#: columns of ``ask`` that are filled in with text
_TEXTS = ("failure", "comment")
#: any share of answers lets the preview of a batch be decided on
_TINY_SHARE = 1e-9


class CampaignClient:
    """A campaign that is run, asked and told from Python; ``al_loop.campaign`` returns it.

    Nothing is held between two calls: the run directory is only locked while one of them works, so that a cell may be
    executed twice, and the command line may be used in between.

    Args:
        config: what to do.
        run_dir: directory of the run.
        address: ``local``, ``auto`` or the address of a Ray cluster, see ``al_loop.campaign``.
        quiet: whether to print nothing while it runs.
        accept_change: the reason why a change of the oracle's code is acceptable; None: it is refused.

    Raises:
        ConfigError: the config does not fit the oracle.
    """

    def __init__(
        self,
        config: CampaignConfig,
        run_dir: Path,
        *,
        address: str = "local",
        quiet: bool = False,
        accept_change: str | None = None,
    ) -> None:
        config = as_begun(config, ledger_url(config, run_dir), run_dir)
        self.config, self.run_dir = config, run_dir
        self._address, self._quiet, self._accept_change = address, quiet, accept_change
        self._parts: CampaignParts = prepare(config)
        self._parts.check(is_new=not (run_dir / "campaign.json").is_file())
        self._run: Run | None = None

    # -- measuring -----------------------------------------------------------------------------------------------------

    def run(self, n_rounds: int | None = None) -> None:
        """Run the rounds that are left, each with a batch that the oracle measures.

        Args:
            n_rounds: how many of them; None: all.

        Raises:
            ConfigError: people answer, so there is nothing to run.
            CampaignError: the campaign cannot continue, for example because the oracle returned no value at all.
        """
        if self._parts.oracle.is_external:
            raise ConfigError("people answer this campaign: use ask() and tell(), or pass oracle=FUNCTION")
        with self._open() as campaign:
            campaign.run(n_rounds)

    def ask(self, n: int | None = None) -> pd.DataFrame:
        """Return objects to be measured, and record that they are handed out.

        If none waits, the next batch is decided on first.

        Args:
            n: at most this many; None: the whole batch.

        Returns:
            One row per object: ``id``, ``object``, its round and predictions, and empty columns to be filled in.

        Raises:
            ConfigError: the campaign calls its oracle itself, or there is nothing to hand out; the message says why.
        """
        if not self._parts.oracle.is_external:
            raise ConfigError("this campaign calls its oracle itself: use run(), or leave out the oracle to answer")
        if n is not None and n < 1:
            raise ConfigError(f"ask: n must be at least 1, got {n}")
        self._begin()
        with Ledger(self._url) as ledger:
            candidates = self._not_handed_out(ledger)
            if len(candidates) < (n or 1) and unreviewed_round(ledger) is None:
                with self._open() as campaign:
                    campaign.advance()
                candidates = self._not_handed_out(ledger)
            number = unreviewed_round(ledger)
            if not candidates and number is not None:
                raise ConfigError(
                    f"round {number} must be reviewed before it is released: al-loop review {self.run_dir}"
                )
            if not candidates:
                raise ConfigError(
                    f"ask: {reason_for_none(ledger, again=False)}; rounds.count is {self.config.rounds.count}"
                )
            return _frame(hand_out(ledger, candidates[:n], "object"))

    def tell(
        self,
        results: pd.DataFrame | Sequence[Mapping[str, Any]],
        *,
        extra: bool = False,
        correct: str | None = None,
        replicates: bool = False,
        partial: bool = False,
    ) -> int:
        """Record measured results, by the same rules as ``al-loop tell``: all of them or none.

        Args:
            results: a row per object with its ``id`` or ``object`` and a column per objective; blank rows stay pending.
            extra: whether to accept objects that were never proposed.
            correct: the reason for replacing results that are recorded already; None: reject them.
            replicates: whether to average several values of the same object.
            partial: whether to record the valid rows even if others have problems.

        Returns:
            The number of results that were recorded; notes to be checked are given as warnings.

        Raises:
            ConfigError: a row cannot be recorded; the message has a line for each.
        """
        table = results if isinstance(results, pd.DataFrame) else pd.DataFrame(list(results))
        if table.index.name in ("id", "candidate"):
            table = table.rename_axis("id").reset_index()
        options = ImportOptions(extra, correct, replicates)
        self._begin()
        with tempfile.TemporaryDirectory(prefix="al-loop-tell-") as folder, Ledger(self._url) as ledger:
            path = Path(folder, "dataframe.csv")
            table.to_csv(path, index=False)
            parsed = parse_results(ledger, path, options, object_notation(ledger).canonical)
            if parsed.problems and not partial:
                raise ConfigError(
                    "\n".join([*parsed.problems, "nothing was recorded; partial=True records the others"])
                )
            for note in [*parsed.notes, *parsed.problems]:
                warnings.warn(note, stacklevel=2)
            if parsed.n_new:
                commit_results(ledger, parsed, path, options)
        return parsed.n_new

    def suggest(self, n: int | None = None) -> pd.DataFrame:
        """Return what would be measured next, without recording anything.

        Objects that wait to be handed out come first; if there is none, a batch is decided on in a copy of the run.

        Args:
            n: at most this many; None: the whole batch.

        Raises:
            ConfigError: no batch can be decided on yet; the message says why.
        """
        self._begin()
        with Ledger(self._url, read_only=True) as ledger:
            waiting = candidates_to_ask(ledger)
            if waiting:
                return _preview(self._url, waiting[:n])
            last, row = ledger.last_round(), ledger.campaign()
        assert row is not None
        with tempfile.TemporaryDirectory(prefix="al-loop-suggest-") as scratch:
            folder = Path(scratch)
            copy_ledger(self._url, folder / "ledger.db")
            self._copy_checkpoint(folder, row.uid, last)
            rounds = self.config.rounds.model_copy(update={"close_share": _TINY_SHARE, "review": False})
            update = {"ledger": None, "checkpoints": None, "sinks": (), "rounds": rounds}
            with Campaign(self.config.model_copy(update=update), folder, accept_change="a preview") as campaign:
                campaign.advance()
            url = ledger_url(self.config.model_copy(update=update), folder)
            with Ledger(url, read_only=True) as ledger:
                batch = [c for c in candidates_to_ask(ledger) if last is None or c.round > last]
                if not batch:
                    raise ConfigError(f"suggest: {reason_for_none(ledger, again=False)}")
            return _preview(url, batch[:n])

    def _copy_checkpoint(self, folder: Path, uid: str, last: int | None) -> None:
        """Copy the sampler's state after the last round, if there is one."""
        if not last or not self._parts.has_sampler:
            return
        location = self.config.checkpoints or str((self.run_dir / "checkpoints").absolute())
        state = Checkpoints(location, uid).load(last)
        Checkpoints(str(folder / "checkpoints"), uid).save(last, state)

    def _not_handed_out(self, ledger: Ledger) -> list[Candidate]:
        number = unreviewed_round(ledger)
        return [c for c in candidates_to_ask(ledger) if c.round != number]

    # -- results -------------------------------------------------------------------------------------------------------

    @property
    def record(self) -> Run:
        """The run, for all its tables and figures; see ``al_loop.open_run``."""
        self._begin()
        if self._run is None:
            self._run = Run(self._url)
        return self._run

    @property
    def evaluations(self) -> pd.DataFrame:
        """One row per answer, see ``Run.evaluations``."""
        return self.record.evaluations

    def best(self, n: int = 10, objective: str | None = None) -> pd.DataFrame:
        """Return the best results, best first; with several objectives and none named, the Pareto front.

        Args:
            n: number of objects.
            objective: name of the objective; None: the optimised one.

        Raises:
            ConfigError: there is no such objective.
        """
        if objective is None and len(self.record.optimised) > 1:
            return self.record.front().head(n)
        return self.record.best(n, objective)

    def status(self) -> RunStatus:
        """Return the progress of the campaign in a few numbers."""
        return self.record.status()

    def __repr__(self) -> str:
        return repr(self.record).replace("<Run", "<Campaign", 1)

    def _repr_html_(self) -> str:
        return self.record._repr_html_()

    # -- opening and closing -------------------------------------------------------------------------------------------

    @property
    def _url(self) -> URL:
        return ledger_url(self.config, self.run_dir)

    def _begin(self) -> None:
        """Record the campaign if it has not begun yet."""
        if not (self.run_dir / "campaign.json").is_file():
            with self._open():
                pass

    @contextmanager
    def _open(self) -> Iterator[Campaign]:
        """Open the campaign, which locks its run directory until the end of the context."""
        optimised = [self._parts.oracle_objectives[i] for i in self._parts.objectives.indices]
        reporter = make_reporter(self.config, optimised, str(self.run_dir), quiet=self._quiet)
        with (
            executor_at(self.config, self._address, reporter.note) as executor,
            Campaign(self.config, self.run_dir, executor, reporter, self._accept_change) as campaign,
        ):
            yield campaign

    def close(self) -> None:
        """Close the ledger; the campaign can be used again, which opens it."""
        if self._run is not None:
            self._run.close()
            self._run = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _frame(text: str) -> pd.DataFrame:
    """Return the table that ``ask`` writes as a data frame."""
    table = pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(("object", *_TEXTS), object), keep_default_na=False)
    numbers = [name for name in table if name not in ("object", *_TEXTS)]
    for name in numbers:
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return table


def _preview(url: URL, candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return candidates with their predictions."""
    with Run(url) as run:
        table = run.candidates.loc[[c.id for c in candidates]]
    return table.drop(columns=["position"]).reset_index(drop=True)
