"""A surrogate for sequences, chosen by the amount of data and by what they show of the other strand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

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
#: settings of networks for few and for many rows, with which a fit takes seconds
_FEW: Mapping[str, Any] = {"n_members": 5, "hidden": 48, "patience": 5, "max_epochs": 40}
_MANY: Mapping[str, Any] = {
    "n_members": 5,
    "hidden": 32,
    "patience": 3,
    "max_epochs": 20,
    "batch_size": 256,
    "learning_rate": 5e-3,
}
#: of many rows of DNA or RNA whose strands are alike; a fit takes two minutes
_MANY_STRANDS: Mapping[str, Any] = {
    "n_members": 3,
    "hidden": 64,
    "patience": 3,
    "max_epochs": 10,
    "batch_size": 256,
    "learning_rate": 2e-3,
}
_MOST_OF_FEW = 3000  # rows
#: share of the rows of a fit that are the best ones; the others are random
_BEST = 0.5
#: fewest pairs of a word and its reverse complement that show a symmetry, and the squared correlation that they need
_FEWEST_PAIRS, _LEAST_R2 = 4, 0.9


class SequenceSurrogate(Surrogate):
    """Gaussian process with a weight for each position, or an ensemble of convolutional networks, on letters.

    The process is for up to ``max_exact`` measurements. Networks take over with more of them, and at any number for DNA
    or RNA in which a word and its reverse complement have the same value, as pairs of both in the data show; these are
    then one object to the networks, with the mean of its values. Fits use up to ``max_rows`` objects: the best half,
    and others at random.

    Args:
        layout: structure of the rows, which the campaign takes from its features.
        max_exact: largest number of measurements for the Gaussian process.
        max_rows: largest number of objects of a fit.
        seed: of the networks and of the choice of rows.
    """

    kind = "sequence"

    def __init__(
        self,
        layout: Layout | None = None,
        max_exact: Annotated[int, Field(ge=0)] = 2000,
        max_rows: Annotated[int, Field(ge=2)] = 20000,
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

    def choice(self, X: Tensor, is_symmetric: bool) -> Surrogate:
        """Return the surrogate for data.

        Args:
            X: n x d one-hot rows.
            is_symmetric: whether a word and its reverse complement are the same object.
        """
        assert self.layout is not None, "the campaign sets the layout"
        if len(X) <= self.max_exact and not is_symmetric:
            return ExactGP("weighted_hamming", _NOISE_RATIO, signal_weight=_SIGNAL_WEIGHT)
        is_few = min(len(X), self.max_rows) <= _MOST_OF_FEW
        settings = _FEW if is_few else _MANY_STRANDS if is_symmetric else _MANY
        return DeepEnsemble(
            encoder="cnn", layout=self.layout, reverse_complement=is_symmetric, seed=self.seed, **settings
        )

    def _fit_column(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> Model:
        assert self.layout is not None, "the campaign sets the layout"
        is_symmetric = strands_agree(self.layout, X, y)
        if is_symmetric:
            X, y, yvar = _one_strand(self.layout, X, y, yvar)
        surrogate = self.choice(X, is_symmetric)
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
    own, other = _strands(layout, X)
    values = dict(zip(own, y.tolist(), strict=True))
    pairs = [(values[a], values[b]) for a, b in zip(own, other, strict=True) if a < b and b in values]
    if len(pairs) < _FEWEST_PAIRS:
        return False
    a, b = torch.tensor(pairs, dtype=torch.float64).T
    spread = (torch.cat([a, b]) - torch.cat([a, b]).mean()).square().mean()
    return bool((a - b).square().mean() / 2 <= (1 - _LEAST_R2) * spread)


def _strands(layout: SequenceLayout, X: Tensor) -> tuple[list[str], list[str]]:
    """Return a key of each word and of its reverse complement."""
    own, other = (
        [bytes(row).decode("latin-1") for row in layout.letters(rows).tolist()]
        for rows in (X, reverse_complement(X, layout))
    )
    return own, other


def _one_strand(
    layout: SequenceLayout, X: Tensor, y: Tensor, yvar: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return one row for a word and its reverse complement, with the mean of their targets and its noise variance."""
    keys = [min(pair) for pair in zip(*_strands(layout, X), strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    group = torch.tensor([numbers[key] for key in keys], device=y.device)
    first = torch.full((len(numbers),), len(keys), device=y.device).scatter_reduce(
        0, group, torch.arange(len(keys), device=y.device), "amin"
    )
    count = torch.bincount(group, minlength=len(numbers)).to(y)

    def sums(values: Tensor) -> Tensor:
        return torch.zeros_like(count).index_add_(0, group, values)

    return X[first], sums(y) / count, None if yvar is None else sums(yvar) / count**2
