"""Every batch of a run made again from its ledger, to see whether it is the one that was recorded."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from al_loop.campaign.campaign import DEFAULT_EXECUTOR
from al_loop.campaign.context import CampaignContext
from al_loop.campaign.preparation import prepare
from al_loop.campaign.recorded import config_of_run
from al_loop.campaign.reporter import Reporter
from al_loop.config import CampaignConfig
from al_loop.config.plugins import load_target
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger, schema
from al_loop.ledger.engines import sqlite_url
from al_loop.ledger.records import RoundRow
from al_loop.sinks import Sinks
from al_loop.storage.checkpoints import Checkpoints
from al_loop.storage.rescued import RescuedAnswers
from al_loop.storage.run_directory import RunDirectory

#: origins of candidates that no batch proposed
_BY_PEOPLE = ("told", "pinned", "imported")
_UID = "reproduction"


@dataclass(frozen=True)
class ReproducedBatch:
    """A batch that was made again.

    Args:
        round: its round.
        recorded: the objects in the ledger, each with its fidelity.
        again: the objects that are proposed from the same answers.
    """

    round: int
    recorded: Sequence[tuple[str, str]]
    again: Sequence[tuple[str, str]]

    @property
    def is_same(self) -> bool:
        """Whether both are the same objects in the same order."""
        return list(self.recorded) == list(self.again)

    def __str__(self) -> str:
        n = len(self.recorded)
        if self.is_same:
            return f"round {self.round}: the same {n} objects"
        missing = [name for name, _ in self.recorded if name not in {again for again, _ in self.again}]
        others = [name for name, _ in self.again if name not in {recorded for recorded, _ in self.recorded}]
        if not missing and not others:
            return f"round {self.round}: differs: the same {n} objects in another order, or at other fidelities"
        instead = f"{others[0]:.80} is proposed instead of {missing[0]:.80}" if others and missing else "other objects"
        return f"round {self.round}: differs: {max(len(missing), len(others))} of {n} objects; {instead}"


def reproduced(ledger: Ledger, folder: Path) -> Iterator[ReproducedBatch]:
    """Make each batch of a run again, from the answers that were there and the config of the time; nothing is measured.

    Answers that arrived while a batch was being decided count from the next batch on.

    Args:
        ledger: the ledger of the run, opened for reading.
        folder: its run directory, whose code is imported.

    Yields:
        The batches, in order.

    Raises:
        ConfigError: the run has no rounds, or its config cannot be used here.
    """
    rounds, candidates = ledger.rounds(), ledger.candidates()
    if not rounds:
        raise ConfigError("--replay: the campaign has no rounds yet")
    rows = {table.name: ledger.read(lambda c, t=table: _rows(c, t)) for table in schema.SEALED}  # type: ignore[misc]
    with tempfile.TemporaryDirectory(prefix="al-loop-replay-") as scratch, ExitStack() as stack:
        copy = stack.enter_context(Ledger(sqlite_url(Path(scratch) / "ledger.db")))
        directory = RunDirectory(Path(scratch))
        stack.callback(directory.close)
        before: dict[str, Any] | None = None
        n_started = 0
        proposing = stack.enter_context(ExitStack())
        proposer: Any = None
        for row in rounds:
            is_due = _before(row, rows)
            n_sessions = sum(is_due(entry, "started") for entry in rows["sessions"])
            _add_rows(copy, rows, row, is_due)
            n_started += n_sessions
            sessions = ledger.sessions()[: max(n_started, 1)]
            if sessions[-1].config != before:
                before = sessions[-1].config
                proposing.close()
                config = config_of_run(before, folder).model_copy(update={"ledger": None})
                proposer = _proposer(config, copy, directory, proposing)
                if row.number:
                    proposer.restore(row.number - 1)
            batch = [c for c in candidates if c.round == row.number and c.origin not in _BY_PEOPLE]
            known = {c.object for c in candidates if c.round == row.number and c.origin == "imported"}
            again = _again(proposer, config, row, len(batch), known, copy.cost())
            yield ReproducedBatch(row.number, [(c.object, c.fidelity) for c in batch], again)


def _rows(connection: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    query = sa.select(*schema.content(table), table.c.entry).order_by(table.c.entry)
    return [dict(row) for row in connection.execute(query).mappings()]


def _before(row: RoundRow, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Callable[[Mapping[str, Any], str], bool]:
    """Return a function that says whether a row was written before a round was opened, by its number or its time.

    Rows are numbered in the order of writing, whatever the clock did. Those of a ledger that was upgraded from a schema
    without numbers are numbered table by table, so that only their times tell.
    """
    opened = next(entry["entry"] for entry in rows["rounds"] if entry["number"] == row.number)
    first = next((c["entry"] for c in rows["candidates"] if c["round"] == row.number), None)
    is_numbered = first == opened + 1  # a round and its candidates are written together

    def is_before(entry: Mapping[str, Any], time: str) -> bool:
        return bool(entry["entry"] < opened if is_numbered else entry[time] <= row.opened)

    return is_before


def _add_rows(
    copy: Ledger,
    rows: dict[str, list[dict[str, Any]]],
    row: RoundRow,
    is_before: Callable[[Mapping[str, Any], str], bool],
) -> None:
    """Move to a copy of the ledger what was there when a round was decided."""
    n_answers = row.info.get("n_answers", 0)

    def was_there(table: str, entry: Mapping[str, Any]) -> bool:
        if table in ("evaluations", "retries"):
            return bool(entry["number"] <= n_answers)
        if table in ("rounds", "round_reports"):
            return bool(entry["number" if table == "rounds" else "round"] < row.number)
        if table == "candidates":
            is_own = entry["origin"] not in _BY_PEOPLE
            return bool(entry["round"] < row.number and (is_own or is_before(entry, "created")))
        times = {"campaign": "created", "sessions": "started", "decisions": "decided", "changes": "changed"}
        return table == "campaign" or (is_before(entry, times[table]) and entry.get("round", 0) <= row.number)

    due: dict[str, list[dict[str, Any]]] = {}
    for table in schema.SEALED:
        if table.name in ("attempts", "void_attempts"):
            continue
        due[table.name] = [
            {name: value for name, value in entry.items() if name != "entry"}
            for entry in rows[table.name]
            if was_there(table.name, entry)
        ]
        rows[table.name] = [entry for entry in rows[table.name] if not was_there(table.name, entry)]
    copy.replicate(due)


def _proposer(config: CampaignConfig, ledger: Ledger, directory: RunDirectory, stack: ExitStack) -> Any:
    """Return a proposer of batches that reads a ledger and writes checkpoints to a directory."""
    import torch

    from al_loop.campaign.proposer import Proposer

    torch.set_num_threads(config.resources.threads)
    executor = load_target(DEFAULT_EXECUTOR)(config, directory.logs)
    stack.callback(executor.close)
    context = CampaignContext(
        prepare(config),
        directory,
        ledger,
        Checkpoints(str(directory.checkpoints), _UID),
        RescuedAnswers(directory.path, _UID),
        executor,
        Reporter(),
        Sinks([]),
    )
    training = stack.enter_context(executor.training()) if context.parts.has_sampler else None
    return Proposer(context, training)


def _again(
    proposer: Any, config: CampaignConfig, row: RoundRow, n_recorded: int, known: set[str], cost: float
) -> list[tuple[str, str]]:
    """Return the objects that a round proposes, each with its fidelity."""
    n_answers = row.info.get("n_answers", 0)
    n_first = proposer.n_first(row.number, n_answers)
    planned = config.rounds.batch_size if n_first is None else n_first
    n = planned if config.budget.calls is None else n_recorded
    if n_first is not None:
        batch = proposer.first_batch(n, known, row.number)
    else:
        models = proposer.fit(row.number, n_answers)
        proposer.train(row.number, n_answers, models, lambda: None)
        left = math.inf if config.budget.cost is None else max(config.budget.cost - cost, 0.0)
        batch = proposer.select(row.number, n_answers, models, n, left)
    return [(p.object, p.fidelity) for p in batch.proposals]
