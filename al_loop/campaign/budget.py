"""An account of calls and costs, and of what the budget still allows."""

from __future__ import annotations

import math
from collections.abc import Mapping

from al_loop.config import Budget


class BudgetAccount:
    """Counts calls and costs, by all sessions of a campaign. Not thread-safe: the evaluation pool locks it.

    A candidate's cost is reserved when its call begins, and settled when its answer is committed.

    Args:
        budget: what may be spent.
        prices: cost of one call at each fidelity, by name.
        default_price: cost of one call at any other fidelity.
        n_calls: calls so far.
        cost: cost of all answers so far.
        in_flight: attempts at each candidate without answer: its fidelity and their number, by the candidate's id.
    """

    def __init__(
        self,
        budget: Budget,
        prices: Mapping[str, float],
        default_price: float,
        *,
        n_calls: int,
        cost: float,
        in_flight: Mapping[int, tuple[str, int]],
    ) -> None:
        self._budget, self._prices, self._default_price = budget, dict(prices), default_price
        self._n_calls, self._cost = n_calls, cost
        #: what the attempts at each unanswered candidate are expected to cost
        self._reserved = {id_: self.price(fidelity) * n for id_, (fidelity, n) in in_flight.items()}

    @property
    def is_limited(self) -> bool:
        """Whether the budget limits anything."""
        return self._budget.calls is not None or self._budget.cost is not None

    def price(self, fidelity: str) -> float:
        """Return what one call at a fidelity costs, if the oracle does not say otherwise."""
        return self._prices.get(fidelity, self._default_price)

    def calls_left(self) -> int | None:
        """Return how many further calls the budget allows; None for any number."""
        limits = [] if self._budget.calls is None else [self._budget.calls - self._n_calls]
        if self._budget.cost is not None:
            spent = self._cost + sum(self._reserved.values())
            price = max([self._default_price, *self._prices.values()])
            # calls that cost nothing may be made until what was spent reaches the budget
            limits.append(int((self._budget.cost - spent) / price + 1e-9) if price else int(spent < self._budget.cost))
        return max(min(limits), 0) if limits else None

    def cost_left(self) -> float:
        """Return what may still be spent; infinite if the budget does not limit the cost."""
        if self._budget.cost is None:
            return math.inf
        return max(self._budget.cost - self._cost - sum(self._reserved.values()), 0.0)

    def reserve(self, candidate_id: int, fidelity: str) -> None:
        """Count a call that begins.

        Args:
            candidate_id: the candidate that is measured.
            fidelity: at which fidelity.
        """
        self._n_calls += 1
        self._reserved[candidate_id] = self._reserved.get(candidate_id, 0.0) + self.price(fidelity)

    def take_back(self, candidate_id: int, fidelity: str, n: int) -> None:
        """Take back calls that turned out to be void.

        Args:
            candidate_id: the candidate that was to be measured.
            fidelity: at which fidelity.
            n: number of calls.
        """
        self._n_calls -= n
        self._reserved[candidate_id] = max(self._reserved.get(candidate_id, 0.0) - n * self.price(fidelity), 0.0)

    def reserved_for(self, candidate_id: int) -> float:
        """Return what the calls for a candidate that has no answer yet are expected to cost."""
        return self._reserved.get(candidate_id, 0.0)

    def uncount(self, n: int) -> None:
        """Take back calls that were counted but not made."""
        self._n_calls -= n

    def release(self, candidate_id: int) -> None:
        """Drop what is reserved for a candidate, which has its answer or needs none."""
        self._reserved.pop(candidate_id, None)

    def spend(self, cost: float) -> None:
        """Count the cost of an answer."""
        self._cost += cost
