"""The samplers' log-reward, derived from acquisition values."""

from __future__ import annotations

import copy
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from botorch.acquisition import AcquisitionFunction
from torch import Tensor

from al_loop.acquisitions.base import score
from al_loop.config.reward_settings import Reward as RewardSettings
from al_loop.features.base import Features, describable
from al_loop.features.row_cache import RowCache
from al_loop.gflownet.reward import Reward
from al_loop.modelling.constraints import Constraints
from al_loop.modelling.side_terms import SideTerms
from al_loop.surrogates.base import SurrogateModel

#: what an object without features loses beside the worst acquisition value, in its spreads
_WITHOUT_FEATURES = 10.0
_AT_ONCE = 20_480  # objects whose features are in memory together


@dataclass(frozen=True)
class ObjectSpace:
    """Features and constraints of objects, and a reference sample of random ones.

    Args:
        features: objects -> n x d features.
        constraints: bounds on cheap properties.
        reference: random objects, which set the scale of rewards; the same in all rounds.
        energies: objects -> n scores of learned energies, which are added to the log-reward; None: there are none.
    """

    features: Features
    constraints: Constraints
    reference: Sequence[str]
    energies: Callable[[Sequence[str]], Tensor] | None = None


@dataclass(frozen=True)
class Scale:
    """Location and spread of an acquisition over reference objects.

    Args:
        center: median.
        spread: median absolute deviation x 1.4826 (a normal distribution's standard deviation); above 0.
    """

    center: float
    spread: float

    @classmethod
    def of(cls, values: Tensor) -> Scale:
        """Return the scale of reference values, n."""
        center = float(values.median())
        spread = 1.4826 * float((values - center).abs().median())
        # if more than half of the reference values agree, the standard deviation still tells the others apart
        return cls(center, spread if spread > 1e-9 else max(float(values.std(correction=0)), 1e-9))


@dataclass(frozen=True)
class _Preparation:
    """Features and violations of objects, for a reward in another process."""

    features: Features
    constraints: Constraints

    def __call__(self, objects: Sequence[str]) -> tuple[list[str], Any, dict[str, str], list[float]]:
        """Return the objects that have features, their features and violations, and the reasons for the others."""
        distinct = list(dict.fromkeys(objects))
        try:
            described, rows = distinct, self.features.export_rows(distinct)
        except Exception:  # some have none, or third-party code raises anything
            described = describable(self.features, distinct)
            rows = self.features.export_rows(described)
        violations = self.constraints.violation(described).tolist()
        self.constraints.forget()
        refused = {name: self.features.refused[name] for name in distinct if name in self.features.refused}
        return described, rows, refused, violations


