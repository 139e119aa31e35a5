"""One driver, one buyer: the lease, its end, and the fence against former drivers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from al_loop.errors import ConfigError
from al_loop.ledger import Ledger, Proposal
from al_loop.ledger.leases import EXPIRY_S, LeaseLost, is_held, is_running
from al_loop.ledger.records import Lease
from tests.support.ledgers import begin

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def lease(host: str = "here", age_s: float = 0.0, *, is_released: bool = False) -> Lease:
    heartbeat = NOW - timedelta(seconds=age_s)
    return Lease(3, "owner", host, 42, NOW - timedelta(hours=1), heartbeat, NOW if is_released else None)


@pytest.mark.parametrize(
    ("row", "state", "expected"),
    [
        (lease(), True, True),
        (lease(age_s=10 * EXPIRY_S), True, True),  # it is busy, but here, where anybody can end it
        (lease(), False, False),
        (lease(age_s=EXPIRY_S / 2), None, True),
        (lease(age_s=EXPIRY_S + 1), None, False),
        (lease("elsewhere", EXPIRY_S / 2), False, True),
        (lease("elsewhere", EXPIRY_S + 1), True, False),
        (lease(is_released=True), True, False),
    ],
    ids=["runs", "busy", "gone", "suspended", "suspended long", "elsewhere", "elsewhere gone", "released"],
)
def test_a_lease_ends_with_its_process_or_its_time(row: Lease, state: bool | None, expected: bool) -> None:
    assert is_held(row, NOW, "here", lambda pid, since: state) is expected


def test_a_later_process_of_the_same_number_is_another_one() -> None:
    own = psutil.Process()
    assert is_running(own.pid, datetime.now(UTC)) is True
    assert is_running(own.pid, datetime.fromtimestamp(own.create_time() - 60, UTC)) is False
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    assert is_running(process.pid, datetime.now(UTC)) is False


def test_a_second_driver_is_refused_with_host_process_and_time(url: str) -> None:
    with Ledger(url) as first, Ledger(url) as second:
        begin(first)
        first.take_lease("first")
        with pytest.raises(ConfigError, match=rf"pid {os.getpid()} on {platform.node()} since \d{{4}}-") as refusal:
            second.take_lease("second")
        assert "al-loop stop" in str(refusal.value)
        first.release_lease()
        second.take_lease("second")
        row = second.lease()
        assert row is not None
        assert (row.token, row.owner, row.released) == (2, "second", None)


def test_a_driver_that_lost_its_lease_buys_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(url) as suspended, Ledger(url) as other:
        begin(suspended)
        suspended.take_lease("suspended")
        (candidate,) = suspended.open_round(0, [Proposal("A", "random")], seed=0, seconds={}, info={})
        monkeypatch.setattr("al_loop.ledger.leases.is_held", lambda *_: False)  # its time is over
        other.take_lease("other")
        with pytest.raises(LeaseLost, match="buys nothing more"):
            suspended.begin_attempts([candidate.id], "w")
        with pytest.raises(LeaseLost):
            suspended.open_round(1, [Proposal("B", "random")], seed=0, seconds={}, info={})
        with pytest.raises(LeaseLost):
            suspended.renew_lease()
        suspended.release_lease()  # of no effect on the other's
        assert other.in_flight() == {}
        assert other.begin_attempts([candidate.id], "w") == {candidate.id: 1}


def test_only_one_of_many_drivers_gets_the_lease(url: str) -> None:
    with Ledger(url) as ledger:
        begin(ledger)
    barrier, won = threading.Barrier(5), list[int]()

    def take(i: int) -> None:
        with Ledger(url, patience_s=60) as own:
            barrier.wait()
            try:
                own.take_lease(f"driver {i}")
            except ConfigError:
                return
            won.append(i)

    threads = [threading.Thread(target=take, args=[i]) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_two_people_never_get_the_same_object(url: str) -> None:
    with Ledger(url) as ledger:
        begin(ledger)
        batch = ledger.open_round(0, [Proposal(o, "random") for o in "ABCDEFGH"], seed=0, seconds={}, info={})
        ids = [c.id for c in batch]
        barrier, got = threading.Barrier(4), list[dict[int, int]]()

        def ask(i: int) -> None:
            with Ledger(url, patience_s=60) as own:
                barrier.wait()
                got.append(own.hand_out(ids, f"ask by {i}", 3))

        threads = [threading.Thread(target=ask, args=[i]) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        handed = sorted(id_ for numbers in got for id_ in numbers)
        assert handed == ids
        assert sorted(map(len, got)) == [0, 2, 3, 3]
        assert ledger.hand_out(ids, "late") == {}
