from al_loop.campaign.failures import FailureStreak
from al_loop.oracles.base import Outcome

FAILED = Outcome.failed("permanent", "no licence")


def test_so_many_failures_in_a_row_are_an_error_with_the_most_common_reason():
    streak = FailureStreak(3)
    assert [streak.add(outcome) for outcome in (FAILED, FAILED, Outcome((1.0,)), FAILED, FAILED)] == [None] * 5
    error = streak.add(Outcome.failed("timeout", "slow"))
    assert "3 objects in a row (2 permanent, 1 timeout)" in str(error)
    assert "no licence" in str(error)


def test_without_a_limit_there_is_no_error():
    streak = FailureStreak(None)
    assert [streak.add(FAILED) for _ in range(50)] == [None] * 50