class AcquisitionReward(Reward):
    """The log-reward of objects, log R = beta (clip(standardised acquisition) + log weight - violation) + energies.

    The acquisition is standardised by its median and its spread over reference objects, anew in every round, so that
    one beta means the same in every round and with every acquisition. An object that violates a constraint by the
    property's scale loses as much as one spread of the acquisition, and so does one whose weight (``SideTerms``) is
    smaller by a factor of e.

    Learned energies (``space.energies``) are added as they are, since they are log-probabilities.

    With several acquisitions, one for each objective, there is a log-reward for each, for a sampler that is conditioned
    on preferences between them.

    Args:
        acquisitions: acquisition functions, larger is better; one, or one for each objective.
        models: the models of the objectives, for ``uncertainty``.
        space: features, constraints and reference objects.
        settings: the config's ``reward``, for beta and clip.
        side_terms: what counts beside the acquisition; none if left out.
    """

    def __init__(
        self,
        acquisitions: Sequence[AcquisitionFunction],
        models: Sequence[SurrogateModel],
        space: ObjectSpace,
        settings: RewardSettings,
        side_terms: SideTerms | None = None,
    ) -> None:
        self._acquisitions, self._models = tuple(acquisitions), tuple(models)
        self._space = space
        self._features, self._constraints, self._settings = space.features, space.constraints, settings
        self._energies = space.energies
        self._side_terms = side_terms or SideTerms()
        self.scales = tuple(Scale.of(score(a, self._features(space.reference))) for a in self._acquisitions)
        self._usual_stds = [std.median().clamp_min(1e-9) for std in self._stds(self._features(space.reference))]
        self._log_rewards = RowCache(sys.maxsize)

    @property
    def preparation(self) -> Callable[[Sequence[str]], Any]:
        return _Preparation(self._features, self._constraints)

    def unprepared(self, objects: Sequence[str]) -> list[str]:
        features, constraints = self._features, self._constraints
        return [
            o
            for o in dict.fromkeys(objects)
            if o not in self._log_rewards
            and o not in features.refused
            and not (features.knows(o) and constraints.knows(o))
        ]

    def accept(self, objects: Sequence[str], prepared: Any) -> None:
        described, rows, refused, violations = prepared
        self._features.import_rows(described, rows)
        self._features.refused.update(refused)
        self._constraints.remember(described, violations)

    @property
    def space(self) -> ObjectSpace:
        """The features and constraints of objects, and the reference objects."""
        return self._space

    def on(self, device: torch.device) -> AcquisitionReward:
        """Return the reward for rows on a device: this one on the CPU, else a copy."""
        return self if device.type == "cpu" else self.copy_on(device)

    def copy_on(self, device: torch.device) -> AcquisitionReward:
        """Return a copy with all tensors on a device, those of kernels included, which no module's ``to`` finds."""
        other = copy.copy(self)
        other._log_rewards = RowCache(sys.maxsize)
        file = io.BytesIO()
        torch.save((self._acquisitions, self._models, self._side_terms), file)
        file.seek(0)
        moved = torch.load(file, map_location=device, weights_only=False)
        other._acquisitions, other._models, other._side_terms = moved
        return other

    def of_rows(self, X: Tensor, violation: Tensor) -> Tensor:
        """Return the log-rewards of objects that have features: n x objectives, float32.

        Args:
            X: features, n x d.
            violation: of the constraints, n.
        """
        beta, clip = self._settings.beta, self._settings.clip
        side = self._side_terms.log_weight(X) - violation
        columns = []
        for acquisition, scale in zip(self._acquisitions, self.scales, strict=True):
            standardised = (score(acquisition, X) - scale.center) / scale.spread
            columns.append(beta * (standardised.clamp(-clip, clip) + side))
        return torch.stack(columns, dim=1).float()

    def uncertainty_of_rows(self, X: Tensor) -> Tensor:
        """Return the uncertainty about objects that have features X (n x d), as ``uncertainty``: n, float32."""
        parts = [std / usual for std, usual in zip(self._stds(X), self._usual_stds, strict=True)]
        return torch.stack(parts).mean(0).float()

    def _stds(self, X: Tensor) -> list[Tensor]:
        with torch.no_grad():
            return [model.posterior(X[:, None]).variance.flatten().sqrt() for model in self._models]

    def uncertainty(self, objects: Sequence[str]) -> Tensor:
        """Return each object's posterior standard deviation relative to that of a random object: n, float32.

        It is 0 for an object without features.
        """
        names = describable(self._features, objects)
        result = torch.zeros(len(objects))
        if names:
            described = set(names)
            result[[o in described for o in objects]] = self.uncertainty_of_rows(self._features(names))
        return result

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Return log-rewards, n, or n x objectives if there are several; float32. They are computed once an object.

        An object without features has less than any other, since it can never be proposed.
        """
        beta, clip = self._settings.beta, self._settings.clip
        unknown = self._log_rewards.missing(objects)
        new = describable(self._features, unknown)
        if len(new) < len(unknown):
            least = torch.full((len(self._acquisitions),), -beta * (clip + _WITHOUT_FEATURES), dtype=torch.float32)
            refused = list(set(unknown) - set(new))
            self._log_rewards.add(refused, least.expand(len(refused), -1))
        for first in range(0, len(new), _AT_ONCE):
            part = new[first : first + _AT_ONCE]
            rows = self.of_rows(self._features(part), self._constraints.violation(part))
            if self._energies is not None:
                rows = rows + self._energies(part).float()[:, None]
            self._log_rewards.add(part, rows)
        if not objects:
            return torch.empty((0, len(self._acquisitions)))[:, 0 if len(self._acquisitions) == 1 else slice(None)]
        log_rewards = self._log_rewards.rows(objects)
        return log_rewards[:, 0] if len(self._acquisitions) == 1 else log_rewards
