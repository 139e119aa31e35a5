"""A rehearsal of a round on made-up answers: every part runs once, before anything is paid for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from al_loop.acquisitions.base import MultiFidelityAcquisition
from al_loop.campaign.preparation import CampaignParts
from al_loop.campaign.reaching import walk_to_constraints
from al_loop.config import CampaignConfig
from al_loop.config.check import parts_of
from al_loop.errors import AlLoopError, ConfigError
from al_loop.features.base import Features, describable, refusals
from al_loop.gflownet import random_objects as random
from al_loop.ledger import Observation
from al_loop.modelling.constraint_reward import ConstraintReward
from al_loop.modelling.fidelity_selection import BatchLimits, select_with_fidelities
from al_loop.modelling.fitted import FittedModels
from al_loop.seeding import derive_seed
from al_loop.selectors.base import SelectionContext
from al_loop.system.tracebacks import describe_with_place

if TYPE_CHECKING:
    from al_loop.campaign.executor import SamplerTraining

_N_OBJECTS = 16
_N_PICKS = 4
_MAX_DRAWS = 50  # batches of 128 random objects, the limit for a first batch of 16


class Rehearsal:
    """Runs every part but the oracle once. Each method raises a ConfigError that begins with the key of the culprit.

    Args:
        parts: the parts of the campaign.
        objects: some acceptable objects.
    """

    def __init__(self, parts: CampaignParts, objects: Sequence[str]) -> None:
        self._parts = parts
        self._objects = tuple(dict.fromkeys(objects))[:_N_OBJECTS]
        #: what to say of the objects that have no features; empty if all have some
        self.note = ""

    def features(self) -> Tensor:
        """Compute the features of the objects that have some, n x d; the others take no part, as in a campaign."""
        features = self._parts.features
        with self._blaming("features", "computing the features of random objects"):
            described = describable(features, self._objects)
            features(described or list(self._objects))  # raises if none has features
        if lacking := refusals(features):
            name, reason = next(iter(lacking.items()))
            share = f"{len(lacking)} of {len(self._objects)} random objects"
            self.note = f"; none for {share}, such as {name:.80}: {reason}"
        self._objects = tuple(described)
        with self._blaming("features", "adapting the features to made-up answers"):
            if isinstance(features, Features):
                features.refit(described, [float(i) for i in range(len(described))], seed=0)
            X = features(described)
        self._require_finite(X, "features", "feature rows")
        return X

    def fit(self) -> FittedModels:
        """Fit the surrogate to made-up answers, and build the acquisition and the reward."""
        with self._blaming("surrogate", f"fitting {len(self._objects)} made-up answers"):
            factors = [1.0] * len(self._parts.objectives)
            models = self._parts.fitter.on(self._device).fit(self._observations(), [], factors)
        with self._blaming("acquisition", "scoring random objects"):
            scores = models.scores(self._parts.features(list(self._objects)))
            rewards = models.reward(list(self._objects))
        self._require_finite(scores, "acquisition", "scores")
        self._require_finite(rewards, "acquisition", "rewards")
        return models

    def train(self, training: SamplerTraining, models: FittedModels) -> None:
        """Train the sampler for as many steps as it is made for, and draw from it."""
        with self._blaming("sampler", "a training step on the made-up reward"):
            for _ in training.train(1, models.reward, list(self._objects)):
                pass
            training.draw(_N_PICKS, seed=derive_seed(self._parts.config.seed, "check"))

    def select(self, models: FittedModels) -> None:
        """Select a batch among the objects."""
        parts, n = self._parts, min(_N_PICKS, len(self._objects))
        with self._blaming("selector", "selecting among random objects"):
            X = parts.features(list(self._objects))
            if parts.fidelities.are_several:
                assert isinstance(parts.acquisition, MultiFidelityAcquisition)
                is_open = torch.ones(len(X), len(parts.fidelities), dtype=torch.bool)
                select_with_fidelities(models, parts.acquisition, X, is_open, parts.fidelities.costs, BatchLimits(n))
                return
            picks = list(parts.selector.select(self._selection(models, X)))
        if len(picks) != n or len(set(picks)) != n or not set(picks) <= set(range(len(X))):
            raise ConfigError(
                f"selector: {self._name('selector')} returned {picks!r:.80}, expected {n} distinct numbers from 0 to "
                f"{len(X) - 1}"
            )

    @property
    def _device(self) -> str:
        return self._parts.config.sampler.device

    def _name(self, section: str) -> str:
        part = getattr(self._parts.config, section)
        return "the default" if part is None else repr(part.name)

    def _observations(self) -> list[Observation]:
        """Return made-up answers at every fidelity, and a failure."""
        parts, generator = self._parts, np.random.default_rng(derive_seed(self._parts.config.seed, "check"))
        n_values, fidelities = len(parts.oracle_objectives), parts.fidelities.names
        measured = [
            Observation(
                object=name,
                values=tuple(generator.uniform(1.0, 2.0, n_values).tolist()),
                failure=None,
                round=0,
                fidelity=fidelities[i % len(fidelities)],
                cost=1.0,
                seconds=1.0,
            )
            for i, name in enumerate(self._objects)
        ]
        failed = Observation(object=self._objects[-1], values=None, failure="invalid", round=0, fidelity=fidelities[-1])
        return [*measured, failed]

    def _selection(self, models: FittedModels, X: Tensor) -> SelectionContext:
        return SelectionContext(
            n=_N_PICKS,
            scores=models.scores(X),
            X=X,
            similarity=self._parts.features.similarity,
            objects=self._objects,
            rescore=lambda picked, rows: models.rescore(X[list(picked)], X[list(rows)]),
            predict=models.mean_and_variance,
            draw=models.draw,
            seed=derive_seed(self._parts.config.seed, "check"),
        )

    def _require_finite(self, values: Tensor, section: str, kind: str) -> None:
        n_bad = int((~torch.isfinite(values.reshape(len(self._objects), -1))).any(1).sum())
        if n_bad:
            raise ConfigError(
                f"{section}: {self._name(section)} gives {kind} that are NaN or infinite, for {n_bad} of "
                f"{len(self._objects)} random objects"
            )

    def _blaming(self, key: str, action: str) -> AbstractContextManager[None]:
        return _blaming(self._parts.config, key, action)


def objects_to_rehearse(parts: CampaignParts) -> tuple[list[str], str]:
    """Return objects that meet the constraints, and how hard they were to find.

    They are random; where none of these meets the constraints, they are found by moves towards them.

    Raises:
        ConfigError: no object is found, or a part fails.
    """
    generator = torch.Generator().manual_seed(derive_seed(parts.config.seed, "check"))
    _ = parts.seeds  # their errors name their own key, also where a constraint is the first to read them
    drawn: list[str] = []
    for _ in range(_MAX_DRAWS):
        with _blaming(parts.config, "environment", "drawing random objects"):
            objects = random.random_objects(parts.environment, 128, generator)
        drawn += objects
        with _blaming(parts.config, "constraints", "computing the properties of random objects"):
            accepted = parts.constraints.acceptable(objects)
        if accepted:
            return accepted, f"met by {len(accepted)} of {len(drawn)} random objects"
    walk = walk_to_constraints(parts, ConstraintReward(parts.constraints))
    moved = 0
    for objects in () if walk is None else walk.draws(_MAX_DRAWS, 128):
        moved += len(objects)
        if accepted := parts.constraints.acceptable(objects):
            trained = "a run trains its sampler towards them before the first batch"
            return (
                accepted,
                f"met by none of {len(drawn)} random objects, but after {moved} moves towards them; {trained}",
            )
    raise ConfigError(f"constraints: {parts.constraints.explain(drawn)}, or start from seeds that meet them")


@contextmanager
def _blaming(config: CampaignConfig, key: str, action: str) -> Iterator[None]:
    """Raise an error as a ConfigError with the key of the part whose code raised it, or else the given key."""
    try:
        yield
    except (Exception, SystemExit) as error:
        reason = str(error) if isinstance(error, AlLoopError) else f"{describe_with_place(error)}, in {action}"
        culprit = _culprit(config, error.__traceback__) or key
        raise ConfigError(reason if reason.startswith(f"{culprit}") else f"{culprit}: {reason}") from error


def _culprit(config: CampaignConfig, trace: TracebackType | None) -> str:
    """Return the key of the innermost part in a traceback."""
    factories = [(part.factory(section), ".".join(map(str, path))) for section, part, path in parts_of(config)]
    key = ""
    while trace is not None:
        owner: Any = trace.tb_frame.f_locals.get("self")
        key = next((k for f, k in factories if isinstance(f, type) and isinstance(owner, f)), key)
        trace = trace.tb_next
    return key
