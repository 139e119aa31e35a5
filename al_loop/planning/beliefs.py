"""Imagined oracles of a campaign: functions drawn from what is believed before it starts, or a measured table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_loop.campaign.candidates import CandidateSource
from al_loop.campaign.earlier_data import EarlierMeasurements, read_earlier_data, summary_of
from al_loop.campaign.preparation import CampaignParts
from al_loop.config.initial_data import EarlierData, earlier_data_items
from al_loop.errors import ConfigError, counted
from al_loop.ledger import Import, Observation
from al_loop.modelling.targets import read_target
from al_loop.modelling.transforms import TRANSFORMS, FittedTransform, Standardise
from al_loop.planning.scales import PossibleScales
from al_loop.planning.settings import PlanSettings
from al_loop.planning.truths import Anchors, DrawnFunction, DrawnObjective, DrawnTruth, MeasuredTruth, Truth
from al_loop.seeding import derive_seed
from al_loop.surrogates.gp import Belief, ExactGP

Array = NDArray[np.float64]

_N_ANCHORS = 800  # objects at which functions are drawn jointly and first
_ATTEMPTS = 16  # draws of a function, of which one is to keep the limit
_LEAST_DATA = 5  # measurements from which a belief is fitted
_CORRELATION = (math.log(0.8 / 0.2), 1.0)  # prior of the logit of the correlation of neighbouring fidelities


@dataclass(frozen=True, eq=False)
class World:
    """The imagined world of simulated campaigns: objects, oracles and earlier measurements.

    Args:
        pool: objects of the space, drawn once: random ones, or all of a short list.
        earlier: what was measured before the campaign.
        truths: the imagined oracles.
        sample: what random objects would measure, one list for each oracle: values of all of its objectives.
        assumptions: what is assumed, a sentence each.
        is_conditioned: whether the oracles agree with the earlier measurements.
        is_closed: whether the pool has all objects there are.
    """

    pool: tuple[str, ...]
    earlier: tuple[Import, ...]
    truths: tuple[Truth, ...]
    sample: tuple[tuple[tuple[float, ...] | None, ...], ...]
    assumptions: tuple[str, ...] = ()
    is_conditioned: bool = False
    is_closed: bool = False


def table_world(parts: CampaignParts, settings: PlanSettings, table: str) -> World:
    """Return the world of a measured table: every simulation has the same answers, and begins with other objects.

    Raises:
        ConfigError: the table cannot be read, or has fewer than ten objects.
    """
    data = read_earlier_data(parts, [EarlierData(file=table)])
    values = {i.object: i.answer.outcome.values for i in data.imports}
    names = parts.constraints.acceptable(list(values))
    if len(names) < 10:
        raise ConfigError(f"{table}: a simulation needs at least 10 measured objects, this table has {len(names)}")
    if len(names) > settings.pool:
        rng = np.random.default_rng(derive_seed(parts.config.seed, "plan", "pool"))
        names = [names[i] for i in sorted(rng.permutation(len(names))[: settings.pool].tolist())]
    truth = MeasuredTruth(values)
    sample = tuple(truth.measure(names, len(parts.fidelities) - 1))
    note = f"The oracle is {table}: {counted(len(names), 'measured object')} of it are the whole space."
    return World(
        tuple(names), (), (truth,) * settings.simulations, (sample,) * settings.simulations, (note,), is_closed=True
    )


def drawn_world(parts: CampaignParts, settings: PlanSettings, data: Sequence[str] = ()) -> World:
    """Return the world of functions drawn from the belief.

    Args:
        parts: the parts of the campaign.
        settings: of the plan.
        data: earlier measurements, in addition to the config's.

    Raises:
        ConfigError: the data cannot be read.
    """
    items = (*earlier_data_items(parts.config.initial_data), *(EarlierData(file=file) for file in data))
    earlier = read_earlier_data(parts, items).imports if items else ()
    return believed_world(parts, settings, draw_pool(parts, settings.pool), earlier)


def believed_world(
    parts: CampaignParts, settings: PlanSettings, pool: Sequence[str], earlier: tuple[Import, ...]
) -> World:
    """Return the world of functions drawn from the belief.

    Args:
        parts: the parts of the campaign.
        settings: of the plan.
        pool: objects of the space.
        earlier: what was measured before.
    """
    target = parts.fidelities.target
    at_target = [i for i in earlier if i.fidelity == target]
    known = {i.object: i.answer.outcome.values for i in at_target}
    observed = [
        Observation(i.object, i.answer.outcome.values, None, 0, noise=i.answer.outcome.noise)
        for i in at_target
        if i.answer.outcome.values is not None and not any(i.answer.outcome.censored or ())
    ]
    measured = [o.object for o in observed]
    anchors = [*measured, *(name for name in pool if name not in known)][: _N_ANCHORS + len(measured)]
    X = parts.features(anchors)
    beliefs = _Beliefs(parts, settings, observed, X)
    n_failed, n_known = sum(v is None for v in known.values()), len(known)
    rng = np.random.default_rng(derive_seed(parts.config.seed, "plan", "rates"))
    truths: list[Truth] = []
    samples = []
    for number in range(settings.simulations):
        seed = derive_seed(parts.config.seed, "plan", number)
        rate = float(rng.beta(n_failed + 0.5, n_known - n_failed + 0.5)) if n_failed else 0.0
        truth = DrawnTruth(
            beliefs.draw(number, seed), parts.features, anchors, known, rate, beliefs.correlations(earlier, rng), seed
        )
        truths.append(truth)
        samples.append(tuple(truth.measure(anchors[len(measured) :], len(parts.fidelities) - 1)))
    notes = [*beliefs.assumptions(summary_of(EarlierMeasurements(earlier, ())) if earlier else "")]
    if n_failed:
        notes.append(f"About {n_failed / n_known:.0%} of the objects fail, as in the data.")
    return World(tuple(pool), earlier, tuple(truths), tuple(samples), tuple(notes), beliefs.is_fitted)


def draw_pool(parts: CampaignParts, n: int) -> list[str]:
    """Return up to n new acceptable objects of the space."""
    listed = parts.environment.objects
    n = n if listed is None else min(n, len(listed))
    return CandidateSource(parts, None).random(n, frozenset())


@dataclass(frozen=True, eq=False)
class _Imagined:
    """The belief about one output of the oracle, in one simulation.

    Args:
        belief: of the values on the scale on which they are normal.
        transform: to this scale, from oriented values.
        sign: 1 if the value is maximised, -1 if it is minimised.
        y: the values that were measured, on this scale.
    """

    belief: Belief
    transform: FittedTransform
    sign: float
    y: Tensor


class _Beliefs:
    """The beliefs of every value of the oracle, from data or from the prior."""

    def __init__(self, parts: CampaignParts, settings: PlanSettings, observed: list[Observation], X: Tensor) -> None:
        self._parts, self._settings, self._X = parts, settings, X
        self.is_fitted = len(observed) >= _LEAST_DATA
        self._n_known = len(observed) if self.is_fitted else 0
        surrogate = parts.surrogate
        self._surrogate = surrogate if isinstance(surrogate, ExactGP) else ExactGP(parts.features.kernel)
        objectives = parts.objectives
        signs = dict(zip(objectives.indices, objectives.signs, strict=True))
        self._entries: list[list[_Imagined]] = []
        for i in range(len(parts.oracle_objectives)):
            seed = derive_seed(parts.config.seed, "plan", "hyperparameters", i)
            self._entries.append(self._imagined(observed, i, signs.get(i, 1.0), seed))
        self._anchors: dict[tuple[int, int], tuple[Belief, Anchors]] = {}

    def _imagined(self, observed: list[Observation], index: int, sign: float, seed: int) -> list[_Imagined]:
        """Return what is believed of one of the oracle's values, for each simulation."""
        settings, n = self._settings, self._settings.simulations
        n *= _ATTEMPTS if math.isfinite(self._limit(index)) else 1
        transform = TRANSFORMS[self._parts.config.transform]
        target = read_target(observed, index, sign, transform) if self.is_fitted else None
        if target is None or len(target.rows) < len(observed):
            scale = Standardise().fit(np.array([-1.0, 1.0]) * settings.spread + sign * settings.mean)
            beliefs = self._surrogate.draw_prior(self._X, n, seed)
            return [_Imagined(self._standardised(b), scale, sign, self._X.new_empty(0)) for b in beliefs]
        known, y = self._X[: self._n_known], target.Y[:, 0]
        if not settings.draws_hyperparameters:
            return [_Imagined(self._surrogate.likely_hyperparameters(known, y), target.transform, sign, y)] * n
        values = target.transform.inverse(y.numpy())
        is_free = self._parts.config.transform != "rank" and len(np.unique(values)) > 2
        scales = PossibleScales.of_values(values) if is_free else PossibleScales.only(target.transform, y)
        draws = self._surrogate.draw_scales(known, scales.Y, scales.log_densities, n, seed)
        return [_Imagined(belief, scales.transforms[k], sign, scales.Y[:, k]) for k, belief in draws]

    def _standardised(self, belief: Belief) -> Belief:
        """Return a belief whose random objects have the spread 1, and the mean 0 on average."""
        anchors = self._X[self._n_known :][:256]
        T = belief.kernel(anchors, anchors)
        n = len(T)
        shared = float((T.sum() - T.diagonal().sum()) / max(n * (n - 1), 1))
        return Belief(belief.kernel, 0.0, 1.0 / max(1.0 - shared + belief.noise_ratio, 1e-3), belief.noise_ratio)

    def draw(self, number: int, seed: int) -> list[DrawnObjective]:
        """Return the oracle's values of a simulation.

        Where there is a limit, they are the first of some draws that keeps it at all anchors.
        """
        drawn = []
        for i in range(len(self._entries)):
            attempts = range(number, len(self._entries[i]), self._settings.simulations)
            for attempt, entry in enumerate(attempts):
                objective = self._draw_one(i, entry, derive_seed(seed, "objective", i, *([attempt] if attempt else [])))
                if objective.keeps_limit():
                    break
            drawn.append(objective)
        return drawn

    def _draw_one(self, i: int, entry: int, seed: int) -> DrawnObjective:
        """Draw one of the oracle's values, from an entry of what is believed of it."""
        imagined = self._entries[i][entry]
        belief, y = imagined.belief, imagined.y
        key = (i, id(belief.kernel))
        if key not in self._anchors:  # which keeps the kernel alive, and its id its own
            self._anchors[key] = belief, Anchors.of(belief, self._X)
        anchors = self._anchors[key][1]
        known = values_given_noisy(belief, anchors.L[: len(y), : len(y)], y, derive_seed(seed, "known"))
        function = DrawnFunction(belief, anchors, known, seed)
        if not len(y):
            function.center()
        limit = self._limit(i)
        return DrawnObjective(function, belief, imagined.transform, imagined.sign, limit)

    def _limit(self, i: int) -> float:
        """Return the best oriented value that one of the oracle's values can have."""
        limit, objectives = self._settings.limit, self._parts.objectives
        if limit is None or i not in objectives.indices:
            return math.inf
        return limit * objectives.signs[objectives.indices.index(i)]

    def correlations(self, earlier: Sequence[Import], rng: np.random.Generator) -> list[float]:
        """Return the correlation of each cheaper fidelity with the target, cheapest first."""
        names = self._parts.fidelities.names
        return [
            _correlation(earlier, name, names[-1], len(names) - 1 - k, self._parts, rng)
            for k, name in enumerate(names[:-1])
        ]

    def assumptions(self, summary: str) -> list[str]:
        """Return what is assumed, a sentence each."""
        kernel = self._surrogate.kernel
        if self.is_fitted:
            return [
                f"The oracle is a function drawn from a Gaussian process (kernel {kernel}) given {summary}, with "
                "hyperparameters and skewness drawn from their posterior."
            ]
        few = f" ({summary} are too few to fit one)" if summary else ""
        s = self._settings
        unit = " and ".join(dict.fromkeys(o.unit or o.name for o in self._parts.oracle_objectives))
        return [
            f"There are no measurements to learn from{few}. The oracle is a function drawn from a Gaussian process "
            f"(kernel {kernel}), whose values for random objects have mean {s.mean:g} and standard deviation "
            f"{s.spread:g} ({unit}). This is an assumption: set it by --mean and --spread, or better pass --data.",
        ]


