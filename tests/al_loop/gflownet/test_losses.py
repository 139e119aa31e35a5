"""Regression losses."""

import pytest
import torch

from al_loop.gflownet.losses import LOSSES


@pytest.mark.parametrize("name", LOSSES)
def test_every_regression_loss_is_zero_with_zero_slope_at_zero_alone(name):
    t = torch.linspace(-12, 12, 481, dtype=torch.float64, requires_grad=True)
    values = LOSSES[name](t)
    values.sum().backward()
    assert values[240].item() == pytest.approx(0, abs=1e-12)
    assert t.grad[240].item() == pytest.approx(0, abs=1e-12)
    assert (values[torch.arange(481) != 240] > 0).all()
    assert (t.grad.diff() >= -1e-9).all()  # convex
    assert torch.isfinite(LOSSES[name](torch.tensor([-1e6, 1e6]))).all()
