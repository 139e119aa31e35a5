"""The lease of a campaign's driver."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from al_loop.campaign.driver_lease import DriverLease
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from tests.support.ledgers import begin


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger(url) as ledger:
        begin(ledger)
    return url


def test_a_lease_is_renewed_until_it_is_given_back(url: str) -> None:
    renewed = threading.Event()

    class Watched(Ledger):
        def renew_lease(self) -> None:
            super().renew_lease()
            renewed.set()

    with Watched(url) as ledger, Ledger(url) as other:
        lease = DriverLease(ledger, renewal_s=0.01)
        with pytest.raises(ConfigError, match="is run already by pid"):
            DriverLease(other)
        assert renewed.wait(60)
        row = other.lease()
        assert row is not None
        assert row.heartbeat > row.since
        lease.close()
        DriverLease(other).close()


def test_the_lease_of_a_process_that_was_killed_is_taken_over_at_once(url: str, tmp_path: Path) -> None:
    with Ledger(url) as ledger:
        DriverLease(ledger).close()
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        row = {"pid": process.pid, "heartbeat": datetime.now(UTC).isoformat(timespec="microseconds")}
        connection.execute(sa.text("UPDATE leases SET released = NULL, pid = :pid, heartbeat = :heartbeat"), row)
    engine.dispose()
    with Ledger(url) as ledger, DriverLease(ledger):
        lease = ledger.lease()
        assert lease is not None
        assert lease.pid != process.pid
