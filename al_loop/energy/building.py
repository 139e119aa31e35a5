"""The parts of an energy, built from a config or from a saved file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from al_loop.config import BuildContext, build
from al_loop.config.build import supplied_arguments
from al_loop.config.energy_schema import EnergyConfig, parts_of_energy
from al_loop.config.plugins import Part
from al_loop.config.task_files import parse_task
from al_loop.energy.energies.base import Energy
from al_loop.energy.likelihood import PolicyLikelihood
from al_loop.energy.settings import EnergySettings
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.features.base import Features
from al_loop.gflownet.device import find_device
from al_loop.gflownet.objectives.base import Objective
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.settings import TrainingSettings
from al_loop.seeding import derive_seed

#: keys of a config's ``sampler`` that are not settings of the training under the same name and type
_NOT_TRAINING_SETTINGS = ("objective", "policy")


@dataclass(frozen=True)
class EnergyParts:
    """An energy's config with the environment that it is of.

    Args:
        config: the config; its environment is not used.
        environment: the space of objects.
        is_named: whether the config names the environment, so that it can be built again.
    """

    config: EnergyConfig
    environment: Environment
    is_named: bool

    @property
    def settings(self) -> EnergySettings:
        """The settings of the joint training."""
        return EnergySettings(**{name: getattr(self.config, name) for name in EnergySettings.__dataclass_fields__})

    def training(self, device: str | None = None) -> TrainingSettings:
        """Return the settings of the sampler.

        Args:
            device: a torch device in place of the config's.
        """
        sampler = self.config.sampler
        settings: dict[str, Any] = {name: value for name, value in sampler if name not in _NOT_TRAINING_SETTINGS}
        return TrainingSettings(
            **{**settings, "device": device or sampler.device},
            steps=self.config.steps,
            batch_size=self.config.batch_size,
            replay_size=0,
            objective=build("objective", sampler.objective),
        )

    def features(self) -> Features | None:
        """Build the features of the energy: its own, or those that suit the objects; None: one-hot letters.

        Raises:
            ConfigError: the objects have no default features, or the features describe others.
        """
        environment, part = self.environment, self.config.features
        if part is None:
            if environment.object_type != "molecule":
                return None
            part = Part(kind=self.config.energy.declared("energy", "default_features", Energy.default_features))
        context = BuildContext(alphabet=environment.alphabet, length=environment.length)
        features: Features = build("features", part, context)
        if features.object_type not in (None, environment.object_type):
            raise ConfigError(
                f"features: {part.name!r} describes {features.object_type}s, and the objects of the environment are "
                f"{environment.object_type}s"
            )
        return features

    def energy(self) -> Energy:
        """Build the energy, and the policy of its base if it has one, with weights that depend on the config's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.config.seed, "energy"))
            part = self.config.energy
            context = BuildContext(environment=self.environment, features=self.features())
            supplied = supplied_arguments("energy", part.factory("energy"), context)
            if context.features is not None and "features" not in supplied:
                raise ConfigError(f"features: the energy {part.name!r} does not use any; remove them")
            energy: Energy = build("energy", part, context)
        if self.config.base_steps:
            energy.base = PolicyLikelihood(self.environment, self.policy())
            energy.begin_at_zero()
        return energy

    def policy(self) -> Policy:
        """Build the policy, with weights that depend on the config's seed."""
        sampler, environment = self.config.sampler, self.environment
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.config.seed, "weights"))
            if sampler.policy is None:
                return make_policy(environment, sampler.hidden, sampler.layers)
            context = BuildContext(
                environment=environment, hidden=sampler.hidden, layers=sampler.layers, heads=1, n_conditions=0
            )
            policy: Policy = build("policy", sampler.policy, context)
            return policy

    def check(self) -> None:
        """Check that the parts fit together, before anything expensive.

        Raises:
            ConfigError: they do not, or the device is not available.
        """
        if self.environment.objects is not None:
            raise ConfigError(
                f"environment: {self.environment.name} lists all its objects, and an energy requires a space to draw "
                "from, such as fragments, selfies, sequence or assignment"
            )
        if self.environment.condition_size:
            raise ConfigError("environment: an energy is of objects without conditions")
        if self.config.base_steps and self.environment.n_backward_actions != 1:
            raise ConfigError(
                f"base_steps: {self.environment.name} has objects with several histories, whose likelihood "
                "under a policy is only an estimate; set it to 0, or use a space that is written in one order, such as "
                "assignment with order: left_to_right"
            )
        _ = self.settings
        self._check_objective()
        try:
            find_device(self.config.sampler.device)
            self.policy()
            self.energy()
        except ValueError as error:
            raise ConfigError(f"sampler.{error}") from None

    def _check_objective(self) -> None:
        """Check that the objective learns from draws and from walks back from the data.

        Raises:
            ConfigError: it does not.
        """
        part = self.config.sampler.objective
        objective: Objective = build("objective", part)
        reason = ""
        if objective.is_on_policy:
            reason = "learns from its own draws alone, and an energy's sampler also from the data"
        elif objective.uses_reference:
            reason = "requires a prior, and an energy has none"
        elif objective.uses_stops and not self.environment.has_stop:
            reason = f"requires objects that may end at each step, and those of {self.environment.name} do not"
        if reason:
            raise ConfigError(f"sampler.objective: {part.name!r} {reason}; use another one, such as trajectory_balance")
        try:
            self.training().check_objective(objective)
        except ValueError as error:
            raise ConfigError(f"sampler.{error}") from None


def parts_from(config: EnergyConfig, environment: Environment | None = None) -> EnergyParts:
    """Return the parts of a config.

    Args:
        config: the config.
        environment: the space, if the config's is only a stand-in for an object of Python.

    Raises:
        ConfigError: the environment's or the energy's arguments are refused.
    """
    if environment is not None:
        return EnergyParts(config, environment, is_named=False)
    built: Environment = build("environment", config.environment)
    return EnergyParts(config, built, is_named=True)


def parse_energy(content: dict[str, Any]) -> EnergyConfig:
    """Validate a config that is already a mapping.

    Raises:
        ConfigError: the config is invalid; one line per error.
    """
    return parse_task(content, EnergyConfig, parts_of_energy)
