import numpy as np
import pytest
import torch

from al_loop.features._similarity import min_max_similarity
from al_loop.selectors.base import SelectionContext
from al_loop.selectors.maxmin import MaxMin

RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.poisson(0.7, (40, 12)).astype(float))
SCORES = torch.from_numpy(RNG.normal(size=40))
PENDING = torch.from_numpy(RNG.poisson(0.7, (3, 12)).astype(float))


@pytest.mark.parametrize("pending", [None, PENDING])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_each_pick_is_the_farthest_of_the_best(share, pending):
    picked = MaxMin(share).select(SelectionContext(8, SCORES, X, min_max_similarity, pending))
    best = np.argsort(-SCORES.numpy(), kind="stable")[: int(np.ceil(share * 40))]
    assert picked[0] == best[0]
    for k in range(1, 8):
        seen = X[picked[:k]] if pending is None else torch.cat([X[picked[:k]], pending])
        nearest = min_max_similarity(X[best], seen).max(dim=1).values.numpy()
        free = [i for i in range(len(best)) if best[i] not in picked[:k]]
        assert nearest[list(best).index(picked[k])] == pytest.approx(nearest[free].min())


def test_the_batch_is_full_also_where_the_share_is_small():
    assert len(set(MaxMin(0.01).select(SelectionContext(10, SCORES, X, min_max_similarity)))) == 10
    assert MaxMin().select(SelectionContext(5, SCORES[:0], X[:0], min_max_similarity)) == []
    assert len(MaxMin().select(SelectionContext(50, SCORES, X, min_max_similarity))) == 40


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"selector.share"):
        MaxMin(0.0)
