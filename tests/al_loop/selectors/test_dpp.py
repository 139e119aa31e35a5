import itertools
import math

import pytest
import torch

from al_loop.features._similarity import min_max_similarity
from al_loop.selectors.base import SelectionContext
from al_loop.selectors.diverse import scaled
from al_loop.selectors.dpp import DPP

SCORES = torch.randn(40, generator=torch.Generator().manual_seed(0)).double()
X = torch.randint(0, 3, (40, 12), generator=torch.Generator().manual_seed(1)).double()
PENDING = torch.randint(0, 3, (3, 12), generator=torch.Generator().manual_seed(2)).double()
RIDGE = 1e-6


def log_det(rows):
    return torch.logdet(min_max_similarity(rows, rows) + RIDGE * torch.eye(len(rows)).double()).item()


def objective(picked, trade, scores=SCORES, X_pending=None):
    rows = X[picked] if X_pending is None else torch.cat([X_pending, X[picked]])
    return (1 - trade) * scaled(scores)[picked].sum().item() + trade * log_det(rows)


@pytest.mark.parametrize("trade", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("X_pending", [None, PENDING])
def test_each_pick_adds_most_to_the_objective(trade, X_pending):
    picked = DPP(trade=trade).select(SelectionContext(10, SCORES, X, min_max_similarity, X_pending))
    assert len(set(picked)) == 10
    for k in range(10):
        added = {i: objective([*picked[:k], i], trade, X_pending=X_pending) for i in range(40) if i not in picked[:k]}
        assert added[picked[k]] == pytest.approx(max(added.values()), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_batch_is_near_the_best_of_all_batches(seed):
    few = torch.randn(12, generator=torch.Generator().manual_seed(seed)).double()
    picked = DPP(trade=0.5).select(SelectionContext(4, few, X[:12], min_max_similarity))
    values = [objective(list(c), 0.5, few) for c in itertools.combinations(range(12), 4)]
    found = objective(picked, 0.5, few)
    # greedy volume is within k! of the largest (Civril & Magdon-Ismail 2009), which a determinant has squared
    assert found >= max(values) - 0.5 * 2 * math.log(math.factorial(4))
    assert sum(v > found + 1e-9 for v in values) < 0.05 * len(values)


def test_nothing_traded_is_greedy():
    expected = SCORES.sort(descending=True).indices[:5].tolist()
    assert DPP(trade=0.0).select(SelectionContext(5, SCORES, X, min_max_similarity)) == expected


def test_a_candidate_that_the_picks_span_together_gives_way():
    # c lies between a and b, at 60 degrees from each in a plane: no pair is very alike, but the three span no volume
    angles = torch.tensor([0.0, 2 * math.pi / 3, math.pi / 3]).double()
    plane = torch.stack([angles.cos(), angles.sin(), torch.zeros(3).double()], dim=1)
    apart = torch.tensor([[0.5, 0.5 / math.sqrt(3), math.sqrt(2 / 3)]]).double()  # as near to a, off the plane
    rows = torch.cat([plane, apart])
    scores = torch.tensor([3.0, 2.9, 1.0, 1.0]).double()
    assert DPP(trade=0.9).select(SelectionContext(3, scores, rows, lambda a, b: a @ b.T)) == [0, 1, 3]


def test_equal_objects_are_taken_only_when_nothing_else_is_left():
    rows = torch.cat([X[:4], X[:1]])
    scores = torch.tensor([3.0, 1.0, 1.0, 1.0, 3.0])
    assert DPP(trade=0.5).select(SelectionContext(5, scores, rows, min_max_similarity))[0::4] == [0, 4]
    assert DPP(trade=0.5).select(SelectionContext(1, scores, rows, min_max_similarity, X[:1]))[0] not in (0, 4)


def test_odd_scores_and_numbers_of_places():
    scores = torch.tensor([float("nan"), 1.0, float("inf"), float("-inf")])
    picked = DPP(trade=0.01).select(SelectionContext(9, scores, X[:4], min_max_similarity))
    assert picked[0] in (1, 2)
    assert sorted(picked) == [0, 1, 2, 3]
    assert DPP().select(SelectionContext(3, torch.empty(0), torch.empty(0, 12), min_max_similarity, PENDING)) == []
    assert DPP().select(SelectionContext(0, SCORES, X, min_max_similarity)) == []


def test_the_trade_must_be_a_share():
    with pytest.raises(ValueError, match="trade"):
        DPP(trade=1.1)
