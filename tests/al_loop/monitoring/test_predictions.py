from datetime import UTC, datetime

import pytest

from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.modelling.objectives import CampaignObjectives
from al_loop.monitoring.predictions import past_predictions
from al_loop.oracles.base import Objective, Outcome

OBJECTIVES = (Objective("strength", "MPa"), Objective("price", "EUR", "minimise"), Objective("colour"))
WANTED = CampaignObjectives((1, 0), ("price", "strength"), ("minimise", "maximise"))


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        ledger.begin_campaign(name="c", config={}, fingerprint="f", seed=0, objectives=OBJECTIVES, versions={})
        yield ledger


def answer(ledger, candidate, outcome):
    ledger.begin_attempts([candidate.id], "worker")
    now = datetime.now(UTC)
    assert ledger.commit_answers([Answer(candidate.id, outcome, "worker", now, now)]) == [None]


def test_predictions_stand_beside_what_came_of_them(ledger):
    first = ledger.open_round(0, [Proposal("a", "random"), Proposal("b", "random")], seed=0, seconds={}, info={})
    for candidate, values in zip(first, [(1.0, 2.0, 0.0), (3.0, 4.0, 0.0)], strict=True):
        answer(ledger, candidate, Outcome(values))
    ledger.close_round(0, metrics={}, seconds={})
    info = {
        "predicted": {"mean": [[10.0, 20.0], [11.0, 21.0], [12.0, 22.0]], "std": [[1.0, 2.0], [1.1, 2.1], [1.2, 2.2]]},
        "nearest": [0.5, 0.6, 0.7],
        "factors": [1.5, 1.0],
    }
    batch = ledger.open_round(1, [Proposal(o, "sampler") for o in "cde"], seed=0, seconds={}, info=info)
    answer(ledger, batch[2], Outcome((7.0, 8.0, 9.0)))
    answer(ledger, batch[0], Outcome.failed("permanent", "broken"))
    ledger.close_round(1, metrics={}, seconds={})
    ledger.open_round(2, [Proposal("f", "sampler")], seed=0, seconds={}, info={**info, "factors": [2.0, 2.0]})
    answer(ledger, batch[1], Outcome((5.0, 6.0, 0.0)))
    price, strength = past_predictions(ledger, WANTED)
    assert price.mean.tolist() == [11.0, 12.0]
    assert price.std.tolist() == [1.1, 1.2]
    assert price.measured.tolist() == [6.0, 8.0]
    assert strength.mean.tolist() == [21.0, 22.0]
    assert strength.measured.tolist() == [5.0, 7.0]
    assert price.nearest.tolist() == [0.6, 0.7]
    assert price.factor.tolist() == [1.5, 1.5]
    assert strength.factor.tolist() == [1.0, 1.0]
    assert price.arrived.tolist() == [2, 1]
    assert price.of_round(2).measured.tolist() == [6.0]
    assert past_predictions(ledger, WANTED, until=3)[0].measured.tolist() == [8.0]


def test_without_predictions_there_are_none(ledger):
    (candidate,) = ledger.open_round(0, [Proposal("a", "random")], seed=0, seconds={}, info={})
    answer(ledger, candidate, Outcome((1.0, 2.0, 3.0)))
    assert [len(p.mean) for p in past_predictions(ledger, WANTED)] == [0, 0]


def test_missing_values_and_bounds_judge_no_prediction(ledger):
    info = {"predicted": {"mean": [[1.0, 2.0]] * 3, "std": [[1.0, 1.0]] * 3}, "nearest": [0.5] * 3, "factors": [1, 1]}
    batch = ledger.open_round(0, [Proposal(o, "sampler") for o in "abc"], seed=0, seconds={}, info=info)
    answer(ledger, batch[0], Outcome((1.0, None, 0.0)))
    answer(ledger, batch[1], Outcome((2.0, 3.0, 0.0), censored=("<", None, None)))
    answer(ledger, batch[2], Outcome((4.0, 5.0, 0.0)))
    price, strength = past_predictions(ledger, WANTED)
    assert price.measured.tolist() == [3.0, 5.0]
    assert strength.measured.tolist() == [1.0, 4.0]
