import math

import pytest
import torch

from al_loop.acquisitions.multi_fidelity_ei import MultiFidelityEI
from al_loop.modelling.fidelity_selection import BatchLimits, select_with_fidelities
from tests.support.fitting import LEVELS, NEW, models_of_two_fidelities, rows


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_batch_is_chosen_within_its_limits_with_its_share_at_the_target(share):
    models, costs = models_of_two_fidelities(), LEVELS.costs
    is_open = torch.ones(16, 2, dtype=torch.bool)
    is_open[0] = False
    is_open[1, 0] = False
    pairs = select_with_fidelities(models, MultiFidelityEI(share), rows(NEW), is_open, costs, BatchLimits(100, 40.0))
    spent = [costs[f] for _, f in pairs]
    assert len(set(pairs)) == len(pairs)
    assert sum(spent[:-1]) < 40
    assert all(is_open[i, f] for i, f in pairs)
    seen: dict[int, int] = {}
    for i, f in pairs:  # an object is never measured again at a fidelity that tells less
        assert f > seen.get(i, -1)
        seen[i] = f
    at_target = sum(cost for cost, (_, f) in zip(spent, pairs, strict=True) if f == 1)
    assert at_target >= share * (sum(spent) - 10)
    few = select_with_fidelities(models, MultiFidelityEI(share), rows(NEW), is_open, costs, BatchLimits(3, math.inf))
    assert len(few) == 3
