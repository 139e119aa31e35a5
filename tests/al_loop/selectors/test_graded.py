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


def words(*rows):
    """Return one-hot rows of words of three letters."""
    return torch.nn.functional.one_hot(torch.tensor(rows), 3).flatten(1).double()


PLATEAU = words([0, 0, 0], [0, 1, 0])
CANDIDATES = words([1, 0, 0], [2, 1, 1], [0, 2, 1], [1, 2, 0], [0, 0, 1])


def on_a_plateau(n, scores, **changes):
    fields = {"X": CANDIDATES, "similarity": lambda a, b: a @ b.T / 3, "X_best": PLATEAU} | changes
    predict = lambda rows: (torch.full((len(rows),), 1.0), torch.zeros(len(rows)))  # noqa: E731
    return SelectionContext(n, scores=torch.tensor(scores), predict=predict, **fields)


def test_on_a_plateau_features_that_none_of_its_objects_has_come_first():
    # two new letters, one and another one; then nothing is left to cover, and the best comes first
    assert Graded().select(on_a_plateau(4, [3.0, 1.1, 2.0, 1.0, 4.0])) == [2, 0, 1, 4]


def test_features_of_pending_objects_count_as_covered():
    assert Graded().select(on_a_plateau(1, [3.0, 1.0, 2.0, 1.5, 4.0], X_pending=CANDIDATES[2:3])) == [0]


def test_what_is_expected_to_be_worse_covers_nothing():
    assert Graded().select(on_a_plateau(1, [3.0, 0.9, 0.9, 0.9, 0.9])) == [0]
    assert Graded().select(on_a_plateau(1, [0.5, 0.9, 0.6, 0.7, 0.8])) == [1]


@pytest.mark.parametrize("X_best", [None, PLATEAU[:1]])
def test_without_a_plateau_the_best_come_first(X_best):
    assert Graded(max_similarity=1.0).select(on_a_plateau(3, [3.0, 1.1, 2.0, 1.0, 4.0], X_best=X_best)) == [4, 0, 2]
