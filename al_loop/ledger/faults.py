"""Transient database faults, and short retries of steps that several processes may take at once."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

import sqlalchemy as sa

from al_loop.errors import CampaignError
from al_loop.system import stopping

_LONGEST_PAUSE_S: Final = 3.0
_N_TRIES: Final = 5

#: lock or statement not granted in time, idle for too long in a transaction, and a server that stops or starts
_TRANSIENT_STATES: Final = ("55P03", "57014", "25P03", "57P01", "57P02", "57P03")

T = TypeVar("T")


def pause_s(n: int) -> float:
    """Return the pause after the n-th failed try (from 0), in seconds."""
    return min(0.1 * 2.0 ** min(n, 10), _LONGEST_PAUSE_S) * (1 + random.random()) / 2


def is_transient(error: sa.exc.DBAPIError | sqlite3.Error) -> bool:
    """Return whether a retry may succeed: a locked database, a lost connection, a restarting server, a full disk."""
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    if not isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sqlite3.OperationalError):
        return False
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    if state:
        return str(state)[:2] in ("08", "40", "53") or state in _TRANSIENT_STATES
    text = str(cause).lower()
    words = "locked|busy|connection|closed|timeout|starting up|shutting down|terminat"
    # SQLite reports a full disk as an I/O error at times
    return re.search(f"{words}|disk is full|disk i/o error", text) is not None


def is_damage(error: sa.exc.DBAPIError | sqlite3.Error) -> bool:
    """Return whether the file of a SQLite database is damaged."""
    text = str(getattr(error, "orig", None) or error).lower()
    return "malformed" in text or "file is not a database" in text


def is_locked(error: sa.exc.DBAPIError | sqlite3.Error) -> bool:
    """Return whether another process has the lock of a SQLite file."""
    return "locked" in str(getattr(error, "orig", None) or error).lower()


def is_refusal(error: BaseException) -> bool:
    """Return whether a database refuses what is to be written, so that no retry will succeed."""
    cause = error.__cause__ if isinstance(error, CampaignError) and error.__cause__ is not None else error
    if isinstance(cause, sa.exc.StatementError) and not isinstance(cause, sa.exc.DBAPIError):
        return True  # a parameter that has no form in the database
    return isinstance(
        cause, sa.exc.DataError | sa.exc.IntegrityError | ValueError | TypeError | ArithmeticError | RecursionError
    )


def try_a_few_times(
    step: Callable[[], T], is_retryable: Callable[[sa.exc.DBAPIError | sqlite3.Error], bool] = is_transient
) -> T:
    """Take a step that may fail because another process takes it too, such as creating a database.

    Args:
        step: called up to five times, with short pauses.
        is_retryable: returns whether to try again after an error.

    Returns:
        The result of ``step``.

    Raises:
        sqlalchemy.exc.DBAPIError: the error of the last try; it may also be a sqlite3.Error.
    """
    for n in range(_N_TRIES - 1):
        try:
            return step()
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            if not is_retryable(error):
                raise
            stopping.pause(pause_s(n))
    return step()
