"""A surrogate for sequences, chosen by the amount of data and by what they show of the other strand."""

from __future__ import annotations

from typing import Annotated

import torch
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor

from al_loop.features.row_layout import Layout, SequenceLayout
from al_loop.surrogates.base import Surrogate, fit_each_target
from al_loop.surrogates.encoders.reverse_complement import reverse_complement
from al_loop.surrogates.ensemble import DeepEnsemble
from al_loop.surrogates.gp import ExactGP

#: prior of the Gaussian process: little noise, and a signal variance that plateaus do not remove
_NOISE_RATIO, _SIGNAL_WEIGHT = 0.01, 100.0
#: the ensemble: members, width, patience and most passes, so that a fit takes seconds
_N_MEMBERS, _HIDDEN, _PATIENCE, _MOST_EPOCHS = 5, 48, 5, 40
#: share of the rows of a fit that are the best ones; the others are random
_BEST = 0.5
#: fewest pairs of a word and its reverse complement that show a symmetry, and the squared correlation that they need
_FEWEST_PAIRS, _LEAST_R2 = 4, 0.9


class SequenceSurrogate(Surrogate):
    """Gaussian process with a weight for each position, or an ensemble of convolutional networks, on letters.

    The process is for up to ``max_exact`` measurements. Networks take over with more of them, and at any number for DNA
    or RNA in which a word and its reverse complement have the same value, as pairs of both in the data show; these are
    then one object to the networks. Fits use up to ``max_rows`` measurements: the best half, and others at random.

    Args:
        layout: structure of the rows, which the campaign takes from its features.
        max_exact: largest number of measurements for the Gaussian process.
        max_rows: largest number of measurements of a fit.
        seed: of the networks and of the choice of rows.
    """

    kind = "sequence"

    def __init__(
        self,
        layout: Layout | None = None,
        max_exact: Annotated[int, Field(ge=0)] = 2000,
        max_rows: Annotated[int, Field(ge=2)] = 3000,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        if layout is not None and not isinstance(layout, SequenceLayout):
            raise ValueError("surrogate.kind: sequence requires the features one_hot; set features.kind, or use gp")
        self.layout = layout
        self.max_exact = max_exact
        self.max_rows = max_rows
        self.seed = seed

    def explain(self, n: int) -> str:
        if n <= self.max_exact:
            return (
                f"surrogate sequence, a Gaussian process with weighted positions: {n:,} measurements, up to "
                f"{self.max_exact:,} (networks if words and their reverse complements turn out to be alike)"
            )
        return (
            f"surrogate sequence, networks on {min(n, self.max_rows):,} rows: {n:,} measurements, more than "
            f"{self.max_exact:,} (surrogate.max_exact)"
        )

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fit each column of Y by itself."""
        return fit_each_target(self._fit_column, X, Y, Yvar)

    def choice(self, X: Tensor, y: Tensor) -> Surrogate:
        """Return the surrogate for data.

        Args:
            X: n x d one-hot rows.
            y: n targets.
        """
        assert self.layout is not None, "the campaign sets the layout"
        is_symmetric = strands_agree(self.layout, X, y)
        if len(X) <= self.max_exact and not is_symmetric:
            return ExactGP("weighted_hamming", _NOISE_RATIO, signal_weight=_SIGNAL_WEIGHT)
        return DeepEnsemble(
            _N_MEMBERS,
            "cnn",
            self.layout,
            is_symmetric,
            hidden=_HIDDEN,
            patience=_PATIENCE,
            max_epochs=_MOST_EPOCHS,
            seed=self.seed,
        )

    def _fit_column(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> Model:
        surrogate = self.choice(X, y)
        if len(X) > self.max_rows:
            order = y.argsort(descending=True, stable=True)
            n_best = round(_BEST * self.max_rows)
            rest = order[n_best:]
            generator = torch.Generator().manual_seed(self.seed)
            others = rest[torch.randperm(len(rest), generator=generator)[: self.max_rows - n_best].to(rest.device)]
            rows = torch.cat([order[:n_best], others]).sort().values
            X, y, yvar = X[rows], y[rows], None if yvar is None else yvar[rows]
        return surrogate.fit(X, y[:, None], None if yvar is None else yvar[:, None])


def strands_agree(layout: SequenceLayout, X: Tensor, y: Tensor) -> bool:
    """Return whether words and their reverse complements have the same values, as far as both were measured.

    Args:
        layout: of the rows.
        X: n x d one-hot rows.
        y: n targets.
    """
    if not layout.complements:
        return False
    own, other = (
        ["".join(map(chr, row)) for row in layout.letters(rows).tolist()] for rows in (X, reverse_complement(X, layout))
    )
    values = dict(zip(own, y.tolist(), strict=True))
    pairs = [(values[a], values[b]) for a, b in zip(own, other, strict=True) if a < b and b in values]
    if len(pairs) < _FEWEST_PAIRS:
        return False
    a, b = torch.tensor(pairs, dtype=torch.float64).T
    spread = (torch.cat([a, b]) - torch.cat([a, b]).mean()).square().mean()
    return bool((a - b).square().mean() / 2 <= (1 - _LEAST_R2) * spread)
