"""Import of earlier measurements into a campaign that has begun, from any machine that can reach its ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from al_loop.campaign.earlier_data import read_earlier_data
from al_loop.campaign.imports import ImportPlan, commit_import, plan_import
from al_loop.campaign.preparation import prepare
from al_loop.config.initial_data import EarlierData
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.people.campaign_of_ledger import add_part_folders, campaign_config
from al_loop.storage.locate import find_ledger, run_folder


@dataclass(frozen=True)
class PendingImport:
    """An import that was read and compared with the ledger, and is not committed yet.

    Args:
        ledger: the campaign's ledger.
        plan: what the import would do.
        notes: remarks about the files.
    """

    ledger: Ledger
    plan: ImportPlan
    notes: tuple[str, ...]

    @property
    def n_new(self) -> int:
        """The number of measurements to commit."""
        return len(self.plan.imports)

    @property
    def lines(self) -> list[str]:
        """A description of the import, line by line."""
        return [*self.plan.lines(), *self.notes]

    def commit(self) -> int:
        """Commit the measurements, and return how many were committed."""
        return commit_import(self.ledger, self.plan.imports)


@contextmanager
def open_import(run: str | Path, items: Sequence[EarlierData]) -> Iterator[PendingImport]:
    """Read earlier measurements, and compare them with a campaign's ledger.

    Args:
        run: a run directory, a ledger file or a database URL.
        items: the files.

    Raises:
        ConfigError: there is no such run, it has no round yet, or the files cannot be used.
    """
    with Ledger(find_ledger(run)) as ledger:
        add_part_folders(run_folder(str(run)))
        config = campaign_config(ledger)
        if ledger.last_round() is None:
            raise ConfigError(f"{run}: the campaign has no round yet; name the files in its config as initial_data")
        data = read_earlier_data(prepare(config), items)
        yield PendingImport(ledger, plan_import(ledger, data), data.notes)
