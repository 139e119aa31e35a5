"""The context of acquisitions, and the shapes of their values."""

import pytest
import torch
from botorch.acquisition import AcquisitionFunction

from al_loop.acquisitions.base import AcquisitionContext, score

X = torch.zeros(3, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"X_baseline": torch.zeros(3)},
        {"X_baseline": X, "X_pending": torch.zeros(1, 3)},
        {"X_baseline": X, "X_candidates": torch.zeros(1, 1, 2)},
        {"X_baseline": X, "Y": torch.zeros(3)},
        {"X_baseline": X, "Y": torch.zeros(2, 2)},
        {"X_baseline": X, "Y": torch.zeros(3, 2), "reference_point": torch.zeros(3)},
    ],
)
def test_tensors_that_do_not_fit_together_are_refused(fields):
    with pytest.raises(ValueError, match=r"AcquisitionContext\..*expected.*got"):
        AcquisitionContext(**fields)


def test_an_acquisition_returns_one_value_for_each_object():
    class Column(AcquisitionFunction):
        def forward(self, X):
            return X[..., 0]

    with pytest.raises(ValueError, match=r"Column returned the shape \(3, 1\)"):
        score(Column(model=None), X)
