"""Energies in a campaign: their weighted sum as a term of the reward, draws of the first batch, and refits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from al_loop.config.energy_terms import EnergyTerm
from al_loop.energy.building import EnergyParts
from al_loop.energy.data import encode_data
from al_loop.energy.model import EnergyModel, load
from al_loop.energy.report import estimated_report
from al_loop.energy.trainer import EnergyTrainer
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.seeding import derive_seed
from al_loop.system import stopping

_N_REFERENCE = 256  # objects of an energy's data that set what an object without a score gets
_MARGIN = 10.0  # nats below the worst of them
_OVERDRAW = 4  # draws for each object of a first batch, from which the sum of the energies chooses
_REFIT_RATE = 0.3  # share of the learning rates in a refit


@dataclass(frozen=True)
class _Term:
    """An energy with its weight.

    Args:
        model: the energy.
        settings: the config's entry.
        worst: the score of an object that has none.
    """

    model: EnergyModel
    settings: EnergyTerm
    worst: float


class EnergySum:
    """The weighted sum of the scores of energies, such as a series that is wanted and decoys that are not.

    Args:
        models: the energies.
        settings: the config's entry of each.
    """

    def __init__(self, models: Sequence[EnergyModel], settings: Sequence[EnergyTerm]) -> None:
        self._terms = [_Term(m, s, _worst(m, s.weight)) for m, s in zip(models, settings, strict=True)]

    @classmethod
    def load(cls, settings: Sequence[EnergyTerm], environment: Environment) -> EnergySum:
        """Return the energies of a config.

        Args:
            settings: the config's entries.
            environment: the campaign's environment, of which each has to be.

        Raises:
            ConfigError: a file cannot be read, is no energy, or is one of another environment.
        """
        models = []
        for term in settings:
            try:
                models.append(load(term.file, environment))
            except ConfigError as error:
                raise ConfigError(f"reward.energy: {error}") from None
        return cls(models, settings)

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Return the sum for each object, shape n, in double precision."""
        total = torch.zeros(len(objects), dtype=torch.float64)
        for term in self._terms:
            scores = term.model.score(objects)
            total += term.settings.weight * torch.where(scores.isnan(), term.worst, scores)
        return total

    @property
    def has_wanted(self) -> bool:
        """Whether an energy has a weight above 0, so that objects can be drawn."""
        return any(term.settings.weight > 0 for term in self._terms)

    @property
    def is_refitted(self) -> bool:
        """Whether any of the energies is refitted in each round."""
        return any(term.settings.refit_steps for term in self._terms)

    def draw(self, n: int, seed: int) -> list[str]:
        """Return n objects drawn by the sampler of the first wanted energy, chosen by the other energies.

        Args:
            n: number of objects.
            seed: source of all randomness.
        """
        first = next(term for term in self._terms if term.settings.weight > 0)
        if len(self._terms) == 1 and first.settings.weight == 1:
            return first.model.draw(n, seed=seed)
        objects = first.model.draw(_OVERDRAW * n, seed=seed)
        log_weight = self(objects) - first.model.score(objects)
        uniform = torch.rand(len(objects), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        order = (log_weight - (-uniform.log()).log()).argsort(descending=True)  # without replacement, by its weight
        return [objects[i] for i in order[:n].tolist()]

    def refitted(self, ranked: Sequence[str], seed: int) -> EnergySum:
        """Return the energies after a refit on their data and the good measured objects.

        Since it starts from the files, the result depends on the objects alone.

        Args:
            ranked: the measured objects, the best first.
            seed: source of all randomness.
        """
        models = []
        for i, term in enumerate(self._terms):
            good = list(ranked[: math.ceil(term.settings.good * len(ranked))])
            steps = term.settings.refit_steps
            models.append(refit(term.model, good, steps, derive_seed(seed, i)) if steps and good else term.model)
        return EnergySum(models, [term.settings for term in self._terms])


def _worst(model: EnergyModel, weight: float) -> float:
    """Return the score that counts for an object without one: no better than any other."""
    states = model.data[:: max(len(model.data) // _N_REFERENCE, 1)]
    with torch.no_grad():
        scores = model.energy(states)
    return float(scores.min()) - _MARGIN if weight > 0 else float(scores.max())


def refit(model: EnergyModel, objects: Sequence[str], steps: int, seed: int) -> EnergyModel:
    """Return a model that was trained further on its data and on other objects, half of the time each.

    Args:
        model: the model, which stays as it is.
        objects: the other objects; those outside the space are skipped.
        steps: number of steps.
        seed: source of all randomness.
    """
    environment, config = model.environment, model.parts.config
    try:
        good = encode_data(environment, list(objects), most_refused=1.0).states
    except ConfigError:  # none is in the space
        return model
    sampler = config.sampler.model_copy(
        update={"lr": _REFIT_RATE * config.sampler.lr, "lr_log_z": _REFIT_RATE * config.sampler.lr_log_z}
    )
    changed = config.model_copy(update={"steps": steps, "lr": _REFIT_RATE * config.lr, "sampler": sampler})
    parts: EnergyParts = replace(model.parts, config=changed)
    weights = torch.cat([torch.full((len(model.data),), 1 / len(model.data)), torch.full((len(good),), 1 / len(good))])
    energy, policy = parts.energy(), parts.policy()
    energy.load_state_dict(model.energy.state_dict())
    policy.load_state_dict(model.policy.state_dict())
    data = torch.cat([model.data, good])
    trainer = EnergyTrainer(environment, energy, (data, weights), parts.settings, parts.training("cpu"), seed, policy)
    while trainer.n_steps < steps:
        stopping.look()
        trainer.step()
    generator = torch.Generator().manual_seed(seed)
    report = estimated_report(
        environment,
        trainer.energy,
        trainer.learner.sampling_policy,
        good,
        float(trainer.learner.log_z),
        steps,
        backward=config.sampler.backward,
        generator=generator,
    )
    return EnergyModel(model.parts, trainer.energy, trainer.learner.sampling_policy, report, model.data, model.history)
