import pytest
import torch

from al_loop.config import Part, build
from al_loop.selectors.base import SelectionContext
from al_loop.selectors.diverse import Diverse
from al_loop.selectors.mixed import Mixed

X = torch.linspace(0, 30, 31).unsqueeze(-1).double()
SCORES = -X.squeeze(-1)


def closeness(X1, X2):
    return (1 - (X1 - X2.T).abs() / 2).clamp_min(0)


def predict(X):
    """The largest deviations lie around 20."""
    return torch.zeros(len(X)), 1 / (1 + (X.squeeze(-1) - 20).abs())


def select(q, X_pending=None, seed=0, scores=SCORES, X=X, **options):
    part = Part(kind="mixed", selector={"kind": "greedy"}, **options)
    context = SelectionContext(q, scores, X, closeness, X_pending, predict=predict, seed=seed)
    return build("selector", part).select(context)


def test_a_share_of_the_batch_is_the_most_uncertain_and_the_rest_the_inner_selectors():
    picked = select(10, share=0.3)
    assert picked[:7] == list(range(7))
    assert picked[7] == 20
    deviation = predict(X[7:])[1].sqrt()
    assert picked[7:] == [7 + i for i in Diverse().select(SelectionContext(3, deviation, X[7:], closeness, X[:7]))]


@pytest.mark.parametrize(("share", "n_explored"), [(0.0, 0), (0.04, 0), (0.05, 1), (0.5, 5), (1.0, 10)])
def test_the_share_is_rounded_to_picks(share, n_explored):
    picked = select(10, share=share, by="random")
    n_kept = 10 - n_explored
    assert picked[:n_kept] == list(range(n_kept))
    assert len(set(picked)) == 10


@pytest.mark.slow
def test_random_picks_are_uniform_over_the_rest_and_fixed_by_the_seed():
    assert select(10, share=0.5, by="random", seed=3) == select(10, share=0.5, by="random", seed=3)
    counts = torch.zeros(31)
    for seed in range(2000):
        picked = select(6, share=0.5, by="random", seed=seed)
        counts[picked[3:]] += 1
    assert counts[:3].sum() == 0
    expected = 2000 * 3 / 28
    assert ((counts[3:] - expected).square() / expected).sum() < 60  # chi-squared, 27 degrees: 99.97 %


def test_uncertain_picks_keep_away_from_pending_objects():
    assert 20 not in select(4, X_pending=torch.tensor([[20.0]]).double(), share=0.5)


def test_all_are_picked_where_fewer_are_there_than_asked_for():
    assert sorted(select(99, share=0.4)) == list(range(31))
    assert select(5, share=0.4, scores=SCORES[:0], X=X[:0]) == []


def test_the_inner_selector_is_told_the_facts():
    mixed = build("selector", Part(kind="mixed", share=0.0, selector={"kind": "scaffold_quota"}))
    objects = ["CC", "CCC", "c1ccccc1"]
    context = SelectionContext(2, SCORES[:3], X[:3], closeness, objects=objects, predict=predict)
    assert mixed.select(context) == [0, 2]


def test_settings_out_of_range_and_missing_facts_are_refused():
    with pytest.raises(ValueError, match="share"):
        Mixed(share=1.5)
    with pytest.raises(ValueError, match="by"):
        Mixed(by="chance")
    with pytest.raises(ValueError, match=r"SelectionContext\.predict"):
        Mixed(share=0.5).select(SelectionContext(4, SCORES, X, closeness))


def test_the_evolution_searches_for_the_shares_of_the_selector_within() -> None:
    within = Part(kind="graded", bonuses=[0.0, 2.0])
    assert Mixed(selector=within).bonuses == (0.0, 2.0)
