"""A description of the effect of a table of results, for confirmation before it is committed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from al_loop.errors import counted
from al_loop.ledger import Ledger
from al_loop.oracles.base import Objective, Outcome
from al_loop.people.tell import ParsedResults
from al_loop.system.numbers import significant

_MAX_IDS = 20


def preview(results: ParsedResults, ledger: Ledger) -> Iterator[tuple[str, list[str]]]:
    """Yield a heading and its lines for each effect of committing results.

    Args:
        results: a parsed table of results.
        ledger: the ledger against which it was checked.
    """
    campaign = ledger.campaign()
    assert campaign is not None
    names = {c.id: c.object for c in ledger.candidates()}
    objectives = campaign.objectives
    for heading, outcomes in (("to be committed", results.answers), ("to be corrected", results.corrections)):
        if outcomes:
            yield f"{len(outcomes)} {heading}", [_line(f"{i}  {names[i]}", o, objectives) for i, o in outcomes.items()]
    if results.extra:
        yield (
            f"{len(results.extra)} to be committed that were never proposed",
            [_line(name, o, objectives) for name, o in results.extra.items()],
        )
    if results.unchanged:
        yield f"{len(results.unchanged)} in the ledger already, with the same result", []
    if results.blank:
        yield f"{len(results.blank)} without a result yet, which remain pending: {_ids(results.blank)}", []
    others = {c.id for c in ledger.in_flight()} - results.answers.keys() - {*results.blank}
    if others:
        yield f"{len(others)} handed out before and still pending: {_ids(sorted(others))}", []
    if results.notes:
        yield "please check", results.notes
    if results.problems:
        yield counted(len(results.problems), "problem"), results.problems


def _line(label: str, outcome: Outcome, objectives: Sequence[Objective]) -> str:
    if outcome.values is None:
        assert outcome.failure is not None
        return f"{label}: {outcome.failure.kind} failure: {outcome.failure.reason}"
    bounds = outcome.censored or [None] * len(outcome.values)
    values = ", ".join(
        f"{o.name} –" if math.isnan(value) else f"{o.name} {side or ''}{value:g}{f' {o.unit}' if o.unit else ''}"
        for o, value, side in zip(objectives, outcome.values, bounds, strict=True)
    )
    noise = "" if outcome.noise is None else f" (± {', '.join(significant(n, 2) for n in outcome.noise)})"
    return f"{label}: {values}{noise}"


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:_MAX_IDS])) + (" ..." if len(ids) > _MAX_IDS else "")
