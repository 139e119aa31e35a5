import math

import pytest
import torch

from al_loop.selectors.base import SelectionContext
from al_loop.selectors.local_penalisation import LocalPenalisation, log_outside

POSITIONS = torch.linspace(0, 10, 41).double().unsqueeze(-1)


def closeness(X1, X2):
    """A squared-exponential kernel on a line."""
    return torch.exp(-0.5 * (X1 - X2.T) ** 2)


def predict(X):
    """A wave with a deviation that grows to the right."""
    return torch.sin(X.squeeze(-1)), 0.01 + 0.02 * X.squeeze(-1)


def select(q, scores=None, X_pending=None, predict=predict, **options):
    scores = predict(POSITIONS)[0] if scores is None else scores
    context = SelectionContext(q, scores, POSITIONS, closeness, X_pending, predict=predict)
    return LocalPenalisation(**options).select(context)


def test_the_penalty_is_the_probability_to_lie_outside_of_the_ball():
    similarity, mean, variance, top, steepest = torch.tensor([0.2, 0.9, 0.999]).double(), 0.3, 0.04, 1.0, 1.5
    value = log_outside(similarity, torch.tensor(mean), torch.tensor(variance).double(), top, steepest).exp()
    f = mean + math.sqrt(variance) * torch.randn(400_000, generator=torch.Generator().manual_seed(0)).double()
    d = (2 - 2 * similarity).sqrt()
    sampled = (d[:, None] > (top - f) / steepest).double().mean(-1)
    assert torch.allclose(value, sampled, atol=0.003)
    z = (steepest * d - top + mean) / math.sqrt(2 * variance)
    assert torch.allclose(value, torch.erfc(-z) / 2, atol=1e-6)


@pytest.mark.parametrize("transform", ["softplus", "log"])
def test_each_pick_is_the_best_of_score_times_penalties(transform):
    scores, pending = torch.sin(POSITIONS.squeeze(-1)), torch.tensor([[2.0]]).double()
    picked = select(6, scores, pending, transform=transform)
    mean, variance = predict(POSITIONS)
    d = (2 - 2 * closeness(POSITIONS, POSITIONS)).clamp_min(0).sqrt()
    slopes = (mean[:, None] - mean).abs() / d
    K = max(slopes[d > 1e-3].max().item(), variance.max().sqrt().item())
    if transform == "log":
        value = scores.exp()
    else:
        value = torch.log1p(((scores - scores.median()) / (scores.max() - scores.median())).clamp_min(-1).exp())

    def penalty(distance, m, v):
        return torch.erfc(-(K * distance - (mean.max() - m)) / (2 * v).sqrt()) / 2

    value = value * penalty((2 - 2 * closeness(POSITIONS, pending)).sqrt().squeeze(-1), *predict(pending))
    for k in range(6):
        left = value.clone()
        left[picked[:k]] = -1.0
        assert left[picked[k]].item() == pytest.approx(left.max().item(), rel=1e-6)
        value = value * penalty(d[picked[k]], mean[picked[k]], variance[picked[k]])


def test_picks_and_pending_objects_are_kept_away_from():
    top = POSITIONS[select(2)].squeeze(-1)
    assert (top[0] - top[1]).abs() > 1.0
    away = POSITIONS[select(1, X_pending=top[:1, None])].squeeze(-1)
    assert (away - top[0]).abs() > 1.0


def test_an_object_expected_to_be_poor_rules_out_a_wider_ball():
    similarity = closeness(POSITIONS, POSITIONS[:1]).squeeze(-1)
    poor = log_outside(similarity, torch.tensor(-1.0), torch.tensor(0.01), 1.0, 2.0)
    good = log_outside(similarity, torch.tensor(0.9), torch.tensor(0.01), 1.0, 2.0)
    assert (poor <= good).all()
    assert poor[3] < good[3] - 1.0


def test_a_flat_surrogate_and_scores_that_are_no_numbers_still_give_a_batch():
    flat = lambda X: (torch.zeros(len(X)).double(), torch.full((len(X),), 0.5).double())  # noqa: E731
    scores = torch.full((41,), float("nan"))
    scores[7] = 2.0
    picked = select(41, scores, predict=flat, transform="log")
    assert picked[0] == 7
    assert sorted(picked) == list(range(41))
    assert len(set(select(5, torch.ones(41), predict=flat))) == 5
    assert select(0) == []
    empty = SelectionContext(3, torch.empty(0), POSITIONS[:0], closeness, predict=predict)
    assert LocalPenalisation().select(empty) == []


def test_settings_out_of_range_and_missing_facts_are_refused():
    with pytest.raises(ValueError, match="transform"):
        LocalPenalisation(transform="exp")
    with pytest.raises(ValueError, match="strength"):
        LocalPenalisation(strength=0.0)
    with pytest.raises(ValueError, match=r"SelectionContext\.predict"):
        LocalPenalisation().select(SelectionContext(1, torch.ones(41), POSITIONS, closeness))
