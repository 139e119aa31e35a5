"""Import of earlier measurements into a campaign that has begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from al_loop.campaign.earlier_data import EarlierMeasurements
from al_loop.datafiles.replicates import content
from al_loop.errors import counted
from al_loop.ledger import EvaluationRow, Import, Ledger
from al_loop.oracles.base import Outcome

_AT_ONCE = 10_000  # measurements in one transaction
_MAX_SHOWN = 20  # conflicts


@dataclass(frozen=True)
class ImportPlan:
    """The planned effect of an import.

    Args:
        imports: the measurements to commit.
        n_unchanged: number of measurements that the ledger has already.
        conflicts: measurements that differ from those in the ledger, which count.
        n_vetoed: number of measurements of objects that were vetoed.
        n_in_flight: number of measurements of objects that are being measured, whose own answer counts.
    """

    imports: list[Import] = field(default_factory=list)
    n_unchanged: int = 0
    conflicts: tuple[str, ...] = ()
    n_vetoed: int = 0
    n_in_flight: int = 0

    def lines(self) -> list[str]:
        """Return a description, line by line."""
        lines = [f"{counted(len(self.imports), 'new measurement')}, at no cost to the budget"]
        if self.n_unchanged:
            lines.append(f"{self.n_unchanged} in the ledger already, with the same result")
        if self.conflicts:
            differ = "differs" if len(self.conflicts) == 1 else "differ"
            lines.append(f"{len(self.conflicts)} {differ} from the result in the ledger, which counts:")
            lines += [f"  {text}" for text in self.conflicts[:_MAX_SHOWN]]
            if len(self.conflicts) > _MAX_SHOWN:
                lines.append(f"  and {len(self.conflicts) - _MAX_SHOWN} more")
        if self.n_in_flight:
            lines.append(f"{self.n_in_flight} of objects that are being measured, whose own result will count")
        if self.n_vetoed:
            lines.append(f"{self.n_vetoed} of vetoed objects, which are left out")
        return lines


def plan_import(ledger: Ledger, data: EarlierMeasurements) -> ImportPlan:
    """Return what an import would do, without changing the ledger.

    Args:
        ledger: the campaign's ledger.
        data: the measurements.
    """
    # an object that is measured again has its result already, as ``add_imports`` sees it
    candidates = {(c.object, c.fidelity): c for c in ledger.candidates() if not c.replicate}
    stored = {e.candidate_id: e for e in ledger.evaluations()}
    vetoed, in_flight = ledger.vetoed(), {c.id for c in ledger.in_flight()}
    imports: list[Import] = []
    conflicts: list[str] = []
    n_unchanged = n_vetoed = n_in_flight = 0
    for item in data.imports:
        candidate = candidates.get((item.object, item.fidelity))
        outcome = item.answer.outcome
        if candidate is None:
            imports.append(item)
        elif candidate.id in vetoed:
            n_vetoed += 1
        elif (earlier := stored.get(candidate.id)) is not None:
            if content(outcome) == content(earlier):
                n_unchanged += 1
            else:
                conflicts.append(f"{item.object}: {_text(earlier)} in the ledger, {_text(outcome)} in the file")
        elif candidate.id in in_flight:
            n_in_flight += 1
        else:  # proposed, but not measured: its cost would count as spent by this campaign
            free = replace(outcome, cost=None)
            imports.append(replace(item, answer=replace(item.answer, outcome=free)))
    return ImportPlan(imports, n_unchanged, tuple(conflicts), n_vetoed, n_in_flight)


def commit_import(ledger: Ledger, imports: Sequence[Import]) -> int:
    """Commit measurements, and return their number.

    Args:
        ledger: the campaign's ledger.
        imports: the measurements; those whose objects were measured meanwhile are left out.
    """
    parts = [imports[i : i + _AT_ONCE] for i in range(0, len(imports), _AT_ONCE)]
    return sum(len(ledger.add_imports(part)) for part in parts)


def _text(outcome: Outcome | EvaluationRow) -> str:
    if outcome.values is None:
        return "a failure"
    return ", ".join(f"{value:g}" for value in outcome.values)
