"""The probability that the oracle answers for a sequence, where neighbouring letters can make it fail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.features.row_layout import SequenceLayout

#: prior probability that a pair of letters is forbidden
_PRIOR = 0.15
#: probability below which a pair is tried: where only seen pairs are used, better words stay out of reach
_TRIED = 0.3
#: passes over the failed sequences, and the share of a message that stays from the last pass, against oscillations
_PASSES, _DAMPING = 30, 0.5
#: fewest failures and answers that are looked at, and the share of the failures that pairs must explain
_FEWEST, _EXPLAINED = 4, 0.95
#: bounds of probabilities
_LEAST, _MOST = 1e-6, 0.999


@dataclass(frozen=True)
class ForbiddenPairs:
    """P(the oracle answers) if some pairs of neighbouring letters are forbidden: the product over the pairs.

    A pair that occurs in a sequence with a value is allowed. A failed sequence has at least one forbidden pair; which
    one is shared out among its other pairs in proportion to their odds, by belief propagation. Pairs that were never
    seen, or are hardly suspect, count as allowed until a failure says otherwise.

    Args:
        layout: of the rows.
        probability: that a pair is forbidden: letters x letters, a blank being the last letter.
    """

    layout: SequenceLayout
    probability: Tensor

    @classmethod
    def fit(cls, layout: SequenceLayout, X: Tensor, is_answered: Tensor) -> ForbiddenPairs:
        """Fit the probabilities.

        Args:
            layout: of the rows.
            X: n x d one-hot rows.
            is_answered: n booleans.
        """
        pairs = _pairs(layout, X)
        occurs = torch.zeros(len(pairs), layout.n_letters**2, dtype=torch.bool).scatter_(1, pairs, True)
        is_allowed = occurs[is_answered].any(0)
        is_allowed[layout.n_letters * (layout.n_letters - 1) :] = True  # a blank before anything
        suspects = occurs[~is_answered] & ~is_allowed
        suspects = suspects[suspects.any(1)]  # no pair explains the other failures
        prior = math.log(_PRIOR / (1 - _PRIOR))
        # log-odds that each failed sequence contributes to each of its pairs
        messages = torch.zeros(suspects.shape, dtype=torch.float64)
        for _ in range(_PASSES):
            total = prior + messages.sum(0)
            p = torch.where(suspects, (total - messages).sigmoid().clamp(_LEAST, _MOST), 0.0)
            log_none = torch.log1p(-p)
            others = 1 - (log_none.sum(1, keepdim=True) - log_none).exp()  # P(another pair is forbidden)
            new = torch.where(suspects, -others.clamp_min(_LEAST).log(), 0.0)
            messages = _DAMPING * messages + (1 - _DAMPING) * new
        probability = torch.where(is_allowed, 0.0, (prior + messages.sum(0)).sigmoid().clamp_max(_MOST))
        return cls(layout, probability)

    @torch.no_grad()
    def log_probability(self, X: Tensor) -> Tensor:
        """Return log P(the oracle answers): n x d -> n."""
        p = torch.where(self.probability < _TRIED, 0.0, self.probability)
        return torch.log1p(-p[_pairs(self.layout, X)]).sum(1)


def _pairs(layout: SequenceLayout, X: Tensor) -> Tensor:
    """Return the number of each pair of neighbours: n x d -> n x (length - 1)."""
    letters = layout.letters(X)
    return letters[:, :-1] * layout.n_letters + letters[:, 1:]


def explains_failures(layout: SequenceLayout, X: Tensor, is_answered: Tensor) -> bool:
    """Return whether forbidden pairs are consistent with which sequences failed.

    Nearly every failed sequence must have a pair that occurs in none with a value. With few data that holds for
    failures of other causes, too; then batches of allowed pairs bring failures that no pair explains, and the next
    round is told.

    Args:
        layout: of the rows.
        X: n x d one-hot rows.
        is_answered: n booleans.
    """
    n_failed = int((~is_answered).sum())
    if n_failed < _FEWEST or n_failed > len(X) - _FEWEST:
        return False
    pairs = _pairs(layout, X)
    is_explained = ~torch.isin(pairs[~is_answered], pairs[is_answered]).all(1)
    return float(is_explained.double().mean()) >= _EXPLAINED
