import pytest
import torch

from al_loop.selectors.base import SelectionContext
from al_loop.selectors.graded import Graded
from al_loop.selectors.testing import SelectorContract

X = torch.arange(12).unsqueeze(-1).double()


def closeness(X1, X2):
    return (1 - (X1 - X2.T).abs() / 4).clamp_min(0)


def context(n, **changes):
    fields = {"scores": -X.squeeze(-1), "X": X, "similarity": closeness} | changes
    # the deviation of row i is i, its variance i²
    return SelectionContext(n, predict=lambda rows: (torch.zeros(len(rows)), rows.squeeze(-1).square()), **fields)


class TestGraded(SelectorContract):
    def make(self) -> Graded:
        return Graded()


def test_each_share_is_the_best_by_its_own_bound():
    picked = Graded(bonuses=(0.0, 3.0), max_similarity=1.0).select(context(6))
    assert picked == [0, 1, 2, 11, 10, 9]


@pytest.mark.parametrize(("n", "bonuses"), [(1, (0.0, 1.0, 3.0)), (5, (0.0, 1.0)), (12, (0.0,)), (20, (0.0, 2.0))])
def test_the_batch_is_full_and_distinct(n, bonuses):
    picked = Graded(bonuses=bonuses).select(context(n))
    assert len(picked) == len(set(picked)) == min(n, 12)


def test_similar_candidates_are_picked_only_when_no_others_remain():
    picked = Graded(bonuses=(0.0,), max_similarity=0.5).select(context(4))
    assert picked == [0, 2, 4, 6]
    assert sorted(Graded(bonuses=(0.0,), max_similarity=0.5).select(context(12))) == list(range(12))


def test_it_keeps_away_from_pending_objects():
    assert Graded(bonuses=(0.0,), max_similarity=0.5).select(context(1, X_pending=X[:1])) == [2]


@pytest.mark.parametrize("options", [{"bonuses": ()}, {"bonuses": (float("nan"),)}, {"max_similarity": 2.0}])
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"selector\."):
        Graded(**options)
