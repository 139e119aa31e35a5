"""The part of a ledger that makes one process the only driver of the campaign."""

from __future__ import annotations

from typing import TypeVar

from al_loop.ledger import leases
from al_loop.ledger.database import Database, Write
from al_loop.ledger.sound import SoundLedger

T = TypeVar("T")


class LeasedLedger(SoundLedger):
    """A ledger with the lease of its driver.

    Args:
        database: the database of the ledger.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._token: int | None = None  # of the lease

    def take_lease(self, owner: str) -> None:
        """Make this process the only one that drives the campaign: that opens rounds and calls the oracle.

        Args:
            owner: unique among all processes.

        Raises:
            ConfigError: another process drives it.
        """
        self._token = self._database.write(leases.take(self._database.name, owner))

    def renew_lease(self) -> None:
        """Show that this process still drives the campaign, if it has taken the lease.

        Raises:
            LeaseLost: another process does, because this one has not renewed its lease for too long.
        """
        if self._token is not None:
            self._database.write(leases.renew(self._token))

    def release_lease(self) -> None:
        """Let another process drive the campaign."""
        if self._token is not None:
            self._database.write(leases.release(self._token))

    def _drive(self, action: Write[T]) -> T:
        """Run a write that only the driver makes; it is refused once another process has taken the lease over."""
        return self._database.write(leases.fenced(action, self._token))
