"""What a campaign believes in a round: models of the oracle's values, and what is wanted because of them."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from botorch.models.model import Model, ModelList
from numpy.typing import NDArray
from torch import Tensor

from al_loop.acquisitions.base import Acquisition, AcquisitionContext, MultiFidelityAcquisition, score
from al_loop.acquisitions.ucb import UCB
from al_loop.features.base import Features
from al_loop.modelling.objectives import Wanted
from al_loop.modelling.reward import AcquisitionReward, Constraints, Scale
from al_loop.modelling.side_terms import OutcomeBound, SideTerms
from al_loop.modelling.transforms import FittedTransform, Standardise, Transform
from al_loop.oracles.base import FailureKind
from al_loop.seeding import derive_seed
from al_loop.surrogates.base import Surrogate, SurrogateModel, as_surrogate_model

if TYPE_CHECKING:
    from botorch.acquisition import AcquisitionFunction

Array = NDArray[np.float64]

#: posterior deviations that an objective is given beyond its mean where a sampler is paid for each objective
_OPTIMISM = 1.0
_MOST_CHOSEN_AMONG = 512  # objects whose value at every fidelity is renewed after each pick
_JOINT_SAMPLES = 512  # of a batch's values, for the forecast


@dataclass(frozen=True)
class Asked:
    """An object that the oracle was asked for: its values in the oracle's units, or why there are none.

    fidelity: which of those that the campaign chooses among, the cheapest being 0.
    """

    object: str
    values: tuple[float, ...] | None
    noise: tuple[float, ...] | None = None
    failure: FailureKind | None = None
    cost: float | None = None
    fidelity: int = 0


@dataclass(frozen=True)
class BatchLimits:
    """When a batch is full: by the number of calls, or by their cost."""

    n: int
    cost: float = math.inf


def at_fidelities(X: Tensor, fidelities: Sequence[int]) -> Tensor:
    """Features with the column of fidelities that a surrogate of several wants: n x d -> n x (d + 1)."""
    return torch.cat([X, torch.tensor(fidelities, dtype=X.dtype, device=X.device)[:, None]], dim=1)


@dataclass(frozen=True)
class FittedModels:
    """What is believed in a round, and what the samplers are paid for.

    Args:
        models: of each objective, on transformed targets, larger being better.
        transforms: what was done to the targets of each.
        signs: what they were multiplied with before.
        X: features of what was measured.
        X_pending: features of what is being measured, or None.
        pending: these objects.
        reward: the samplers' log-reward.
        acquisition: of single objects.
        build: the acquisition, given what is pending.
        prospects: what is expected beside.
        scale: of the acquisition.
        facts: numbers for the ledger.
    """

    models: tuple[SurrogateModel, ...]
    transforms: tuple[FittedTransform, ...]
    signs: tuple[float, ...]
    X: Tensor
    X_pending: Tensor | None
    pending: Sequence[str]
    reward: AcquisitionReward
    acquisition: AcquisitionFunction
    build: Callable[[Tensor | None], AcquisitionFunction]
    prospects: SideTerms
    scale: Scale
    facts: Mapping[str, Any]

    def scores(self, X: Tensor, acquisition: AcquisitionFunction | None = None) -> Tensor:
        """What objects are worth asking the oracle for, in the acquisition's unit: n x d -> n."""
        return score(acquisition or self.acquisition, X) + self.scale.spread * self.prospects.log_weight(X)

    def rescore(self, X_also: Tensor, X: Tensor) -> Tensor:
        """The scores once further rows are pending too: p x d, n x d -> n."""
        X_pending = X_also if self.X_pending is None else torch.cat([self.X_pending, X_also])
        return self.scores(X, self.build(X_pending))

    def choose(
        self,
        acquisition: MultiFidelityAcquisition,
        X: Tensor,
        is_open: Tensor,
        costs: Sequence[float],
        limits: BatchLimits,
    ) -> list[tuple[int, int]]:
        """Objects (rows of X, n x d) and the fidelities to ask for them at, one after the other by value per cost.

        is_open: what may be asked for, n x fidelities. costs: of the fidelities. limits: when it is enough.
        """
        model, is_open = self.models[0], is_open.clone()
        promising = self.scores(X).masked_fill(~is_open.any(1), -math.inf).topk(min(_MOST_CHOSEN_AMONG, len(X))).indices
        picked: list[tuple[int, int]] = []
        spent = spent_at_target = 0.0
        X_pending = self.X_pending
        while len(picked) < limits.n and spent < limits.cost and bool(is_open[promising].any()):
            held = model if X_pending is None else model.condition_on_pending(X_pending)
            part = X[promising]
            values = acquisition.per_cost(held, self.build(X_pending), costs, part)
            values = values + self.prospects.log_weight(part)[:, None]
            is_allowed = is_open[promising].clone()
            if spent_at_target < acquisition.target_share * (spent + costs[-1]) and bool(is_allowed[:, -1].any()):
                is_allowed[:, :-1] = False
            values = values.nan_to_num(nan=-math.inf).masked_fill(~is_allowed, -math.inf)
            at, fidelity = divmod(int(values.argmax()), len(costs))
            row = int(promising[at])
            picked.append((row, fidelity))
            is_open[row, : fidelity + 1] = False  # a cheaper answer would tell nothing more
            spent += costs[fidelity]
            spent_at_target += costs[fidelity] * (fidelity == len(costs) - 1)
            new = at_fidelities(X[row : row + 1], [fidelity])
            X_pending = new if X_pending is None else torch.cat([X_pending, new])
        return picked

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and variance of single rows on transformed targets, averaged over the objectives: n, n."""
        both = [model.mean_and_variance(X) for model in self.models]
        return torch.stack([mean for mean, _ in both]).mean(0), torch.stack([variance for _, variance in both]).mean(0)

    def predict(self, X: Tensor, fidelity: int | None = None) -> tuple[Array, Array]:
        """Mean and standard deviation of the oracle's answers, noise included, in its units: n x objectives each.

        fidelity: of the answers, where there are several; None: the target.
        """
        means, stds = [], []
        models = self.models if fidelity is None else [model.at(fidelity) for model in self.models]
        for model, transform, sign in zip(models, self.transforms, self.signs, strict=True):
            mean, variance = model.mean_and_variance(X)
            center, spread = transform.center_and_spread(
                mean.cpu().numpy(), variance.cpu().numpy() + model.noise_variance
            )
            means.append(sign * center)
            stds.append(spread)
        return np.stack(means, axis=1), np.stack(stds, axis=1)

    def draw(self, X: Tensor, k: int, seed: int) -> Tensor:
        """Joint draws of what rows are worth (n x d): their transformed values, of several objectives the sum; k x n.

        In each draw an object answers, and keeps the bounds, or not, and one that does not is worse than any that does.
        What costs e times the usual loses a standard deviation, to the power that the config gives.
        """
        total = torch.zeros(k, len(X), dtype=torch.float64)
        for i, model in enumerate(self.models):
            held = model if self.X_pending is None else model.condition_on_pending(self.X_pending)
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(derive_seed(seed, i))
                total += held.posterior(X).rsample(torch.Size([k])).squeeze(-1).cpu()
        total += total.std(correction=0) * self.prospects.log_cost_factor(X)
        spread = float(total.max() - total.min()) + 1.0
        return total - spread * (~torch.from_numpy(self.successes(X, k, derive_seed(seed, "success")))).double()

    def successes(self, X: Tensor, k: int, seed: int) -> NDArray[np.bool_]:
        """Whether rows (n x d) answer and keep their bounds, in k draws, each by itself: k x n."""
        probability = self.prospects.log_success(X).exp().cpu().numpy()
        drawn: NDArray[np.bool_] = np.random.default_rng(seed).random((k, len(X))) < probability
        return drawn

    def joint_samples(self, X: Tensor, seed: int) -> Array:
        """True values that a batch may have, in the oracle's units: n x d -> samples x n x objectives."""
        columns = []
        for i, (model, transform, sign) in enumerate(zip(self.models, self.transforms, self.signs, strict=True)):
            posterior = model.posterior(X)
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(seed + i)
                drawn = posterior.rsample(torch.Size([_JOINT_SAMPLES])).squeeze(-1)
            columns.append(sign * transform.inverse(drawn.cpu().numpy()))
        return np.stack(columns, axis=-1)


