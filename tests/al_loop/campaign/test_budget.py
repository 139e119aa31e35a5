import math

from al_loop.campaign.budget import BudgetAccount
from al_loop.config import Budget


def account(budget, n_calls=0, cost=0.0, in_flight=None):
    prices = {"rough": 1.0, "exact": 10.0}
    return BudgetAccount(budget, prices, 2.0, n_calls=n_calls, cost=cost, in_flight=in_flight or {})


def test_without_a_budget_nothing_is_limited():
    free = account(Budget())
    assert (free.calls_left(), free.cost_left(), free.is_limited) == (None, math.inf, False)


def test_calls_count_when_they_begin():
    calls = account(Budget(calls=5), n_calls=2)
    calls.reserve(7, "rough")
    assert calls.calls_left() == 2
    calls.uncount(1)
    assert calls.calls_left() == 3


def test_a_cost_is_reserved_until_the_answer_says_what_it_was():
    costs = account(Budget(cost=30.0), cost=5.0, in_flight={3: ("rough", 2)})
    assert costs.cost_left() == 23.0
    costs.reserve(4, "exact")
    assert (costs.cost_left(), costs.calls_left()) == (13.0, 1)
    costs.release(4)
    costs.spend(2.0)
    assert costs.cost_left() == 21.0


def test_the_price_is_that_of_the_fidelity_or_the_usual_one():
    assert [account(Budget()).price(name) for name in ("rough", "exact", "")] == [1.0, 10.0, 2.0]
