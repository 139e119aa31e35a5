"""A person looks at a batch before it goes out: vetoes, pins, replaces, approves.

In a notebook::

    with open_review("runs/egfr") as review:
        print(review.batch)
        review.veto("CCO", "volatile")
        review.replace("17", "CCCO", "less volatile")
        review.commit("ada", approve=True)

Importing it loads neither torch nor ray; the parts of the campaign are built when an object is pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from al_loop.analysis import find_ledger, run_folder
from al_loop.campaign.building import build_environment, build_features, build_oracle
from al_loop.datafiles.object_tables import read_table
from al_loop.errors import ConfigError
from al_loop.ledger import Candidate, Ledger
from al_loop.people import lab

_COLUMNS = ("object", "action", "reason", "new")
_ACTIONS = ("veto", "pin", "replace")


@dataclass
class Review:
    """What is to be decided of the waiting batch; nothing is recorded before ``commit``.

    Args:
        ledger: of the campaign.
        canonical: the one way of writing an object; None: it is none.
        check: raises ValueError for an object that the campaign could not learn from.
        fidelity: at which pinned objects are to be measured.

    Attributes:
        number: the round of the batch.
        batch: what waits in it.
        vetoes: why each candidate is not to be measured, by its id.
        pins: why each object is to be measured, too.

    Raises:
        ConfigError: no batch waits.
    """

    ledger: Ledger
    canonical: Callable[[str], str | None]
    check: Callable[[str], None] = lambda name: None
    fidelity: Callable[[], str] = lambda: ""
    vetoes: dict[int, str] = field(default_factory=dict, init=False)
    pins: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.number = waiting_round(self.ledger)
        self.batch = batch(self.ledger)
        self._known = self.ledger.known_objects()

    def veto(self, which: str, reason: str) -> None:
        """A candidate (its object or id) is not to be measured.

        Raises:
            ConfigError: it is not in the waiting batch, was decided on above, or no reason is given.
        """
        candidate = self._find(which)
        self.vetoes[candidate.id] = _stated(reason, candidate.object)

    def pin(self, name: str, reason: str) -> None:
        """An object is to be measured, too.

        Raises:
            ConfigError: it is none that the campaign could learn from, was proposed already, or no reason is given.
        """
        canonical = self._new(name)
        self.pins[canonical] = _stated(reason, canonical)

    def replace(self, which: str, new: str, reason: str) -> None:
        """Another object is to be measured in a candidate's place: a veto and a pin that name each other.

        Raises:
            ConfigError: as ``veto`` and ``pin``.
        """
        old, canonical = self._find(which), self._new(new)
        reason = _stated(reason, old.object)
        self.vetoes[old.id] = f"replaced by {canonical}: {reason}"
        self.pins[canonical] = f"in place of {old.object}: {reason}"

    def read(self, path: str | Path) -> None:
        """Takes in a table (CSV) with the columns object, action (veto, pin, replace), reason, and new (of replace).

        Raises:
            ConfigError: it is no such table, or one of its rows cannot be taken in.
        """
        table = read_table(str(path))
        columns = {name.lower(): cells for name, cells in table.columns.items()}
        if missing := [name for name in _COLUMNS[:3] if name not in columns]:
            raise ConfigError(f"{path}: there is no column {missing[0]!r}; the columns are {', '.join(_COLUMNS)}")
        for i, line in enumerate(table.lines):
            try:
                self._take({name: cells[i] for name, cells in columns.items()})
            except ConfigError as error:
                raise ConfigError(f"{path}, line {line}: {error}") from None

    def _take(self, cells: Mapping[str, str]) -> None:
        action, which, reason = cells["action"].lower(), cells["object"], cells["reason"]
        if not which:
            raise ConfigError("no object")
        if action == "veto":
            self.veto(which, reason)
        elif action == "pin":
            self.pin(which, reason)
        elif action != "replace":
            raise ConfigError(f"the action {action!r} is not one of {', '.join(_ACTIONS)}")
        elif not cells.get("new"):
            raise ConfigError("replace needs the other object in the column 'new'")
        else:
            self.replace(which, cells["new"], reason)

    def commit(self, by: str, *, approve: bool, reason: str = "") -> list[Candidate]:
        """Records the decisions, all or nothing; returns what was pinned.

        Args:
            by: who decides.
            approve: whether the batch may go out then. Nothing more can be decided of it afterwards.
            reason: of the approval; it may be empty.

        Raises:
            CampaignError: somebody else decided in between, so that one of the decisions cannot be taken.
        """
        fidelity = self.fidelity() if self.pins else ""
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
        which = which.strip()
        name = self.canonical(which)
        found = [c for c in self.batch if c.object == name or (which.isdecimal() and c.id == int(which))]
        if not found:
            raise ConfigError(f"{which} is not in the batch of round {self.number} that waits")
        if len(found) > 1:
            said = ", ".join(f"{c.id} ({' at '.join(filter(None, (c.object, c.fidelity)))})" for c in found)
            raise ConfigError(f"{which} may mean several candidates: {said}; name the one by its object or id alone")
        if found[0].id in self.vetoes:
            raise ConfigError(f"{which} is decided on twice; leave one")
        return found[0]

    def _new(self, name: str) -> str:
        canonical = self.canonical(name.strip())
        if not canonical:
            raise ConfigError(f"pin: {name!r} is not a valid object")
        if canonical in self.pins:
            raise ConfigError(f"pin: {canonical} is pinned twice; leave one")
        if canonical in self._known:
            raise ConfigError(f"pin: {canonical} was proposed already")
        try:
            self.check(canonical)
        except ValueError as error:  # what cannot be learned from would stop the campaign for good
            raise ConfigError(f"pin: this campaign cannot take {canonical!r:.80}: {error}") from None
        return canonical


@contextmanager
def open_review(run: str | Path) -> Iterator[Review]:
    """The waiting batch of a run, to be decided on.

    Args:
        run: a run directory, a ledger file or a database URL.

    Raises:
        ConfigError: there is no such run, or no batch of it waits.
    """
    with Ledger(find_ledger(run)) as ledger:
        lab.add_folders(run_folder(str(run)))
        _, canonical = lab.of_objects(ledger)
        yield Review(ledger, canonical, _Check(ledger), lambda: build_oracle(lab.settings_of(ledger)).fidelity)


class _Check:
    """Raises ValueError for an object whose features cannot be computed; they are built for the first one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._features: Callable[[Sequence[str]], object] | None = None

    def __call__(self, name: str) -> None:
        if self._features is None:
            settings = lab.settings_of(self._ledger)
            self._features = build_features(settings, build_environment(settings))
        self._features([name])


def waiting_round(ledger: Ledger) -> int:
    """The round whose batch waits for a decision; all of it may have been vetoed.

    Raises:
        ConfigError: none does.
    """
    number = ledger.last_round()
    if number is None:
        raise ConfigError("no batch waits for a decision: nothing was proposed yet")
    if ledger.is_approved(number):
        raise ConfigError(f"round {number} was approved already; the next batch is still to be decided on")
    if ledger.has_gone_out(number):
        raise ConfigError(f"round {number} has gone out already; to look at batches first: rounds.review=true")
    vetoed = ledger.vetoed()
    if not batch(ledger) and not any(c.round == number and c.id in vetoed for c in ledger.candidates()):
        raise ConfigError("no batch waits for a decision: nothing is pending")
    return number


def batch(ledger: Ledger) -> list[Candidate]:
    """The candidates of the last round that are still to be measured."""
    last = ledger.last_round()
    return [c for c in ledger.pending() if c.round == last]


def _stated(reason: str, which: str) -> str:
    if not reason.strip():
        raise ConfigError(f"no reason is given for {which:.80}; say why, it is kept with the decision")
    return reason.strip()
