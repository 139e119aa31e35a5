"""The states of an open campaign: what was added is read alone, and equals a state that is read as a whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from al_loop.campaign.round_state import RoundState, RoundStates
from al_loop.ledger import Answer, Candidate, Ledger, Proposal
from al_loop.modelling.fidelities import Fidelities
from al_loop.modelling.objectives import CampaignObjectives
from al_loop.oracles.base import Objective, Outcome

NOW = datetime.now(UTC)


def _answer(candidate: Candidate, outcome: Outcome) -> Answer:
    return Answer(candidate.id, outcome, "w", NOW, NOW)


def test_a_state_that_grows_equals_one_that_is_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: Any = SimpleNamespace(
        objectives=CampaignObjectives((0,), ("g",), ("maximise",)), fidelities=Fidelities(("",), (1.0,))
    )
    n_whole = 0
    read = RoundState.read

    def counted(*arguments: Any) -> RoundState:
        nonlocal n_whole
        n_whole += 1
        return read(*arguments)

    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="c", config={}, fingerprint="f", seed=0, objectives=[Objective("g")], versions={"al-loop": "0"}
        )
        states = RoundStates(ledger, parts)

        def check(n_reads: int) -> None:
            monkeypatch.setattr(RoundState, "read", counted)
            state = states.current()
            assert states.current() is state
            monkeypatch.setattr(RoundState, "read", read)
            whole = read(ledger, parts)
            for name in ("rounds", "candidates", "observations"):
                assert list(getattr(state, name)) == list(getattr(whole, name))
            assert n_whole == n_reads

        check(1)
        first = ledger.open_round(0, [Proposal(o, "random") for o in "abc"], seed=0, seconds={}, info={})
        steps: list[tuple[Callable[[], object], int]] = [
            (lambda: ledger.commit_answers([_answer(first[2], Outcome((3.0,)))]), 1),
            (lambda: ledger.commit_answers([_answer(first[0], Outcome.failed("permanent", "broken"))]), 1),
            (lambda: ledger.close_round(0, metrics={}, seconds={}), 1),
            (lambda: ledger.open_round(1, [Proposal("d", "sampler")], seed=0, seconds={}, info={}), 1),
            (lambda: ledger.commit_told([], [_answer(first[2], Outcome((5.0,)))], {}), 2),
            (lambda: ledger.retry([first[0].id], reason="mended", by="ada"), 3),
            (lambda: ledger.commit_answers([_answer(first[0], Outcome((1.0,)))]), 4),
        ]
        check(1)
        for step, n_reads in steps:
            step()
            check(n_reads)
        assert [o.values for o in states.current().observations] == [(1.0,), (5.0,)]
        assert [o.values for o in states.until(1).observations] == [(3.0,)]


@pytest.mark.parametrize(
    ("goals", "tied"), [(("maximise",), ["a", "d"]), (("minimise",), ["c"]), (("maximise",) * 2, [])]
)
def test_tied_objects_share_the_best_value(tmp_path: Path, goals: tuple[str, ...], tied: list[str]) -> None:
    names = ("g", "h")[: len(goals)]
    parts: Any = SimpleNamespace(
        objectives=CampaignObjectives(tuple(range(len(goals))), names, goals), fidelities=Fidelities(("",), (1.0,))
    )
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        objectives = [Objective(name) for name in names]
        ledger.begin_campaign(
            name="c", config={}, fingerprint="f", seed=0, objectives=objectives, versions={"al-loop": "0"}
        )
        assert RoundState.read(ledger, parts).tied() == []
        proposals = [Proposal(o, "random") for o in "abcde"]
        candidates = ledger.open_round(0, proposals, seed=0, seconds={}, info={})
        outcomes = [Outcome((v,) * len(goals)) for v in (3.0, 2.0, 1.0, 3.0)]
        outcomes.append(Outcome.failed("permanent", "broken"))
        ledger.commit_answers([_answer(c, o) for c, o in zip(candidates, outcomes, strict=True)])
        assert RoundState.read(ledger, parts).tied() == tied
