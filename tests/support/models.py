"""Small BoTorch models for tests."""

import torch
from botorch.models.ensemble import EnsembleModel


class SumEnsemble(EnsembleModel):
    """An ensemble of three members, which predict 1, 2 and 3 times the sum of a row; its posterior is not normal."""

    num_outputs = 1
    batch_shape = torch.Size()

    def forward(self, X):
        return torch.stack([k * X.sum(-1, keepdim=True) for k in (1.0, 2.0, 3.0)], dim=-3)
