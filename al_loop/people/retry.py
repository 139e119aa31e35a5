"""Asking again for what failed, once the oracle is mended.

In a notebook::

    retry("runs/egfr", reason="the licence is back")

The failures remain in the ledger as earlier revisions; the next start of the campaign measures the objects again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from al_loop.errors import ConfigError
from al_loop.ledger import Candidate, Ledger
from al_loop.people.campaign_of_ledger import object_notation
from al_loop.storage.locate import find_ledger, run_folder
from al_loop.storage.run_directory import RunDirectory
from al_loop.system.users import current_user

_ALIVE_S = 60.0  # a driver renews its lease more often


def retry(
    run: str | Path,
    *,
    objects: Collection[str] = (),
    kinds: Collection[str] = (),
    reason: str = "",
    by: str | None = None,
) -> list[Candidate]:
    """Have the objects that failed measured again when the campaign runs next.

    Args:
        run: a run directory, a ledger file, or a database URL.
        objects: objects, in any spelling, or their ids; by default all that failed.
        kinds: kinds of failure, such as ``permanent``; by default all.
        reason: the reason, which is recorded.
        by: the name of the person, which is recorded; by default the current user.

    Returns:
        The candidates, which are pending now.

    Raises:
        ConfigError: the campaign is running, nothing failed, or one of the objects did not fail.
    """
    with Ledger(find_ledger(run)) as ledger, _while_nobody_drives(run, ledger):
        failures = {e.candidate_id: e.failure.kind for e in ledger.evaluations() if e.failure is not None}
        failed = [c for c in ledger.candidates() if c.id in failures]
        if not failed:
            raise ConfigError(f"{run}: no object has failed, so there is nothing to ask again")
        chosen = _named(ledger, failed, objects) if objects else failed
        chosen = [c for c in chosen if not kinds or failures[c.id] in kinds]
        if not chosen:
            present = ", ".join(sorted({failures[c.id] for c in failed}))
            raise ConfigError(f"{run}: no object failed with {', '.join(kinds)}; the failures are {present}")
        ledger.retry([c.id for c in chosen], reason=reason, by=current_user() if by is None else by)
    return chosen


def _named(ledger: Ledger, failed: list[Candidate], objects: Collection[str]) -> list[Candidate]:
    """Return the failed candidates with these objects or ids, in order.

    Raises:
        ConfigError: one of them did not fail.
    """
    canonical = object_notation(ledger).canonical
    chosen: dict[int, Candidate] = {}
    for text in (o.strip() for o in objects):
        names = {text, canonical(text)}
        matches = [c for c in failed if c.object in names or (text.isdecimal() and c.id == int(text))]
        if not matches:
            is_known = any(c.object in names or str(c.id) == text for c in ledger.candidates())
            state = "did not fail" if is_known else "is not in this campaign"
            raise ConfigError(f"{text:.80} {state}; leave out --objects to ask again for all {len(failed)} that failed")
        chosen.update((c.id, c) for c in matches)
    return [chosen[id_] for id_ in sorted(chosen)]


@contextmanager
def _while_nobody_drives(run: str | Path, ledger: Ledger) -> Iterator[None]:
    """Hold the run directory's lock, so that no process drives the campaign meanwhile.

    Raises:
        ConfigError: a process drives it.
    """
    lease = ledger.lease()
    is_held = lease is not None and lease.released is None
    if lease is not None and is_held and datetime.now(UTC) - lease.heartbeat < timedelta(seconds=_ALIVE_S):
        raise ConfigError(
            f"the campaign in {run} is running (pid {lease.pid} on {lease.host}); stop it first, then ask again"
        )
    folder = run_folder(str(run))
    if folder is None or not (folder / "lock").is_file():
        yield
        return
    directory = RunDirectory(folder)
    try:
        yield
    finally:
        directory.close()