def _noise(observed: Sequence[Asked], objective: int, transform: FittedTransform, oriented: Array) -> Tensor | None:
    """The noise variances that were stated (n x 1, their median where one was not), None where none was."""
    stated = np.array([a.noise[objective] ** 2 if a.noise else math.nan for a in observed], dtype=np.float64)
    if np.isnan(stated).all():
        return None
    stated = np.where(np.isnan(stated), np.nanmedian(stated), stated)
    return torch.from_numpy(transform.variance(oriented, stated))[:, None]


class ModelFitter:
    """Turns what was measured into a belief.

    Args:
        surrogate: fits the models.
        acquisition: says what is worth measuring.
        features: objects -> rows.
        constraints: on cheap properties.
        wanted: what the oracle's values are wanted for.
        transform: of the optimised values.
        reference: random objects, which set the scale of the reward.
        beta: of the reward.
        clip: of the reward.
        feasibility: exponent of the probability of an answer.
        cost: exponent of one over the expected cost.
        has_preferences: of several objectives: whether samplers are paid for each of them.
        n_fidelities: those that the campaign chooses among; 0: there is one only.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        acquisition: Acquisition,
        features: Features,
        constraints: Constraints,
        wanted: Wanted,
        transform: Transform,
        reference: Sequence[str],
        beta: float,
        clip: float,
        feasibility: float = 0.0,
        cost: float = 0.0,
        *,
        has_preferences: bool = True,
        n_fidelities: int = 0,
    ) -> None:
        self._n_fidelities = n_fidelities
        self._surrogate, self._acquisition, self._features = surrogate, acquisition, features
        self._constraints, self._wanted, self._transform = constraints, wanted, transform
        self._reference, self._beta, self._clip = reference, beta, clip
        self._feasibility, self._cost, self._has_preferences = feasibility, cost, has_preferences
        self._device = "cpu"

    def on(self, device: str) -> ModelFitter:
        """The same, with surrogates fitted on a device; their models come back to the CPU, where samplers ask them."""
        other = copy.copy(self)
        other._device = device
        return other

    def _fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None) -> Model:
        """Fit one target; the surrogate may return any BoTorch model."""
        if self._device == "cpu":
            return self._surrogate.fit(X, Y, Yvar)
        X, Y, Yvar = X.to(self._device), Y.to(self._device), None if Yvar is None else Yvar.to(self._device)
        file = io.BytesIO()
        torch.save(self._surrogate.fit(X, Y, Yvar), file)
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=False)

    @cached_property
    def _reference_rows(self) -> Tensor:
        return self._features(self._reference)

    def _rows(self, asked: Sequence[Asked]) -> Tensor:
        """Features for the surrogate."""
        X = self._features([a.object for a in asked])
        return at_fidelities(X, [a.fidelity for a in asked]) if self._n_fidelities else X

    def believe(self, asked: Sequence[Asked], pending: Sequence[Asked], factors: Sequence[float]) -> FittedModels:
        """The belief from what was asked for so far; at least one object must have values.

        pending: what was proposed and has no answer yet (without values). factors: what the standard deviation of each
        objective's model is multiplied with (recalibration).
        """
        wanted = self._wanted
        observed = [a for a in asked if a.values is not None]
        X = self._rows(observed)
        values = np.array([a.values for a in observed], dtype=np.float64)
        models, transforms, targets = [], [], []
        described: dict[str, float] = {}
        for i, (objective, sign, factor) in enumerate(zip(wanted.objectives, wanted.signs, factors, strict=True)):
            oriented = sign * values[:, objective]
            transform = self._transform.fit(oriented)
            target = torch.from_numpy(transform.forward(oriented))
            Yvar = _noise(observed, objective, transform, oriented)
            fitted = self._fit(X, target[:, None], Yvar)
            model = as_surrogate_model(fitted)
            suffix = f"_{i}" if len(wanted.objectives) > 1 else ""
            described |= {f"{name}{suffix}": value for name, value in self._surrogate.describe(fitted).items()}
            models.append(model if factor == 1.0 else model.rescaled(factor))
            transforms.append(transform)
            targets.append(target)
        Y = torch.stack(targets, dim=1)
        X_pending = self._rows(pending) if pending else None
        prospects = self._prospects(asked, observed, X, values)
        build = self._builder(models, X, Y, values, transforms, prospects)
        acquisition = build(X_pending)
        reward = AcquisitionReward(
            self._paid(models, acquisition, X_pending),
            self._features,
            self._constraints,
            self._reference,
            self._beta,
            self._clip,
            models,
            prospects,
        )
        is_paid = len(reward.scales) == 1
        scale = reward.scales[0] if is_paid else Scale.of(score(acquisition, self._reference_rows))
        return FittedModels(
            models=tuple(models),
            transforms=tuple(transforms),
            signs=wanted.signs,
            X=X[:, :-1] if self._n_fidelities else X,
            X_pending=X_pending,
            pending=[a.object for a in pending],
            reward=reward,
            acquisition=acquisition,
            build=build,
            prospects=prospects,
            scale=scale,
            facts={
                "surrogate": described,
                "reward": {"center": scale.center, "spread": scale.spread},
                "factors": list(factors),
            },
        )

    def _prospects(self, asked: Sequence[Asked], observed: Sequence[Asked], X: Tensor, values: Array) -> SideTerms:
        bounds = []
        for objective, low, high in self._wanted.bounds:
            transform = Standardise().fit(values[:, objective])
            target = torch.from_numpy(transform.forward(values[:, objective]))[:, None]
            Yvar = _noise(observed, objective, transform, values[:, objective])
            model = as_surrogate_model(self._fit(X, target, Yvar))
            ends = [None if end is None else float(transform.forward(np.array(end))) for end in (low, high)]
            bounds.append(OutcomeBound(model, *ends))
        answering = expected_cost = None
        if self._feasibility:
            from al_loop.modelling.feasibility import Feasibility

            # what was given up after connections were lost says nothing of the object
            told = [a for a in asked if a.failure != "retryable"]
            is_answered = torch.tensor([a.values is not None for a in told])
            answering = Feasibility(self._features.kernel).fit(self._features([a.object for a in told]), is_answered)
        if self._cost:
            priced = [a for a in asked if a.cost is not None and a.cost > 0]
            if priced:
                from al_loop.modelling.feasibility import Expense

                # what a fidelity usually costs is no matter of the object
                by_fidelity: dict[int, list[float]] = {}
                for a in priced:
                    by_fidelity.setdefault(a.fidelity, []).append(float(a.cost or 0.0))
                usual = {fidelity: float(np.median(costs)) for fidelity, costs in by_fidelity.items()}
                costs = torch.tensor([float(a.cost or 0.0) / usual[a.fidelity] for a in priced], dtype=torch.float64)
                expected_cost = Expense(self._features.kernel).fit(self._features([a.object for a in priced]), costs)
        return SideTerms(
            tuple(bounds),
            None if answering is None else answering.log_probability,
            self._feasibility,
            None if expected_cost is None else expected_cost.relative,
            self._cost,
        )

    def _builder(
        self,
        models: Sequence[SurrogateModel],
        X: Tensor,
        Y: Tensor,
        values: Array,
        transforms: Sequence[FittedTransform],
        prospects: SideTerms,
    ) -> Callable[[Tensor | None], AcquisitionFunction]:
        """The acquisition, given what is pending; what broke a bound, or likely will, is nothing to compare with."""
        wanted = self._wanted
        is_good = torch.tensor([wanted.keeps_bounds(row) for row in values])
        good = is_good if bool(is_good.any()) else torch.ones_like(is_good)
        likely = prospects.log_constraint_probability(self._reference_rows) > math.log(0.5)
        among = self._reference_rows[likely]
        if self._n_fidelities:
            return self._builder_of_fidelities(models[0], X, Y, good, transforms[0], among)
        if len(models) == 1:
            best_f = float(Y[good].max())
            single = self._acquisition.in_unit_of(transforms[0], best_f)
            return lambda X_pending: single.build(models[0], AcquisitionContext(X[good], best_f, X_pending, among))
        acquisition = self._acquisition
        front = ModelList(*models)
        reference = wanted.reference_point
        point = None
        if reference is not None:
            raw = zip(reference, wanted.signs, transforms, strict=True)
            point = torch.tensor([float(t.forward(np.array([sign * value]))[0]) for value, sign, t in raw])
        return lambda X_pending: acquisition.build(
            front, AcquisitionContext(X[good], X_pending=X_pending, Y=Y[good], reference_point=point)
        )

    def _builder_of_fidelities(
        self, model: SurrogateModel, X: Tensor, Y: Tensor, good: Tensor, transform: FittedTransform, among: Tensor
    ) -> Callable[[Tensor | None], AcquisitionFunction]:
        """The acquisition at the target, given what is pending at any fidelity (p x (d + 1))."""
        rows, is_target = X[:, :-1], (X[:, -1] == self._n_fidelities - 1) & good
        known = Y[is_target] if bool(is_target.any()) else model.mean_and_variance(rows)[0]
        best_f = float(known.max())
        acquisition = self._acquisition.in_unit_of(transform, best_f)

        def build(X_pending: Tensor | None) -> AcquisitionFunction:
            held = model if X_pending is None or not len(X_pending) else model.condition_on_pending(X_pending)
            return acquisition.build(held, AcquisitionContext(rows[good], best_f, None, among))

        return build

    def _paid(
        self, models: Sequence[SurrogateModel], acquisition: AcquisitionFunction, X_pending: Tensor | None
    ) -> list[AcquisitionFunction]:
        """What the samplers are paid for: the acquisition, or an optimistic value of each objective."""
        if len(models) == 1 or not self._has_preferences:
            return [acquisition]
        context = AcquisitionContext(self._reference_rows, X_pending=X_pending)
        return [UCB(_OPTIMISM).build(model, context) for model in models]
