"""A person looks at a batch before it goes out: vetoes, pins, replaces, approves. Needs neither torch nor ray."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from al_loop.errors import ConfigError
from al_loop.ledger import Candidate, Ledger

_COLUMNS = ("object", "action", "reason", "new")
_ACTIONS = ("veto", "pin", "replace")


@dataclass
class Review:
    """What is to be decided of the waiting batch.

    vetoes: why each candidate is not to be measured, by its id. pins: why each object is, too.
    """

    ledger: Ledger
    canonical: Callable[[str], str | None]
    vetoes: dict[int, str] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.number = waiting_round(self.ledger)
        self._batch = {c.id: c for c in batch(self.ledger)}

    def veto(self, which: str, reason: str) -> None:
        """A candidate (its object or id) is not to be measured.

        Raises:
            ConfigError: it is not in the waiting batch.
        """
        self.vetoes[self._find(which).id] = reason

    def pin(self, name: str, reason: str) -> None:
        """An object is to be measured, too.

        Raises:
            ConfigError: it is none, or was proposed already.
        """
        canonical = self.canonical(name)
        if canonical is None:
            raise ConfigError(f"pin: {name!r} is not a valid object")
        if canonical in self.ledger.known_objects():
            raise ConfigError(f"pin: {canonical} was proposed already")
        self.pins[canonical] = reason

    def replace(self, which: str, new: str, reason: str) -> None:
        """Another object is to be measured in a candidate's place."""
        old = self._find(which)
        self.pin(new, f"in place of {old.object}: {reason}")
        self.veto(which, f"replaced by {new}: {reason}")

    def read(self, path: Path) -> None:
        """Takes in a table (CSV) with the columns object, action (veto, pin, replace), reason, and new (of replace).

        Raises:
            ConfigError: it is no such table, or one of its rows cannot be taken in.
        """
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from None
        for line, row in enumerate(rows, start=2):
            cells = {key.strip().lower(): (value or "").strip() for key, value in row.items() if key is not None}
            missing = [name for name in _COLUMNS[:3] if not cells.get(name)]
            if missing:
                raise ConfigError(f"{path}, line {line}: no {missing[0]}; the columns are {', '.join(_COLUMNS)}")
            try:
                self._take(cells)
            except ConfigError as error:
                raise ConfigError(f"{path}, line {line}: {error}") from None

    def _take(self, cells: Mapping[str, str]) -> None:
        action, which, reason = cells["action"].lower(), cells["object"], cells["reason"]
        if action not in _ACTIONS:
            raise ConfigError(f"the action {action!r} is not one of {', '.join(_ACTIONS)}")
        if action == "veto":
            self.veto(which, reason)
        elif action == "pin":
            self.pin(which, reason)
        elif not cells.get("new"):
            raise ConfigError("replace needs the other object in the column 'new'")
        else:
            self.replace(which, cells["new"], reason)

    def commit(self, by: str, *, approve: bool, reason: str = "", fidelity: str = "") -> list[Candidate]:
        """Records the decisions, all or nothing; returns what was pinned.

        Raises:
            CampaignError: somebody else decided in between, or a reason is missing.
        """
        return self.ledger.decide(
            self.number,
            vetoes=self.vetoes,
            pins=self.pins,
            approve=approve,
            by=by,
            reason=reason,
            fidelity=fidelity,
        )

    def _find(self, which: str) -> Candidate:
        if which.isdecimal() and int(which) in self._batch:
            return self._batch[int(which)]
        name = self.canonical(which)
        found = [c for c in self._batch.values() if c.object == name]
        if not found:
            raise ConfigError(f"{which} is not in the batch of round {self.number} that waits")
        if len(found) > 1:
            raise ConfigError(f"{which} is in the batch at several fidelities; give its id: {[c.id for c in found]}")
        return found[0]


def waiting_round(ledger: Ledger) -> int:
    """The round whose batch waits for a decision.

    Raises:
        ConfigError: none does.
    """
    number = ledger.last_round()
    if number is None or not batch(ledger):
        raise ConfigError("no batch waits for a decision: nothing is pending")
    if ledger.is_approved(number):
        raise ConfigError(f"round {number} was approved already; the next batch is still to be decided on")
    if {c.id for c in ledger.in_flight()} & {c.id for c in batch(ledger)}:
        raise ConfigError(f"round {number} has gone out already; to look at batches first: rounds.review=true")
    return number


def batch(ledger: Ledger) -> Sequence[Candidate]:
    """The candidates of the last round that are still to be measured."""
    last = ledger.last_round()
    return [c for c in ledger.pending() if c.round == last]
