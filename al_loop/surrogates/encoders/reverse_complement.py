"""The other strand of DNA and RNA."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.features.row_layout import SequenceLayout


def reverse_complement(inputs: Tensor, layout: SequenceLayout) -> Tensor:
    """Return the rows of the words' reverse complements, with their blanks at the end: n x d.

    Args:
        inputs: n x d one-hot rows.
        layout: of DNA or RNA words.
    """
    n, length, letters = len(inputs), layout.length, layout.alphabet
    X = inputs.reshape(n, length, len(letters) + 1)
    swap = [letters.index(layout.complements[letter]) for letter in letters]
    n_letters = length - X[..., -1].sum(1, keepdim=True).round().long()
    # position p < n_letters comes from n_letters - 1 - p, and a blank from any blank
    source = (n_letters - 1 - torch.arange(length, device=X.device)) % length
    complements = X[..., [*swap, len(letters)]]
    return complements.gather(1, source.unsqueeze(-1).expand_as(X)).reshape(n, layout.d)
