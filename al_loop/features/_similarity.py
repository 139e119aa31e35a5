"""Similarities of feature rows."""

from __future__ import annotations

import torch
from torch import Tensor


def min_max_similarity(X1: Tensor, X2: Tensor) -> Tensor:
    """Return the Tanimoto similarity sum_i min(x_i, y_i) / sum_i max(x_i, y_i) of count rows: n1 x n2.

    The sum of minima is the sum over levels k = 1, 2, ... of the dot products of [x >= k] and [y >= k]; few columns
    reach the higher levels, so that all but the first products are small.

    Args:
        X1: n1 x d non-negative integers.
        X2: n2 x d non-negative integers.
    """
    used = (X2 > 0).any(0)  # few columns, if the second part is few rows
    A, B = X1[:, used].to(torch.float32), X2[:, used].to(torch.float32)
    minima = torch.zeros(len(A), len(B))
    level = 1
    while A.numel() and B.numel():
        at_a, at_b = level <= A, level <= B
        columns = at_a.any(0) & at_b.any(0)
        A, B = A[:, columns], B[:, columns]
        minima += at_a[:, columns].float() @ at_b[:, columns].float().T
        level += 1
    minima = minima.double()
    sums = [X.sum(-1).double() for X in (X1, X2)]  # exact, since the counts are integers
    maxima = sums[0].unsqueeze(-1) + sums[1].unsqueeze(-2) - minima
    return torch.where(maxima == 0, 1.0, minima / maxima)
