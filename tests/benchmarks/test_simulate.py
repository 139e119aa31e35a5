"""Short runs of the simulation: promises hold for every seed, and a seed replays."""

import pytest

from al_loop.ledger import Answer, Ledger
from benchmarks.support.simulation import campaign
from benchmarks.support.simulation.campaign import simulate

pytestmark = pytest.mark.slow

#: seeds that found faults, each with what was wrong before it was mended
FOUND = {
    1: "a power cut took the name of a checkpoint whose batch was in the ledger",
    4: "a replay went by the clock, which had been set back",
    10036: "a machine that was refused has no run directory, from which the world wanted to replay",
    12: "the sampler learned from answers that arrived after those that its models were fitted to",
}


@pytest.mark.parametrize("seed", [*FOUND, *range(103, 112)])
def test_a_simulated_campaign_keeps_every_promise(seed: int) -> None:
    verdict = simulate(seed)
    assert not verdict.problem, f"python benchmarks/campaign/simulate.py --seed {seed}"
    assert verdict.answers == campaign.BATCH * (campaign.ROUNDS + 1)


def test_thirty_simulated_campaigns_keep_every_promise() -> None:
    failed = {seed: verdict.problem for seed in range(200, 230) if (verdict := simulate(seed)).problem}
    assert failed == {}


def test_a_seed_replays_step_by_step() -> None:
    first, again = simulate(14, has_trace=True), simulate(14, has_trace=True)
    assert first.lines == again.lines
    assert sum(first.faults.values()) > 3


def test_a_broken_promise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not simulate(102).problem
    commit = Ledger.commit_answers

    def forgetful(self: Ledger, answers: list[Answer]) -> list[str | None]:
        commit(self, [a for a in answers if a.candidate_id != 3])
        return [None] * len(answers)

    monkeypatch.setattr(Ledger, "commit_answers", forgetful)
    assert simulate(102).problem