def values_given_noisy(belief: Belief, L: Tensor, y: Tensor, seed: int) -> Tensor:
    """Draw a function's values at n objects from the posterior given noisy measurements of them, y (Matheron)."""
    if not len(y):
        return y
    generator = torch.Generator().manual_seed(seed)
    scale, ratio = math.sqrt(belief.signal_variance), belief.noise_ratio
    prior = belief.mean + scale * (L @ torch.randn(len(y), generator=generator, dtype=torch.float64))
    noise = scale * math.sqrt(ratio) * torch.randn(len(y), generator=generator, dtype=torch.float64)
    T = L @ L.T
    residual = torch.linalg.solve(T + ratio * torch.eye(len(y), dtype=T.dtype), y - prior - noise)
    values: Tensor = prior + T @ residual
    return values


def _correlation(
    earlier: Sequence[Import], name: str, target: str, steps: int, parts: CampaignParts, rng: np.random.Generator
) -> float:
    """Draw the correlation of a fidelity with the target: by objects measured at both, or else from its prior."""
    index = parts.objectives.indices[0]
    values: dict[str, dict[str, float]] = {}
    for i in earlier:
        if i.answer.outcome.values is not None:
            values.setdefault(i.object, {})[i.fidelity] = i.answer.outcome.values[index]
    pairs = np.array([(v[name], v[target]) for v in values.values() if name in v and target in v])
    if len(pairs) > _LEAST_DATA and pairs.std(axis=0).min() > 0:
        z = np.arctanh(np.clip(np.corrcoef(pairs.T)[0, 1], -0.999, 0.999))
        return float(np.tanh(rng.normal(z, 1 / math.sqrt(len(pairs) - 3))))
    logit = rng.normal(*_CORRELATION)
    return float((1 / (1 + math.exp(-logit))) ** steps)
