"""The other strand of DNA and RNA."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.features.row_layout import SequenceLayout


def reverse_complement(inputs: Tensor, layout: SequenceLayout) -> Tensor:
    """The rows of the words' reverse complements, their blanks at the end, too: n x d -> n x d."""
    n, length, letters = len(inputs), layout.length, layout.alphabet
    X = inputs.reshape(n, length, len(letters) + 1)
    swap = [letters.index(layout.complements[letter]) for letter in letters]
    n_letters = length - X[..., -1].sum(1, keepdim=True).round().long()
    # p < n_letters is taken from n_letters - 1 - p, and a blank from some blank
    taken = (n_letters - 1 - torch.arange(length, device=X.device)) % length
    complements = X[..., [*swap, len(letters)]]
    return complements.gather(1, taken.unsqueeze(-1).expand_as(X)).reshape(n, layout.d)
