"""The fitter of a round's models, from which it derives the samplers' reward."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from botorch.models.model import Model, ModelList
from torch import Tensor

from al_loop.acquisitions.base import Acquisition, AcquisitionContext, score
from al_loop.acquisitions.ucb import UCB
from al_loop.config.reward_settings import Reward as RewardSettings
from al_loop.errors import CampaignError
from al_loop.features.base import describable
from al_loop.features.row_layout import SequenceLayout
from al_loop.modelling.fidelities import Fidelities
from al_loop.modelling.fidelity_selection import at_fidelities
from al_loop.modelling.fitted import FittedModels
from al_loop.modelling.objectives import CampaignObjectives
from al_loop.modelling.replicates import means
from al_loop.modelling.reward import AcquisitionReward, ObjectSpace, Scale
from al_loop.modelling.side_terms import OutcomeBound, SideTerms
from al_loop.modelling.targets import Target, read_target
from al_loop.modelling.transforms import FittedTransform, Standardise, Transform
from al_loop.surrogates.base import Surrogate, SurrogateModel, as_surrogate_model

if TYPE_CHECKING:
    from botorch.acquisition import AcquisitionFunction

    from al_loop.ledger import Candidate, Observation

#: posterior deviations added to the mean of each objective where samplers are rewarded for each
_OPTIMISM = 1.0


class ModelFitter:
    """Fits the surrogate to observations; holds settings only, the models are the result.

    Args:
        surrogate: fits a model to each objective.
        acquisition: says how much measuring an object is worth.
        space: features, constraints and reference objects.
        objectives: which of the oracle's values are optimised, and which are bounded.
        fidelities: the fidelities at which objects are measured.
        transform: output transform of the optimised values.
        reward: the config's ``reward``.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        acquisition: Acquisition,
        space: ObjectSpace,
        objectives: CampaignObjectives,
        fidelities: Fidelities,
        transform: Transform,
        reward: RewardSettings,
    ) -> None:
        self._surrogate, self._acquisition, self._space = surrogate, acquisition, space
        self._objectives, self._fidelities = objectives, fidelities
        self._transform, self._reward = transform, reward
        self._device = "cpu"

    def on(self, device: str) -> ModelFitter:
        """Return a copy that fits on a device; its models come back to the CPU, where samplers evaluate them."""
        other = copy.copy(self)
        other._device = device
        return other

    def with_energies(self, energies: Callable[[Sequence[str]], Tensor]) -> ModelFitter:
        """Return a copy whose rewards add other energies."""
        other = copy.copy(self)
        other._space = replace(self._space, energies=energies)
        return other

    def fit(
        self, observations: Sequence[Observation], pending: Sequence[Candidate], factors: Sequence[float]
    ) -> FittedModels:
        """Fit models to all observations; at least one of them must have values.

        Args:
            observations: what was measured, failures included.
            pending: what was proposed and has no answer yet.
            factors: the factor by which each objective's posterior standard deviation is recalibrated.
        """
        objectives = self._objectives
        left_out = self._without_features([*observations, *pending])
        observations = [o for o in observations if o.object not in left_out]
        pending = [c for c in pending if c.object not in left_out]
        measured = [o for o in observations if o.values is not None]
        X = self._rows(measured)
        models, transforms, targets = [], [], []
        described: dict[str, float] = {}
        for i, (index, sign, factor) in enumerate(zip(objectives.indices, objectives.signs, factors, strict=True)):
            target = read_target(measured, index, sign, self._transform)
            if target is None:
                raise CampaignError(
                    f"none of {len(measured)} answers has a value of {objectives.names[i]}, so nothing can be learned; "
                    "let the oracle measure it for some objects"
                )
            fitted = self._fit(X, target)
            suffix = f"_{i}" if objectives.are_several else ""
            described |= {f"{name}{suffix}": value for name, value in self._surrogate.describe(fitted).items()}
            model = as_surrogate_model(fitted)
            models.append(model if factor == 1.0 else model.rescaled(factor))
            transforms.append(target.transform)
            targets.append(target)
        X_pending = self._rows(pending) if pending else None
        side_terms = self._side_terms(observations, measured, X)
        build = self._builder(models, X, measured, targets, side_terms)
        acquisition = build(X_pending)
        rewarded = self._rewarded(models, acquisition, X_pending)
        reward = AcquisitionReward(rewarded, models, self._space, self._reward, side_terms)
        scale = reward.scales[0] if len(rewarded) == 1 else Scale.of(score(acquisition, self._reference_rows()))
        return FittedModels(
            models=tuple(models),
            transforms=tuple(transforms),
            signs=objectives.signs,
            X=X[:, :-1] if self._fidelities.are_several else X,
            X_pending=X_pending,
            pending=[c.object for c in pending],
            reward=reward,
            acquisition=acquisition,
            build_acquisition=build,
            side_terms=side_terms,
            scale=scale,
            has_fidelities=self._fidelities.are_several,
            info={
                "surrogate": described,
                "reward": {"center": scale.center, "spread": scale.spread},
                "factors": list(factors),
                **({"left_out": left_out} if left_out else {}),
            },
        )

    def _without_features(self, records: Sequence[Observation | Candidate]) -> dict[str, str]:
        """Return the objects of which no model can learn, each with the reason; they must not end the campaign."""
        features, names = self._space.features, list(dict.fromkeys(r.object for r in records))
        described = set(describable(features, names))
        return {name: features.refused[name] for name in names if name not in described}

    def _fit(self, X: Tensor, target: Target) -> Model:
        """Fit one target; a surrogate may return any BoTorch model."""
        X, Y, Yvar = _picked(X, torch.from_numpy(target.rows)), target.Y, target.Yvar
        X, Y, Yvar = X.to(self._device), Y.to(self._device), None if Yvar is None else Yvar.to(self._device)
        if target.sides is None:
            model = self._surrogate.fit(X, Y, Yvar)
        else:
            model = self._surrogate.fit_censored(X, Y, Yvar, target.sides.to(self._device))
        if self._device == "cpu":
            return model
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=False)

    def _reference_rows(self) -> Tensor:
        return self._space.features(self._space.reference)

    def _rows(self, records: Sequence[Observation] | Sequence[Candidate]) -> Tensor:
        """Return features for the surrogate, with a column of fidelities if there are several."""
        X = self._space.features([r.object for r in records])
        if not self._fidelities.are_several:
            return X
        return at_fidelities(X, [self._fidelities.level(r.fidelity) for r in records])

    # -- what counts beside the acquisition ----------------------------------------------------------------------------

    def _side_terms(self, observations: Sequence[Observation], measured: Sequence[Observation], X: Tensor) -> SideTerms:
        """Fit the bounded values, the probability of success and the cost of a call."""
        bounds = []
        for index, low, high in self._objectives.bounds:
            target = read_target(measured, index, 1.0, Standardise())
            if target is None:  # nothing is known of this value yet
                continue
            model = as_surrogate_model(self._fit(X, target))
            ends = [None if end is None else float(target.transform.forward(np.array(end))) for end in (low, high)]
            bounds.append(OutcomeBound(model, *ends))
        return SideTerms(
            tuple(bounds),
            self._log_success_probability(observations) if self._reward.feasibility else None,
            self._reward.feasibility,
            self._relative_cost(observations) if self._reward.cost else None,
            self._reward.cost,
        )

    def _log_success_probability(self, observations: Sequence[Observation]) -> Callable[[Tensor], Tensor]:
        from al_loop.modelling.feasibility import Feasibility
        from al_loop.modelling.forbidden_pairs import ForbiddenPairs, explains_failures

        # an object that was given up after lost connections may well be measurable
        decided = [o for o in observations if o.failure != "retryable"]
        is_success = torch.tensor([o.values is not None for o in decided])
        features = self._space.features
        X = features([o.object for o in decided])
        layout = features.layout if self._reward.feasibility_by == "auto" else None
        if isinstance(layout, SequenceLayout) and explains_failures(layout, X, is_success):
            return ForbiddenPairs.fit(layout, X, is_success).log_probability
        return Feasibility(features.kernel).fit(X, is_success).log_probability

    def _relative_cost(self, observations: Sequence[Observation]) -> Callable[[Tensor], Tensor] | None:
        """Fit the cost of a call relative to the median at its fidelity, which is no matter of the object."""
        from al_loop.modelling.feasibility import Expense

        by_level: dict[int, list[float]] = {}
        priced: list[tuple[str, int, float]] = []
        for o in observations:
            cost = o.cost if self._reward.cost_by == "cost" else o.seconds
            if cost is not None and cost > 0:
                level = self._fidelities.level(o.fidelity)
                by_level.setdefault(level, []).append(float(cost))
                priced.append((o.object, level, float(cost)))
        if not priced:
            return None
        usual = {level: float(np.median(costs)) for level, costs in by_level.items()}
        costs = torch.tensor([cost / usual[level] for _, level, cost in priced], dtype=torch.float64)
        features = self._space.features
        return Expense(features.kernel).fit(features([name for name, _, _ in priced]), costs).relative

    # -- acquisition functions -----------------------------------------------------------------------------------------

    def _builder(
        self,
        models: Sequence[SurrogateModel],
        X: Tensor,
        measured: Sequence[Observation],
        targets: Sequence[Target],
        side_terms: SideTerms,
    ) -> Callable[[Tensor | None], AcquisitionFunction]:
        """Return a function that builds the acquisition function, given the pending rows.

        New objects are compared with those that have all optimised values and broke no bound; reference objects that
        likely would break one are left out.
        """
        objectives = self._objectives
        Y = torch.stack([target.certain_values(len(X)) for target in targets], dim=1)
        transforms = [target.transform for target in targets]
        Y, valid = self._comparable(models, X, Y, measured)
        likely = side_terms.log_constraint_probability(self._reference_rows()) > math.log(0.5)
        among = self._reference_rows()[likely]
        if self._fidelities.are_several:
            return self._builder_at_target(models[0], X, Y, valid, transforms[0], among)
        if len(models) == 1:
            best_f, rows = float(Y[valid].max()), _picked(X, valid.nonzero()[:, 0])
            single = self._acquisition.in_unit_of(transforms[0], best_f)
            return lambda X_pending: single.build(models[0], AcquisitionContext(rows, best_f, X_pending, among))
        acquisition = self._acquisition
        front = ModelList(*models)
        point = None
        if objectives.reference_point is not None:
            raw = zip(objectives.reference_point, objectives.signs, transforms, strict=True)
            point = torch.tensor([float(t.forward(np.array([sign * value]))[0]) for value, sign, t in raw])
        return lambda X_pending: acquisition.build(
            front, AcquisitionContext(X[valid], X_pending=X_pending, Y=Y[valid], reference_point=point)
        )

    def _comparable(
        self, models: Sequence[SurrogateModel], X: Tensor, Y: Tensor, measured: Sequence[Observation]
    ) -> tuple[Tensor, Tensor]:
        """Return targets (n x m), and a mask of the rows that new objects are compared with.

        Several measurements of one object count as their mean. Predictions take the place of the missing values if no
        row is complete.
        """
        keys = [(o.object, self._fidelities.level(o.fidelity)) for o in measured]
        mean = means(keys, [o.values or () for o in measured], [o.censored for o in measured])
        Y = torch.from_numpy(means(keys, Y.numpy()).values)
        is_complete = Y.isfinite().all(1)
        if not bool(is_complete.any()):
            predicted = torch.stack([model.mean_and_variance(X)[0].cpu() for model in models], dim=1)
            Y, is_complete = torch.where(Y.isfinite(), Y, predicted), torch.ones_like(is_complete)
        is_valid = is_complete & torch.from_numpy(self._objectives.within_bounds(mean.values, mean.censored))
        return Y, is_valid if bool(is_valid.any()) else is_complete

    def _builder_at_target(
        self, model: SurrogateModel, X: Tensor, Y: Tensor, valid: Tensor, transform: FittedTransform, among: Tensor
    ) -> Callable[[Tensor | None], AcquisitionFunction]:
        """Return a function that builds the acquisition at the target, given rows pending at any fidelity."""
        rows, is_target = X[:, :-1], (X[:, -1] == len(self._fidelities) - 1) & valid
        at_target = Y[is_target] if bool(is_target.any()) else model.mean_and_variance(rows)[0]
        best_f = float(at_target.max())
        acquisition = self._acquisition.in_unit_of(transform, best_f)

        def build(X_pending: Tensor | None) -> AcquisitionFunction:
            conditioned = model if X_pending is None or not len(X_pending) else model.condition_on_pending(X_pending)
            return acquisition.build(conditioned, AcquisitionContext(rows[valid], best_f, None, among))

        return build

    def _rewarded(
        self, models: Sequence[SurrogateModel], acquisition: AcquisitionFunction, X_pending: Tensor | None
    ) -> list[AcquisitionFunction]:
        """Return what samplers are rewarded for: the acquisition, or an optimistic value of each objective."""
        if len(models) == 1 or not self._reward.preferences:
            return [acquisition]
        context = AcquisitionContext(self._reference_rows(), X_pending=X_pending)
        return [UCB(_OPTIMISM).build(model, context) for model in models]


def _picked(X: Tensor, rows: Tensor) -> Tensor:
    """Return distinct rows of a matrix, in order; the matrix itself, which may be large, if these are all."""
    return X if len(rows) == len(X) else X[rows]
