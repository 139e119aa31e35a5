"""Acquisition values -> the samplers' log-reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from torch import Tensor

from al_loop.features.base import Features
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


@torch.no_grad()
def score(acquisition: AcquisitionFunction, X: Tensor, chunk: int = 2048) -> Tensor:
    """Acquisition values of single objects: n x d -> n."""
    parts = [acquisition(rows.unsqueeze(1)) for rows in X.split(chunk)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)


class AcquisitionReward:
    """log R = beta x (standardised acquisition - constraint violation), the scale being set anew in every round.

    The acquisition is standardised by its median and its spread (median absolute deviation x 1.4826) over reference
    objects, and clipped, so that one beta means the same in every round and with every acquisition. What violates a
    constraint by its scale loses as much as one spread.

    Args:
        acquisition: larger is better.
        features: objects -> X.
        constraints: what is acceptable.
        reference: objects that set the scale.
        beta: how sharply good objects are preferred.
        clip: largest absolute standardised acquisition.
        model: the surrogate, for ``uncertainty``.
    """

    def __init__(
        self,
        acquisition: AcquisitionFunction,
        features: Features,
        constraints: Constraints,
        reference: Sequence[str],
        beta: float,
        clip: float,
        model: Model,
    ) -> None:
        self._acquisition, self._features, self._constraints, self._model = acquisition, features, constraints, model
        self._beta, self._clip = beta, clip
        values = score(acquisition, features(reference))
        self.center = float(values.median())
        spread = 1.4826 * float((values - self.center).abs().median())
        # where more than half of the reference agree, the standard deviation still tells the others apart
        self.spread = spread if spread > 1e-9 else max(float(values.std(correction=0)), 1e-9)
        self._usual = max(float(self._deviation(reference).median()), 1e-9)
        self._seen: dict[str, float] = {}

    def _deviation(self, objects: Sequence[str]) -> Tensor:
        with torch.no_grad():
            variance: Tensor = self._model.posterior(self._features(objects)[:, None]).variance
        return variance.flatten().sqrt()

    def uncertainty(self, objects: Sequence[str]) -> Tensor:
        """Posterior standard deviation of objects, 1 where the model knows as little as of a random one: n, float32."""
        return (self._deviation(objects) / self._usual).float()

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Log-rewards of objects: n, float32."""
        new = [o for o in dict.fromkeys(objects) if o not in self._seen]
        if new:
            values = (score(self._acquisition, self._features(new)) - self.center) / self.spread
            values = values.clamp(-self._clip, self._clip) - self._constraints.violation(new)
            self._seen.update(zip(new, (self._beta * values).tolist(), strict=True))
        return torch.tensor([self._seen[o] for o in objects])

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_seen": {}}
