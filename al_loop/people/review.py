"""Review of a batch before it is released: veto, pin, replace and approve.

In a notebook::

    with open_review("runs/egfr") as review:
        print(review.batch)
        review.veto("CCO", "volatile")
        review.replace("17", "CCCO", "less volatile")
        review.commit("ada", approve=True)

Importing it loads neither torch nor ray; the parts of the campaign are built when an object is pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from al_loop.campaign.preparation import CampaignParts, prepare
from al_loop.datafiles.object_tables import read_table
from al_loop.errors import ConfigError, not_one_of
from al_loop.ledger import Candidate, Ledger
from al_loop.people.campaign_of_ledger import add_part_folders, campaign_config, object_notation
from al_loop.storage.locate import find_ledger, run_folder

_COLUMNS = ("object", "action", "reason", "new")
_ACTIONS = ("veto", "pin", "replace")


class Review:
    """Decisions on the batch that waits for review; nothing is recorded before ``commit``.

    Args:
        ledger: the campaign's ledger.
        canonical: returns the canonical spelling of an object, or None for text that is not an object.
        check: raises ValueError for an object whose features cannot be computed.
        fidelity: returns the fidelity at which pinned objects are measured.

    Attributes:
        number: the round of the batch.
        batch: the candidates in the batch.
        vetoes: the reason for each veto, by candidate id.
        pins: the reason for each pin, by object.

    Raises:
        ConfigError: no batch waits for review.
    """

    def __init__(
        self,
        ledger: Ledger,
        canonical: Callable[[str], str | None],
        check: Callable[[str], None] = lambda name: None,
        fidelity: Callable[[], str] = lambda: "",
    ) -> None:
        self.ledger = ledger
        self.number = waiting_round(ledger)
        self.batch = waiting_batch(ledger)
        self.vetoes: dict[int, str] = {}
        self.pins: dict[str, str] = {}
        self._canonical, self._check, self._fidelity = canonical, check, fidelity
        self._known_objects = ledger.known_objects()

    def veto(self, candidate: str, reason: str) -> None:
        """Exclude a candidate from measurement.

        Args:
            candidate: its object, in any spelling, or its id.
            reason: stored with the decision.

        Raises:
            ConfigError: the candidate is not in the batch or has a decision already, or the reason is empty.
        """
        row = self._find(candidate)
        self.vetoes[row.id] = _non_empty(reason, row.object)

    def pin(self, name: str, reason: str) -> None:
        """Add an object to the batch.

        Args:
            name: the object.
            reason: stored with the decision.

        Raises:
            ConfigError: the object has no features or was proposed already, or the reason is empty.
        """
        canonical = self._require_new(name)
        self.pins[canonical] = _non_empty(reason, canonical)

    def replace(self, candidate: str, new: str, reason: str) -> None:
        """Replace a candidate with another object, by a veto and a pin that refer to each other.

        Args:
            candidate: its object, in any spelling, or its id.
            new: the object to measure instead.
            reason: stored with both decisions.

        Raises:
            ConfigError: the veto or the pin is not possible.
        """
        old, canonical = self._find(candidate), self._require_new(new)
        reason = _non_empty(reason, old.object)
        self.vetoes[old.id] = f"replaced by {canonical}: {reason}"
        self.pins[canonical] = f"in place of {old.object}: {reason}"

    def read(self, path: str | Path) -> None:
        """Read decisions from a table with the columns object, action (veto, pin, replace), reason and new.

        Raises:
            ConfigError: the file is not such a table, or one of its decisions is not possible; the message gives its
                line.
        """
        table = read_table(str(path))
        columns = {name.lower(): cells for name, cells in table.columns.items()}
        if missing := [name for name in _COLUMNS[:3] if name not in columns]:
            raise ConfigError(f"{path}: there is no column {missing[0]!r}; expected {', '.join(_COLUMNS)}")
        for i, line in enumerate(table.lines):
            try:
                self._add({name: cells[i] for name, cells in columns.items()})
            except ConfigError as error:
                raise ConfigError(f"{path}, line {line}: {error}") from None

    def commit(self, by: str, *, approve: bool, reason: str = "") -> list[Candidate]:
        """Record the decisions, all or nothing.

        Args:
            by: the name of the person who decides.
            approve: whether to release the batch; no further decision on it is possible afterwards.
            reason: the reason for the approval; may be empty.

        Returns:
            The pinned candidates.

        Raises:
            CampaignError: one of the decisions is no longer possible, because somebody else has decided meanwhile.
        """
        fidelity = self._fidelity() if self.pins else ""
        return self.ledger.decide(
            self.number,
            vetoes=self.vetoes,
            pins=self.pins,
            approve=approve,
            by=by,
            reason=reason,
            fidelity=fidelity,
        )

    def _add(self, cells: Mapping[str, str]) -> None:
        """Add the decision in a row of a table."""
        action, name, reason = cells["action"].lower(), cells["object"], cells["reason"]
        if not name:
            raise ConfigError("the object is missing")
        if action == "veto":
            self.veto(name, reason)
        elif action == "pin":
            self.pin(name, reason)
        elif action != "replace":
            raise ConfigError(f"the action {not_one_of(action, _ACTIONS)}")
        elif not cells.get("new"):
            raise ConfigError("replace requires the other object in the column 'new'")
        else:
            self.replace(name, cells["new"], reason)

    def _find(self, text: str) -> Candidate:
        """Return the candidate of the batch with an object or id."""
        text = text.strip()
        name = self._canonical(text)
        matches = [c for c in self.batch if c.object == name or (text.isdecimal() and c.id == int(text))]
        if not matches:
            raise ConfigError(f"{text} is not in the batch of round {self.number}, which waits for review")
        if len(matches) > 1:
            names = ", ".join(f"{c.id} ({' at '.join(filter(None, (c.object, c.fidelity)))})" for c in matches)
            raise ConfigError(f"{text} matches several candidates: {names}; use an unambiguous object or id")
        if matches[0].id in self.vetoes:
            raise ConfigError(f"{text} has two decisions; keep one of them")
        return matches[0]

    def _require_new(self, name: str) -> str:
        """Return the canonical spelling of an object that can be pinned."""
        canonical = self._canonical(name.strip())
        if not canonical:
            raise ConfigError(f"pin: {name!r} is not a valid object")
        if canonical in self.pins:
            raise ConfigError(f"pin: {canonical} is pinned twice; keep one of them")
        if canonical in self._known_objects:
            raise ConfigError(f"pin: {canonical} was proposed already, so it cannot be added to the batch")
        try:
            self._check(canonical)
        except ValueError as error:  # an object without features would stop the campaign permanently
            raise ConfigError(f"pin: this campaign cannot learn from {canonical!r:.80}: {error}") from None
        return canonical


@contextmanager
def open_review(run: str | Path) -> Iterator[Review]:
    """Open a review of the batch of a run that waits for one.

    Args:
        run: a run directory, a ledger file or a database URL.

    Raises:
        ConfigError: there is no such run, or none of its batches waits for review.
    """
    with Ledger(find_ledger(run)) as ledger:
        add_part_folders(run_folder(str(run)))
        canonical = object_notation(ledger).canonical
        check = _FeatureCheck(ledger)
        yield Review(ledger, canonical, check, lambda: check.parts().oracle.fidelity)


class _FeatureCheck:
    """A check that raises ValueError for an object without features; the campaign's parts are built on first use."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._parts: CampaignParts | None = None

    def parts(self) -> CampaignParts:
        """Return the parts of the campaign."""
        if self._parts is None:
            self._parts = prepare(campaign_config(self._ledger))
        return self._parts

    def __call__(self, name: str) -> None:
        self.parts().features([name])


def waiting_round(ledger: Ledger) -> int:
    """Return the round whose batch waits for review, even if all of it was vetoed.

    Raises:
        ConfigError: no batch waits for review.
    """
    number = ledger.last_round()
    if number is None:
        raise ConfigError("no batch waits for review: nothing has been proposed yet")
    if ledger.is_approved(number):
        raise ConfigError(f"round {number} is approved already, and the next batch has not been proposed yet")
    if ledger.has_gone_out(number):
        raise ConfigError(
            f"round {number} was released without a review; to review batches first, set rounds.review=true"
        )
    vetoed = ledger.vetoed()
    if not waiting_batch(ledger) and not any(c.round == number and c.id in vetoed for c in ledger.candidates()):
        raise ConfigError("no batch waits for review: no candidate is pending")
    return number


def waiting_batch(ledger: Ledger) -> list[Candidate]:
    """Return the pending candidates of the last round."""
    last = ledger.last_round()
    return [c for c in ledger.pending() if c.round == last]


def _non_empty(reason: str, name: str) -> str:
    """Return a reason without surrounding blanks; raise ConfigError if it is empty."""
    if not reason.strip():
        raise ConfigError(f"a reason is required for {name:.80}; it is stored with the decision")
    return reason.strip()
