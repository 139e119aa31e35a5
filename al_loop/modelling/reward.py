"""Acquisition values -> the samplers' log-reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from torch import Tensor

from al_loop.acquisitions.base import score
from al_loop.features.base import Features
from al_loop.gflownet.reward import Reward
from al_loop.modelling.side_terms import SideTerms
from al_loop.properties.base import Property


@dataclass(frozen=True)
class Bound:
    """A constraint: a cheap property and what is acceptable of it."""

    property: Property
    min: float | None
    max: float | None

    def violation(self, objects: Sequence[str]) -> Tensor:
        """How far each object is outside of the bounds, in the property's scale; 0 inside, inf where unknown: n."""
        values = torch.from_numpy(self.property.compute(objects)).double()
        low = torch.zeros_like(values) if self.min is None else (self.min - values).clamp(min=0)
        high = torch.zeros_like(values) if self.max is None else (values - self.max).clamp(min=0)
        return torch.where(values.isnan(), torch.inf, (low + high) / self.property.scale)


class Constraints:
    """All bounds of a campaign; the violation of an object is computed once."""

    def __init__(self, bounds: Sequence[Bound] = ()) -> None:
        self._bounds = tuple(bounds)
        self._seen: dict[str, float] = {}

    def violation(self, objects: Sequence[str]) -> Tensor:
        """The sum of the violations: n, 0 where an object is acceptable."""
        new = [o for o in dict.fromkeys(objects) if o not in self._seen]
        if new:
            total = torch.zeros(len(new), dtype=torch.float64)
            for bound in self._bounds:
                total += bound.violation(new)
            self._seen.update(zip(new, total.tolist(), strict=True))
        return torch.tensor([self._seen[o] for o in objects], dtype=torch.float64)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_seen": {}}


@dataclass(frozen=True)
class Scale:
    """The median of an acquisition over reference objects, and its spread (median absolute deviation x 1.4826)."""

    center: float
    spread: float

    @classmethod
    def of(cls, values: Tensor) -> Scale:
        """Of the reference objects' values: n."""
        center = float(values.median())
        spread = 1.4826 * float((values - center).abs().median())
        # where more than half of the reference agree, the standard deviation still tells the others apart
        return cls(center, spread if spread > 1e-9 else max(float(values.std(correction=0)), 1e-9))


class AcquisitionReward(Reward):
    """log R = beta (standardised acquisition - violation + log worth), the scale being set anew in every round.

    The acquisition is standardised by its median and its spread over reference objects, and clipped, so that one beta
    means the same in every round and with every acquisition. What violates a constraint by its scale loses as much
    as one spread, and so does what is e times less likely to keep the bounds on the oracle's other values, or to be
    answered at all, or costs e times as much (``SideTerms``; the last two to the powers that the config gives them).

    With several acquisitions, one for each objective, there is a log-reward for each, for a sampler that is conditioned
    on preferences between them.

    Args:
        acquisitions: larger is better; one, or one for each objective.
        features: objects -> X.
        constraints: what is acceptable.
        reference: objects that set the scale.
        beta: how sharply good objects are preferred.
        clip: largest absolute standardised acquisition.
        models: the surrogates, for ``uncertainty``.
        prospects: what else is expected of asking the oracle.
    """

    def __init__(
        self,
        acquisitions: Sequence[AcquisitionFunction],
        features: Features,
        constraints: Constraints,
        reference: Sequence[str],
        beta: float,
        clip: float,
        models: Sequence[Model],
        prospects: SideTerms | None = None,
    ) -> None:
        self._acquisitions, self._features, self._constraints = tuple(acquisitions), features, constraints
        self._models, self._prospects = tuple(models), prospects or SideTerms()
        self._beta, self._clip = beta, clip
        self.scales = tuple(Scale.of(score(a, features(reference))) for a in self._acquisitions)
        self._usual = [d.median().clamp_min(1e-9) for d in self._deviations(reference)]
        self._seen: dict[str, Tensor] = {}

    def _deviations(self, objects: Sequence[str]) -> list[Tensor]:
        X = self._features(objects)[:, None]
        with torch.no_grad():
            return [model.posterior(X).variance.flatten().sqrt() for model in self._models]

    def uncertainty(self, objects: Sequence[str]) -> Tensor:
        """Posterior standard deviation of objects, 1 where the model knows as little as of a random one: n, float32."""
        parts = [d / usual for d, usual in zip(self._deviations(objects), self._usual, strict=True)]
        return torch.stack(parts).mean(0).float()

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Log-rewards of objects: n, or n x objectives; float32."""
        new = [o for o in dict.fromkeys(objects) if o not in self._seen]
        if new:
            X = self._features(new)
            beside = self._prospects.log_weight(X) - self._constraints.violation(new)
            columns = []
            for acquisition, scale in zip(self._acquisitions, self.scales, strict=True):
                values = (score(acquisition, X) - scale.center) / scale.spread
                columns.append(self._beta * (values.clamp(-self._clip, self._clip) + beside))
            rows = torch.stack(columns, dim=1).float()
            self._seen.update(zip(new, rows, strict=True))
        if not objects:
            return torch.empty((0, len(self._acquisitions)))[:, 0 if len(self._acquisitions) == 1 else slice(None)]
        found = torch.stack([self._seen[o] for o in objects])
        return found[:, 0] if len(self._acquisitions) == 1 else found

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_seen": {}}
