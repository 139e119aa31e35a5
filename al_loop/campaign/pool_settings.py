"""Settings of an evaluation pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from al_loop.config import Budget, Evaluation


@dataclass(frozen=True)
class PoolSettings:
    """Settings of an evaluation pool.

    Args:
        evaluation: the config's ``evaluation``: time-outs, attempts and the cost of a call.
        budget: what may be spent, by all sessions of the campaign.
        call_size: largest number of objects in one call.
        prices: cost of a call at each fidelity, by name; at others it is ``evaluation.cost``.
    """

    evaluation: Evaluation
    budget: Budget = field(default_factory=Budget)
    call_size: int = 1
    prices: Mapping[str, float] = field(default_factory=dict)
