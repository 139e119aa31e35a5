"""An ensemble of Gaussian processes on several features, weighted by how well each has predicted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor

from al_loop.surrogates._gp_ensemble_model import GPEnsembleModel
from al_loop.surrogates._gp_model import ExactGPModel
from al_loop.surrogates._stacking import leave_one_out, stacking_weights
from al_loop.surrogates.auto import Auto
from al_loop.surrogates.base import Surrogate, as_surrogate_model, fit_each_target
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.expression import kernel_of

#: weight below which a member is left out of the predictions, which then cost nothing
_LEAST_WEIGHT = 0.01
#: kernels that are worth trying where the features have one of them
_RELATED: Mapping[str, tuple[str, ...]] = {
    "tanimoto": ("tanimoto", "minmax"),
    "sparse_tanimoto": ("sparse_tanimoto", "sparse_minmax"),
    "matern52": ("matern52", "matern12"),
}


class GPEnsemble(Surrogate):
    """Gaussian processes on several fingerprints, weighted by how well each predicts measurements that it has not seen.

    With ``features: {kind: joined, parts: [...]}`` there is a member for each part and one for all parts together; with
    features of one kind, one for each kernel that suits them. For molecules, features that the config leaves out are
    Morgan fingerprints of atoms and of their roles, atom pairs and descriptors.

    The weights maximise the mean log density of each measurement under the mixture of the members, each of which
    predicts it from all others (leave-one-out: Rasmussen and Williams 2006, section 5.4.2; stacking of predictive
    distributions: Yao, Vehtari, Simpson and Gelman 2018). They are found anew in each round, are equal where nothing is
    known, and stand in the ledger. Members that weigh less than 1 % are left out.

    Args:
        kernel: by default the natural one of the campaign's features. Its terms are the members.
        kernels: kernels of the members, in place of those of the features; each as in ``gp``.
        max_exact: largest number of measurements for exact fits; beyond, members are sparse, and the weights are those
            of exact fits to as many random measurements.
        noise_ratio: median of the prior of noise variance / signal variance.
        noise_spread: standard deviation of the prior of its log.
        seed: of the random measurements.
    """

    kind = "gp_ensemble"
    #: features of molecules where the config names none
    default_features: ClassVar[Mapping[str, Any]] = {
        "kind": "joined",
        "parts": [
            {"kind": "morgan"},
            {"kind": "morgan", "roles": True},
            {"kind": "atom_pairs"},
            {"kind": "descriptors"},
        ],
    }

    def __init__(
        self,
        kernel: str = "tanimoto",
        kernels: Annotated[Sequence[str], Field(min_length=1)] | None = None,
        max_exact: Annotated[int, Field(ge=2)] = 2000,
        noise_ratio: Annotated[float, Field(gt=0)] = 0.1,
        noise_spread: Annotated[float, Field(gt=0)] = 1.5,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.kernels = tuple(dict.fromkeys(kernels or _members_of(kernel)))
        for each in self.kernels:
            kernel_of(each)  # raises where it cannot be parsed
        self.max_exact, self.seed = max_exact, seed
        prior = (noise_ratio, noise_spread)
        self._exact = [ExactGP(each, *prior) for each in self.kernels]
        self._large = [Auto(each, max_exact, max_exact, *prior, seed) for each in self.kernels]

    def explain(self, n: int) -> str:
        exactly = "exactly" if n <= self.max_exact else f"sparsely, more than {self.max_exact:,} (surrogate.max_exact)"
        are_fitted = "measurement is fitted" if n == 1 else "measurements are fitted"
        return f"surrogate gp_ensemble of {len(self.kernels)}: {n:,} {are_fitted} {exactly}"

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fit the members to each target, and their weights."""
        return fit_each_target(self._fit_target, X, Y, Yvar)

    def fit_censored(self, X: Tensor, Y: Tensor, Yvar: Tensor | None, sides: Tensor) -> Model:
        """Fit the members to targets of which some are bounds; the exact ones decide on the weights."""
        is_exact = sides == 0
        members = [as_surrogate_model(member.fit_censored(X, Y, Yvar, sides)) for member in self._large]
        if int(is_exact.sum()) < 2:
            return self._weighted(members, torch.zeros(1, len(members), dtype=torch.float64))
        exact = X[is_exact], Y[is_exact, 0].double(), None if Yvar is None else Yvar[is_exact, 0].double()
        return self._weighted(members, self._log_densities(self._sample(*exact)))

    def _fit_target(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> Model:
        if len(X) <= self.max_exact:
            members = self._fitted((X, y, yvar))
            return self._weighted(members, torch.stack([leave_one_out(member) for member in members], dim=1))
        columns = y[:, None], None if yvar is None else yvar[:, None]
        large = [as_surrogate_model(member.fit(X, *columns)) for member in self._large]
        return self._weighted(large, self._log_densities(self._sample(X, y, yvar)))

    def _log_densities(self, data: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        return torch.stack([leave_one_out(member) for member in self._fitted(data)], dim=1)

    def _fitted(self, data: tuple[Tensor, Tensor, Tensor | None]) -> list[ExactGPModel]:
        X, y, yvar = data
        fitted = [member.fit(X, y[:, None], None if yvar is None else yvar[:, None]) for member in self._exact]
        return [model for model in fitted if isinstance(model, ExactGPModel)]

    def _sample(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return as many random measurements as are fitted exactly."""
        if len(X) <= self.max_exact:
            return X, y, yvar
        order = torch.randperm(len(X), generator=torch.Generator().manual_seed(self.seed))
        rows = order[: self.max_exact].sort().values.to(X.device)
        return X[rows], y[rows], None if yvar is None else yvar[rows]

    def _weighted(self, members: Sequence[Any], log_densities: Tensor) -> GPEnsembleModel:
        weights = stacking_weights(log_densities)
        kept = [i for i, weight in enumerate(weights.tolist()) if weight >= _LEAST_WEIGHT]
        names = [f"{i}_{_short(self.kernels[i])}" for i in kept]
        return GPEnsembleModel([members[i] for i in kept], weights[kept] / weights[kept].sum(), names)


def _members_of(kernel: str) -> tuple[str, ...]:
    """Return the kernels of the members: the terms of a sum or product and the whole, or the relatives of a name."""
    terms = re.split(r"\s*[+*]\s*", kernel)
    if len(terms) > 1:
        return (*terms, kernel)
    return _RELATED.get(kernel, (kernel,))


def _short(kernel: str) -> str:
    return "all" if re.search(r"[+*]", kernel) else re.sub(r"\W.*", "", kernel)
