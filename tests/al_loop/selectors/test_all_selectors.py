"""What every built-in selector keeps to."""

import pytest
import torch

from al_loop.config import Part, build
from al_loop.config import plugins as parts
from al_loop.features._similarity import min_max_similarity
from al_loop.selectors.base import SelectionContext

KINDS = [part.kind for part in parts.built_in("selector")]
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 3, (50, 10), generator=GENERATOR).double()
PENDING = torch.randint(0, 3, (4, 10), generator=GENERATOR).double()
SCORES = torch.randn(50, generator=GENERATOR)
CHAINS = ["C" * (i % 10 + 1) + "c1ccccc1"[: 8 * (i % 2)] for i in range(50)]


def select(kind, q, X_pending=PENDING, n=50, scores=SCORES):
    def rescore(picked, asked):
        near = min_max_similarity(X[list(asked)], X[list(picked)]).max(1).values
        return scores[list(asked)] - near

    def predict(rows):
        return rows.sum(-1), 1 / (1 + rows[:, 0])

    def draw(rows, k, seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(k, len(rows), generator=generator).double()

    context = SelectionContext(
        q,
        scores[:n],
        X[:n],
        min_max_similarity,
        X_pending,
        objects=CHAINS[:n],
        pending_objects=["CC"],
        rescore=rescore,
        predict=predict,
        draw=draw,
        seed=5,
    )
    return build("selector", Part(kind=kind)).select(context)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("X_pending", [None, PENDING[:0], PENDING])
@pytest.mark.parametrize(("q", "n"), [(0, 50), (1, 50), (10, 50), (50, 50), (80, 50), (3, 0), (3, 1)])
def test_it_picks_as_many_different_candidates_as_there_are_places(kind, X_pending, q, n):
    picked = select(kind, q, X_pending, n)
    assert len(picked) == len(set(picked)) == min(q, n)
    assert all(isinstance(i, int) and 0 <= i < n for i in picked)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_deterministic_and_leaves_its_arguments_alone(kind):
    before = SCORES.clone(), X.clone(), PENDING.clone()
    assert select(kind, 12) == select(kind, 12)
    assert all(torch.equal(a, b) for a, b in zip(before, (SCORES, X, PENDING), strict=True))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "thompson"])  # which goes by its draws
def test_the_first_pick_without_pending_objects_is_the_best(kind):
    assert select(kind, 8, None)[0] == int(SCORES.argmax())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_that_are_all_no_numbers_still_give_a_batch(kind):
    assert len(set(select(kind, 5, scores=torch.full((50,), float("nan"))))) == 5


@pytest.mark.parametrize("name", ["objects", "rescore", "predict", "draw"])
def test_a_field_that_was_not_passed_is_named_where_it_is_used(name):
    context = SelectionContext(2, SCORES, X, min_max_similarity)
    missing = getattr(context, name)
    for use in (lambda: missing[0], lambda: missing(X), lambda: len(missing)):
        with pytest.raises(ValueError, match=rf"SelectionContext\.{name} is required"):
            use()
