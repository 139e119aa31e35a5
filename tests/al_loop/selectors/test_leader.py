import pytest
import torch

from al_loop.features._similarity import min_max_similarity
from al_loop.selectors.base import SelectionContext
from al_loop.selectors.leader import Leader

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 3, (200, 8), generator=GENERATOR).double()
SCORES = torch.randn(200, generator=GENERATOR)
PENDING = X[:5] + 0


def closeness(X1, X2):
    return (1 - (X1 - X2.T).abs()).clamp_min(0)


def line(*positions):
    return torch.tensor(positions).unsqueeze(-1)


def test_the_best_of_each_cluster_comes_first_then_the_second_best_of_each():
    scores = torch.tensor([10.0, 9.9, 9.8, 8.0, 7.9, 1.0])
    rows = line(0.0, 0.1, 0.2, 3.0, 3.1, 6.0)
    assert Leader(threshold=0.5).select(SelectionContext(6, scores, rows, closeness)) == [0, 3, 5, 1, 4, 2]
    assert Leader(threshold=0.5).select(SelectionContext(2, scores, rows, closeness)) == [0, 3]


@pytest.mark.parametrize("threshold", [0.4, 0.6, 0.8])
def test_leaders_are_those_of_the_plain_algorithm_and_apart(threshold):
    expected = []
    for i in SCORES.sort(descending=True).indices.tolist():
        if all(min_max_similarity(X[i : i + 1], X[j : j + 1]).item() < threshold for j in expected):
            expected.append(i)
    n = len(expected)
    assert 3 < n < 200
    picked = Leader(threshold=threshold).select(SelectionContext(200, SCORES, X, min_max_similarity))
    assert picked[:n] == expected
    assert sorted(picked) == list(range(200))
    S = min_max_similarity(X[picked[:n]], X[picked[:n]])
    assert S.fill_diagonal_(0).max() < threshold


def test_near_pending_objects_nothing_leads():
    picked = Leader(threshold=0.6).select(SelectionContext(8, SCORES, X, min_max_similarity, PENDING))
    assert min_max_similarity(X[picked], PENDING).max() < 0.6
    everything = Leader(threshold=0.6).select(SelectionContext(200, SCORES, X, min_max_similarity, PENDING))
    assert sorted(everything) == list(range(200))
    near = min_max_similarity(X[everything], PENDING).max(1).values >= 0.6
    n_leaders = int(near.int().argmax())
    assert not near[:n_leaders].any()
    S = min_max_similarity(X[everything[:n_leaders]], X[everything[:n_leaders]])
    assert (S.fill_diagonal_(0) >= 0.6).any(dim=1).sum() < n_leaders


def test_all_near_pending_objects_come_by_score():
    assert Leader().select(
        SelectionContext(3, torch.tensor([1.0, 3.0, 2.0]), line(0.0, 0.1, 0.2), closeness, line(0.1))
    ) == [1, 2, 0]


def test_odd_scores_and_numbers_of_places():
    scores = torch.tensor([float("nan"), 1.0, float("inf")])
    assert Leader().select(SelectionContext(9, scores, line(0.0, 3.0, 6.0), closeness)) == [2, 1, 0]
    assert Leader().select(SelectionContext(3, torch.empty(0), torch.empty(0, 1), closeness, line(0.0))) == []
    assert Leader().select(SelectionContext(0, SCORES, X, min_max_similarity)) == []


def test_the_threshold_must_be_a_similarity():
    with pytest.raises(ValueError, match="threshold"):
        Leader(threshold=0.0)
