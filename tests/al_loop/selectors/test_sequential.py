import pytest
import torch

from al_loop.acquisitions.base import AcquisitionContext, score
from al_loop.acquisitions.log_ei import LogEI
from al_loop.acquisitions.qlognei import QLogNEI
from al_loop.acquisitions.ucb import UCB
from al_loop.selectors.base import SelectionContext
from al_loop.selectors.sequential import Sequential
from al_loop.surrogates.gp import ExactGP

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 3, (15, 20), generator=GENERATOR).double()
Y = X[:, :4].sum(-1, keepdim=True)
CANDIDATES = torch.randint(0, 3, (60, 20), generator=GENERATOR).double()
PENDING = torch.randint(0, 3, (3, 20), generator=GENERATOR).double()
MODEL = ExactGP(kernel="tanimoto").fit(X, Y)
BEST = float(Y.max())


def values(acquisition, picked, X_pending):
    also = CANDIDATES[list(picked)]
    both = also if X_pending is None else torch.cat([X_pending, also])
    return score(acquisition.build(MODEL, AcquisitionContext(X, BEST, both)), CANDIDATES)


def select(acquisition, q, X_pending=None, asked_for=None, **options):
    def rescore(picked, asked):
        if asked_for is not None:
            asked_for.append(len(asked))
        return values(acquisition, picked, X_pending)[list(asked)]

    scores = values(acquisition, [], X_pending)
    context = SelectionContext(q, scores, CANDIDATES, lambda a, b: a @ b.T, X_pending, rescore=rescore)
    return Sequential(**options).select(context)


@pytest.mark.parametrize("acquisition", [UCB(kappa=3.0), LogEI(), QLogNEI()])
@pytest.mark.parametrize("X_pending", [None, PENDING])
@pytest.mark.parametrize("options", [{"lazy": False}, {"block": 1}, {"block": 64}])
def test_each_pick_is_the_best_once_the_earlier_ones_are_pending(acquisition, X_pending, options):
    picked = select(acquisition, 8, X_pending, **options)
    assert len(set(picked)) == 8
    for k in range(8):
        now = values(acquisition, picked[:k], X_pending)
        now[picked[:k]] = -float("inf")
        assert picked[k] == int(now.argmax())


def test_lazy_renews_only_a_few_scores():
    lazy, full = [], []
    assert select(UCB(), 8, asked_for=lazy, block=4) == select(UCB(), 8, asked_for=full, lazy=False)
    assert sum(full) == sum(60 - k for k in range(1, 8))
    assert sum(lazy) < 0.5 * sum(full)


def test_all_are_picked_where_fewer_are_there_than_asked_for():
    assert sorted(select(UCB(), 99)) == list(range(60))
    assert select(UCB(), 0) == []


def test_scores_that_are_no_numbers_come_last():
    scores = torch.tensor([float("nan"), 1.0, 2.0])
    context = SelectionContext(
        3,
        scores,
        CANDIDATES[:3],
        lambda a, b: a @ b.T,
        rescore=lambda picked, asked: scores[list(asked)] - 0.1 * len(picked),
    )
    assert Sequential().select(context) == [2, 1, 0]


def test_without_renewed_scores_it_says_what_is_missing():
    with pytest.raises(ValueError, match=r"SelectionContext\.rescore"):
        Sequential().select(SelectionContext(2, torch.ones(2), CANDIDATES[:2], lambda a, b: a @ b.T))
