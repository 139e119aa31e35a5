import pytest
import torch
from torch import Tensor

from al_loop.selectors.base import SelectionContext
from al_loop.selectors.diverse import Diverse


def closeness(X1: Tensor, X2: Tensor) -> Tensor:
    """1 at distance 0 on a line, 0 from distance 1 on."""
    return (1 - (X1 - X2.T).abs()).clamp_min(0)


def line(*positions: float) -> Tensor:
    return torch.tensor(positions).unsqueeze(-1)


SCORES = torch.tensor([10.0, 9.9, 9.8, 8.0, 0.0, 0.0, 0.0])
X = line(0.0, 0.01, 0.02, 3.0, 6.0, 9.0, 12.0)


def test_nothing_traded_is_greedy():
    assert Diverse(trade=0.0).select(SelectionContext(4, SCORES, X, closeness)) == [0, 1, 2, 3]


def test_similar_candidates_give_way_to_good_ones_elsewhere():
    assert Diverse(trade=0.5).select(SelectionContext(2, SCORES, X, closeness)) == [0, 3]


def test_each_pick_maximises_the_stated_value():
    generator = torch.Generator().manual_seed(0)
    scores, X = torch.randn(40, generator=generator), torch.rand(40, 1, generator=generator) * 5
    picked = Diverse(trade=0.3).select(SelectionContext(10, scores, X, closeness))
    assert len(set(picked)) == 10
    scaled = ((scores - scores.median()) / (scores.max() - scores.median())).clamp_min(-1).double()
    for k in range(10):
        nearest = closeness(X, X[picked[:k]]).max(1).values.double() if k else torch.zeros(40).double()
        value = 0.7 * scaled - 0.3 * nearest
        value[picked[:k]] = -9.0
        assert value[picked[k]] == pytest.approx(value.max().item(), abs=1e-6)


def test_the_unit_of_the_scores_does_not_matter():
    expected = Diverse().select(SelectionContext(4, SCORES, X, closeness))
    assert Diverse().select(SelectionContext(4, 1000 * SCORES - 7, X, closeness)) == expected
    outlier = SCORES.clone()
    outlier[-1] = -1e9
    assert Diverse().select(SelectionContext(4, outlier, X, closeness))[:2] == expected[:2]


def test_pending_objects_are_kept_away_from():
    assert Diverse(trade=0.6).select(SelectionContext(1, SCORES, X, closeness, X_pending=line(0.0))) == [3]
    assert Diverse(trade=0.0, max_similarity=0.5).select(
        SelectionContext(1, SCORES, X, closeness, X_pending=line(0.0))
    ) == [3]


def test_too_similar_candidates_come_only_when_nothing_else_is_left():
    picked = Diverse(trade=0.0, max_similarity=0.9).select(SelectionContext(7, SCORES, X, closeness))
    assert picked[:2] == [0, 3]
    assert set(picked[:5]) == {0, 3, 4, 5, 6}
    assert picked[5:] == [1, 2]


def test_scores_that_are_no_numbers_come_last_and_infinite_ones_first():
    scores = torch.tensor([float("nan"), 1.0, float("inf"), float("-inf"), 0.0])
    assert Diverse(trade=0.0).select(SelectionContext(2, scores, line(0, 2, 4, 6, 8), closeness)) == [2, 1]
    assert set(Diverse().select(SelectionContext(9, scores, line(0, 2, 4, 6, 8), closeness))) == set(range(5))
    assert Diverse().select(SelectionContext(2, torch.full((3,), float("nan")), line(0, 0.1, 4), closeness)) == [0, 2]


def test_equal_scores_leave_diversity_to_decide():
    assert Diverse().select(SelectionContext(2, torch.ones(3), line(0, 0.1, 4), closeness)) == [0, 2]


def test_no_candidates_and_no_places():
    assert Diverse().select(SelectionContext(3, torch.empty(0), torch.empty(0, 1), closeness, line(1.0))) == []
    assert Diverse().select(SelectionContext(0, SCORES, X, closeness)) == []


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="trade"):
        Diverse(trade=1.5)
    with pytest.raises(ValueError, match="max_similarity"):
        Diverse(max_similarity=-0.1)
