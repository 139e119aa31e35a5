"""The lease of the one process that drives a campaign, and the fence that keeps a former driver from buying.

The lease is a row of the ledger, so that it also holds between machines. Its owner renews it; once it has not done so
for ``EXPIRY_S``, or its process is gone, another process may take it over. The token grows with each owner, and is
compared in every transaction that records calls or batches: a driver that was suspended meanwhile cannot buy anything.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import queries, schema
from al_loop.ledger.database import Write
from al_loop.ledger.records import Lease

EXPIRY_S: Final = 60.0  # after the last renewal
_CLOCK_S: Final = 2.0  # by which a process may seem to be younger than its lease

T = TypeVar("T")


class LeaseLost(CampaignError):  # noqa: N818  it is an event more than an error
    """Another process drives the campaign now."""


def is_running(pid: int, since: datetime) -> bool | None:
    """Return whether a process of this machine runs, or None if it is suspended.

    Args:
        pid: the number of the process.
        since: a time at which it ran; a process that is younger is another one.
    """
    try:
        process = psutil.Process(pid)
        if process.create_time() > since.timestamp() + _CLOCK_S:
            return False
        status = process.status()
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
    if status == psutil.STATUS_STOPPED:
        return None
    return status not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def is_held(lease: Lease, now: datetime, host: str, state_of: Callable[[int, datetime], bool | None]) -> bool:
    """Return whether a lease keeps others from driving the campaign.

    Args:
        lease: the lease.
        now: the present time, by the clock that the lease was renewed by.
        host: the name of this machine.
        state_of: returns the state of a process of this machine, see ``is_running``.
    """
    if lease.released is not None:
        return False
    if lease.host == host and (state := state_of(lease.pid, lease.since)) is not None:
        return state
    return (now - lease.heartbeat).total_seconds() < EXPIRY_S


def take(
    ledger: str,
    owner: str,
    *,
    state_of: Callable[[int, datetime], bool | None] = is_running,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Write[int]:
    """Return a write that takes the lease and returns its token.

    Args:
        ledger: the name of the ledger, for the error.
        owner: unique among all processes.
        state_of: returns the state of a process of this machine, see ``is_running``.
        clock: returns the present time; a PostgreSQL server's own is used instead.

    Raises:
        ConfigError: another process holds it.
    """
    host, pid = platform.node(), os.getpid()

    def write(connection: Connection, is_retry: bool) -> int:
        now = _now(connection, clock)
        lease = queries.lease(connection)
        if lease is not None and lease.owner == owner:
            return lease.token
        if lease is not None and is_held(lease, now, host, state_of):
            raise ConfigError(_refusal(ledger, lease, now))
        token = 1 if lease is None else lease.token + 1
        row = {"token": token, "owner": owner, "host": host, "pid": pid, "since": now, "heartbeat": now}
        if lease is None:
            connection.execute(schema.leases.insert().values(id=1, released=None, **row))
        else:
            connection.execute(schema.leases.update().values(released=None, **row))
        return token

    return write


def renew(token: int, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Write[None]:
    """Return a write that renews a lease.

    Args:
        token: the token of the lease.
        clock: returns the present time.

    Raises:
        LeaseLost: another process has taken it over.
    """

    def write(connection: Connection, is_retry: bool) -> None:
        require(connection, token)
        connection.execute(schema.leases.update().values(heartbeat=_now(connection, clock)))

    return write


def release(token: int) -> Write[None]:
    """Return a write that gives a lease back, unless another process has it already."""

    def write(connection: Connection, is_retry: bool) -> None:
        change = schema.leases.update().where(schema.leases.c.token == token)
        connection.execute(change.values(released=_now(connection, lambda: datetime.now(UTC))))

    return write


def fenced(action: Write[T], token: int | None) -> Write[T]:
    """Return a write that is refused once another process has taken over the lease.

    Args:
        action: the write.
        token: the token of the lease; None for a write that needs none.
    """

    def write(connection: Connection, is_retry: bool) -> T:
        if token is not None:
            require(connection, token)
        return action(connection, is_retry)

    return write


def require(connection: Connection, token: int) -> None:
    """Raise LeaseLost if the lease has another token."""
    lease = queries.lease(connection)
    if lease is None or lease.token != token:
        owner = "another process" if lease is None else f"pid {lease.pid} on {lease.host}"
        since = "" if lease is None else f" since {lease.since.astimezone():%Y-%m-%d %H:%M:%S}"
        raise LeaseLost(
            f"{owner} has driven this campaign{since}, because this process was suspended or cut off; it stops here "
            "and buys nothing more"
        )


def _now(connection: Connection, clock: Callable[[], datetime]) -> datetime:
    if connection.dialect.name != "postgresql":
        return clock()
    now = connection.scalar(sa.select(sa.func.clock_timestamp()))
    assert isinstance(now, datetime)
    return now.astimezone(UTC)


def _refusal(ledger: str, lease: Lease, now: datetime) -> str:
    age_s = max((now - lease.heartbeat).total_seconds(), 0.0)
    here = lease.host == platform.node()
    remedy = "stop it first (al-loop stop RUN)" if here else f"stop it there, or wait {EXPIRY_S:g} s after its end"
    return (
        f"ledger {ledger}: the campaign is run already by pid {lease.pid} on {lease.host} since "
        f"{lease.since.astimezone():%Y-%m-%d %H:%M:%S} (last sign of life {age_s:.0f} s ago); {remedy}"
    )
