"""Training of a campaign's sampler towards constraints that random objects hardly ever meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch

from al_loop.campaign.executor import SamplerTraining
from al_loop.campaign.preparation import CampaignParts
from al_loop.errors import counted
from al_loop.features.base import describable
from al_loop.gflownet.neighbours import Neighbourhood
from al_loop.gflownet.random_objects import random_states
from al_loop.modelling.constraint_reward import ConstraintReward
from al_loop.seeding import derive_seed
from al_loop.system import stopping

#: stages of the training, the last of which has the largest inverse temperature
MAX_STAGES = 8
_BETAS = (1.0, 2.0, 4.0, 8.0)
_PATIENCE = 3  # stages without an acceptable object or one that is nearer, after which none counts as reachable
_ENOUGH = 0.05  # share of acceptable objects in a draw that ends the training
_N_STARTS = 1024  # random objects from which the walk begins where there are no seeds
_N_MOVES, _N_WALKS = 128, 8  # moves at once, and how often in a stage
_N_TAUGHT = 64  # objects of the walk that the sampler learns from in a stage
_DRAW_SIZE, _MAX_DRAWS = 512, 16


@dataclass(frozen=True)
class Reached:
    """The outcome of a training towards constraints.

    Args:
        objects: the new acceptable objects, those of the trained sampler first.
        drawn: the last draw of the sampler, acceptable or not.
        info: numbers for the ledger.
    """

    objects: tuple[str, ...]
    drawn: tuple[str, ...]
    info: dict[str, Any]

    @property
    def summary(self) -> str:
        """The outcome in one sentence, for the user."""
        return (
            f"random objects hardly ever meet the constraints, so the sampler was trained towards them first: after "
            f"{counted(self.info['stages'], 'stage')}, {self.info['share']:.1%} of its draws meet all of them"
        )


def walk_to_constraints(parts: CampaignParts, reward: ConstraintReward) -> Neighbourhood | None:
    """Return a walk towards the constraints, from the seeds or from random objects.

    Args:
        parts: the parts of the campaign.
        reward: of the constraints.

    Returns:
        The walk; None where moves of random actions lead nowhere, as in the space of a language model, or where all
        objects are listed.
    """
    environment = parts.environment
    if environment.random_policy or environment.objects is not None:
        return None
    seed = derive_seed(parts.config.seed, "reach")
    if seeds := parts.seeds.objects:
        starts = environment.encode(list(seeds))
    else:
        starts = random_states(environment, _N_STARTS, torch.Generator().manual_seed(seed))
    return Neighbourhood(environment, starts, reward.shortfall, derive_seed(seed, "walk"))


class Reaching:
    """Trains the sampler to meet the constraints, at inverse temperatures that grow from stage to stage.

    In each stage, a walk from the seeds (or from random objects) tries moves towards acceptable objects, the sampler
    learns from the best of them and from its own draws, and draws. It ends when enough acceptable objects are known and
    the sampler draws such objects often.

    Args:
        parts: the parts of the campaign.
        training: the sampler.
    """

    def __init__(self, parts: CampaignParts, training: SamplerTraining) -> None:
        self._parts, self._training = parts, training
        config = parts.config
        is_conditioned = config.has_several_objectives and config.reward.preferences
        n_objectives = len(config.optimise or "") if is_conditioned else 1
        self._reward = ConstraintReward(parts.constraints, n_objectives=n_objectives)
        self._found: dict[str, None] = {}
        self._drawn: list[str] = []
        self._least = float("inf")

    def run(self, n: int, closed: Set[str], on_step: Callable[[str], object]) -> Reached:
        """Train until n new acceptable objects are known, or none counts as reachable.

        Args:
            n: number of objects.
            closed: objects that are left out.
            on_step: called after each training step, with a detail to show.
        """
        walk = walk_to_constraints(self._parts, self._reward)
        share, stage, n_idle = 0.0, 0, 0
        for stage in range(1, MAX_STAGES + 1):
            before = self._least
            near = self._explore(walk, stage, closed)
            reward = self._reward.at(_BETAS[min(stage, len(_BETAS)) - 1])
            for step in self._training.train(-stage, reward, [], near):
                stopping.look()
                on_step(f"stage {stage}, loss {step.loss:.2f}")
            share = self._draw(stage, 0, closed)
            n_idle = 0 if self._found or self._least < before else n_idle + 1
            if n_idle == _PATIENCE or (len(self._found) >= n and share >= _ENOUGH):
                break
        for i in range(1, _MAX_DRAWS):
            if len(self._found) >= n or not self._found:
                break
            self._draw(stage, i, closed)
        info = {"stages": stage, "share": share, "found": len(self._found)}
        return Reached(tuple(reversed(self._found)), tuple(self._drawn), info)

    def _explore(self, walk: Neighbourhood | None, stage: int, closed: Set[str]) -> list[str]:
        """Walk on, and return the best objects so far, from which the sampler learns."""
        if walk is None:
            return []
        for names in walk.draws(_N_WALKS, _N_MOVES):
            self._keep(names, closed)
        self._least = min(self._least, walk.least_violation)
        return walk.best(_N_TAUGHT)

    def _draw(self, stage: int, number: int, closed: Set[str]) -> float:
        """Draw from the sampler, and return the share of different acceptable objects in the draw."""
        seed = derive_seed(self._parts.config.seed, "reach", stage, number)
        self._drawn = list(dict.fromkeys(self._training.draw(_DRAW_SIZE, seed=seed)))
        if not self._drawn:
            return 0.0
        shortfall = self._reward.shortfall(self._drawn)
        self._least = min(self._least, float(shortfall.min()))
        self._keep(self._training.best_seen(), closed)
        self._keep(self._drawn, closed)
        return int((shortfall == 0).sum()) / _DRAW_SIZE

    def _keep(self, names: Sequence[str], closed: Set[str]) -> None:
        """Add the new acceptable objects; the latest are preferred in the end."""
        accepted = self._reward.acceptable([name for name in names if name not in closed])
        for name in describable(self._parts.features, accepted):
            self._found.pop(name, None)
            self._found[name] = None
