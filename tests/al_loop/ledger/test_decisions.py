"""Vetoes, pins, approvals and stops, on SQLite and PostgreSQL alike."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from al_loop.errors import CampaignError
from al_loop.ledger import Answer, Ledger
from al_loop.oracles.base import Outcome
from tests.support.ledgers import (
    START,
    answer,
    begin_attempt,
    open_round,
)


def test_a_veto_a_pin_and_an_approval_are_kept_with_their_reasons(ledger: Ledger) -> None:
    open_round(ledger, 0, "A", "B", "C")
    (pinned,) = ledger.decide(0, vetoes={2: "smells"}, pins={"D": "a hunch"}, approve=False, by="ada", fidelity="x")
    assert (pinned.id, pinned.object, pinned.origin, pinned.round, pinned.position) == (4, "D", "pinned", 0, 3)
    assert pinned.fidelity == "x"
    assert [c.object for c in ledger.pending()] == ["A", "C", "D"]
    assert not ledger.is_approved(0)
    ledger.decide(0, vetoes={}, pins={}, approve=True, by="bob", reason="fine")
    assert ledger.is_approved(0)
    kept = [(d.action, d.candidate_id, d.reason, d.by) for d in ledger.decisions()]
    assert kept == [("veto", 2, "smells", "ada"), ("pin", 4, "a hunch", "ada"), ("approve", None, "fine", "bob")]
    assert ledger.vetoed() == {2}
    assert ledger.known_objects() == {"A", "B", "C", "D"}  # what was vetoed is not proposed again


def test_why_a_campaign_ends_is_kept_for_the_round_it_ends_after(ledger: Ledger) -> None:
    ledger.stop("nothing was found")  # before there is a round there is nothing to keep it with
    assert ledger.decisions() == []
    open_round(ledger, 0, "A")
    open_round(ledger, 1, "B")
    ledger.decide(1, vetoes={2: "smells"}, pins={}, approve=False, by="ada")
    ledger.stop("the budget is spent")
    ledger.stop("the budget is spent")  # another start decided the same
    kept = [(d.round, d.action, d.candidate_id, d.reason, d.by) for d in ledger.decisions()]
    assert kept[1:] == [(1, "stop", None, "the budget is spent", "al-loop")] * 2


def test_a_vetoed_candidate_is_never_measured(ledger: Ledger) -> None:
    open_round(ledger, 0, "A", "B")
    ledger.decide(0, vetoes={1: "toxic"}, pins={}, approve=True, by="ada")
    with pytest.raises(CampaignError, match="candidate 1 was vetoed"):
        ledger.begin_attempts([2, 1], "w0")
    assert ledger.attempts() == []


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ({"vetoes": {1: "late"}}, "being measured or has an answer"),
        ({"vetoes": {3: "unknown"}}, "candidate 3 is not in the batch of round 0"),
        ({"vetoes": {2: " "}}, "a reason is missing for 2"),
        ({"by": ""}, "name of the person who decides is missing"),
        ({"pins": {"": "blank"}}, "not storable"),
        ({"pins": {"D\x00": "odd"}}, "not storable"),
        ({"pins": {"D": ""}}, "a reason is missing for D"),
        ({"pins": {"B": "again"}}, "'B' was proposed already"),
    ],
)
def test_what_cannot_be_decided_changes_nothing(
    ledger: Ledger, decision: dict[str, dict[int | str, str]], message: str
) -> None:
    open_round(ledger, 0, "A", "B")
    begin_attempt(ledger, 1, "w0")
    with pytest.raises(CampaignError, match=message):
        ledger.decide(0, **{"vetoes": {}, "pins": {"C": "good"}, "approve": True, "by": "ada", **decision})  # type: ignore[arg-type]
    assert ledger.decisions() == []
    assert len(ledger.candidates()) == 2


def test_a_vetoed_candidate_takes_no_answer(ledger: Ledger) -> None:
    open_round(ledger, 0, "A", "B")
    ledger.decide(0, vetoes={1: "toxic"}, pins={}, approve=True, by="ada")
    answers = [Answer(i, Outcome((4.8,)), "cache", START, START) for i in (1, 2)]
    assert ledger.commit_answers(answers) == ["candidate 1 was vetoed", None]
    with pytest.raises(CampaignError, match="candidate 1 was vetoed"):
        ledger.commit_told(answers[:1], [], {})
    assert [o.object for o in ledger.observations()] == ["B"]


def test_what_was_pinned_by_mistake_can_be_vetoed_once(ledger: Ledger) -> None:
    open_round(ledger, 0, "A", "B")
    ledger.decide(0, vetoes={}, pins={"AB": "a hunch"}, approve=False, by="ada")
    ledger.decide(0, vetoes={3: "a typo"}, pins={"BA": "meant this"}, approve=False, by="ada")
    assert [c.object for c in ledger.pending()] == ["A", "B", "BA"]
    assert [(d.action, d.candidate_id) for d in ledger.decisions()] == [("pin", 3), ("veto", 3), ("pin", 4)]
    with pytest.raises(CampaignError, match="candidate 3 was vetoed already"):
        ledger.decide(0, vetoes={3: "again"}, pins={}, approve=False, by="bob")


def test_a_batch_of_nothing_is_let_out_only_where_something_was_measured_before(ledger: Ledger) -> None:
    open_round(ledger, 0, "A", "B")
    ledger.decide(0, vetoes={1: "no"}, pins={}, approve=False, by="ada")
    with pytest.raises(CampaignError, match="nothing would be measured"):
        ledger.decide(0, vetoes={2: "no"}, pins={}, approve=True, by="ada")
    assert not ledger.is_approved(0)
    (pinned,) = ledger.decide(0, vetoes={2: "no"}, pins={"C": "yes"}, approve=True, by="ada")
    answer(ledger, pinned.id)
    open_round(ledger, 1, "D")
    ledger.decide(1, vetoes={4: "no"}, pins={}, approve=True, by="ada")
    assert ledger.is_approved(1)
    assert ledger.pending() == []


def test_a_batch_has_gone_out_when_it_is_approved_or_somebody_was_asked(ledger: Ledger) -> None:
    open_round(ledger, 0, "A", "B")
    ledger.decide(0, vetoes={1: "no"}, pins={}, approve=False, by="ada")
    assert not ledger.has_gone_out(0)
    begin_attempt(ledger, 2, "w0")
    assert ledger.has_gone_out(0)
    open_round(ledger, 1, "C")
    assert not ledger.has_gone_out(1)
    ledger.decide(1, vetoes={}, pins={}, approve=True, by="ada")
    assert ledger.has_gone_out(1)


def test_what_went_out_cannot_be_decided_on(ledger: Ledger) -> None:
    open_round(ledger, 0, "A", "B")
    ledger.decide(0, vetoes={}, pins={}, approve=True, by="ada")
    with pytest.raises(CampaignError, match="approved already"):
        ledger.decide(0, vetoes={1: "late"}, pins={}, approve=False, by="bob")
    open_round(ledger, 1, "C")
    with pytest.raises(CampaignError, match="round 0 is not the last one"):
        ledger.decide(0, vetoes={1: "late"}, pins={}, approve=False, by="bob")


def test_of_two_people_who_veto_the_same_one_is_told(url: str, ledger: Ledger) -> None:
    open_round(ledger, 0, "A", "B")
    told: list[str] = []

    def veto(name: str) -> None:
        with Ledger(url) as own:
            try:
                own.decide(0, vetoes={1: "no"}, pins={}, approve=False, by=name)
            except CampaignError as error:
                told.append(str(error))

    threads = [threading.Thread(target=veto, args=(name,)) for name in ("ada", "bob", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == ["candidate 1 was vetoed already"] * 2
    assert len(ledger.decisions()) == 1


def test_of_a_veto_and_a_call_at_once_one_wins(url: str, ledger: Ledger) -> None:
    names = [f"S{i}" for i in range(12)]
    open_round(ledger, 0, *names)
    ready = threading.Barrier(2)

    def call() -> set[int]:
        begun = set()
        with Ledger(url) as own:
            ready.wait(300)
            for i in range(1, 13):
                with contextlib.suppress(CampaignError):
                    begun |= own.begin_attempts([i], "w0").keys()
        return begun

    with ThreadPoolExecutor(1) as pool, Ledger(url) as own:
        calls = pool.submit(call)
        ready.wait(300)
        for i in range(12, 0, -1):
            with contextlib.suppress(CampaignError):
                own.decide(0, vetoes={i: "no"}, pins={}, approve=False, by="ada")
        begun = calls.result(60)
    assert begun | ledger.vetoed() == set(range(1, 13))
    assert not begun & ledger.vetoed()
