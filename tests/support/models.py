"""Small BoTorch models for tests."""

import torch
from botorch.models.ensemble import EnsembleModel


class SumEnsemble(EnsembleModel):
    """An ensemble with a non-normal posterior: its three members predict 1, 2 and 3 times the sum of a row."""

    num_outputs = 1
    batch_shape = torch.Size()

    def forward(self, X):
        return torch.stack([k * X.sum(-1, keepdim=True) for k in (1.0, 2.0, 3.0)], dim=-3)
