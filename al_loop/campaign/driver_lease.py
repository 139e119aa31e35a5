"""The lease that makes a process the only driver of its campaign, renewed by a thread."""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from typing import Self

from al_loop.errors import AlLoopError
from al_loop.ledger import Ledger
from al_loop.ledger.leases import EXPIRY_S, LeaseLost

_RENEWAL_S = EXPIRY_S / 6


class DriverLease:
    """Holds the lease of a ledger until ``close``.

    Args:
        ledger: the campaign's ledger, whose further writes are refused once another process has the lease.
        renewal_s: time between two renewals, in seconds.

    Raises:
        ConfigError: another process drives the campaign.
    """

    def __init__(self, ledger: Ledger, renewal_s: float = _RENEWAL_S) -> None:
        self._ledger, self._renewal_s = ledger, renewal_s
        self._is_closed = threading.Event()
        ledger.take_lease(uuid.uuid4().hex)
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        while not self._is_closed.wait(self._renewal_s):
            try:
                self._ledger.renew_lease()
            except LeaseLost:
                return  # the next write that needs it is refused, too
            except AlLoopError:
                continue  # the database is not there; the lease may outlast that

    def close(self) -> None:
        """Give the lease back; another process need not wait for it to expire."""
        if not self._is_closed.is_set():
            self._is_closed.set()
            with suppress(AlLoopError):
                self._ledger.release_lease()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
