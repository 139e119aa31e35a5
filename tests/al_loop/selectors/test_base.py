import pytest
import torch

from al_loop.selectors.base import SelectionContext

CONTEXT = SelectionContext(2, torch.ones(3), torch.zeros(3, 1), lambda a, b: a @ b.T, X_pending=torch.zeros(0, 1))


@pytest.mark.parametrize("name", ["objects", "rescore", "predict", "draw"])
def test_a_field_that_was_not_passed_is_named_where_it_is_used(name):
    missing = getattr(CONTEXT, name)
    for use in (lambda: missing[0], lambda: missing(CONTEXT.X), lambda: len(missing)):
        with pytest.raises(ValueError, match=rf"SelectionContext\.{name} is required"):
            use()


def test_no_pending_rows_are_none():
    assert CONTEXT.X_pending is None


@pytest.mark.parametrize(("n", "n_picks"), [(-1, 0), (0, 0), (2, 2), (9, 3)])
def test_there_are_at_most_as_many_picks_as_candidates(n, n_picks):
    context = SelectionContext(n, torch.ones(3), torch.zeros(3, 1), lambda a, b: a @ b.T)
    assert context.n_picks == n_picks


@pytest.mark.parametrize(
    "fields",
    [
        {"scores": torch.zeros(3, 1), "X": torch.zeros(3, 2)},
        {"scores": torch.zeros(3), "X": torch.zeros(2, 2)},
        {"scores": torch.zeros(3), "X": torch.zeros(3)},
        {"scores": torch.zeros(3), "X": torch.zeros(3, 2), "X_pending": torch.zeros(1, 3)},
        {"scores": torch.zeros(3), "X": torch.zeros(3, 2), "objects": ["a"]},
    ],
)
def test_tensors_that_do_not_fit_together_are_refused(fields):
    with pytest.raises(ValueError, match=r"SelectionContext.*got"):
        SelectionContext(n=1, similarity=lambda a, b: a @ b.T, **fields)
