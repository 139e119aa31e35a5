"""Energies: models of the log-probability of objects up to a constant, one module for each, named by its kind."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from al_loop.config.arguments import arguments_model
from al_loop.config.messages import messages
from al_loop.config.plugins import Part, find, load_target
from al_loop.errors import ConfigError

if TYPE_CHECKING:
    from al_loop.energy.energies.base import Energy
    from al_loop.environments.base import Environment
    from al_loop.features.base import Features

#: arguments of a constructor that are not keys of the config
_SUPPLIED = ("environment", "features")


def find_energy(part: Part) -> Any:
    """Return the class that a config names by ``kind`` or, for a user's own, by ``target``.

    Raises:
        ConfigError: there is no such energy, or it cannot be imported.
    """
    if part.target:
        return load_target(part.target)
    try:
        return find("energy", part.kind or "")
    except ConfigError as error:
        raise ConfigError(f"energy.kind: {error}") from None


def check_energy(part: Part) -> dict[str, Any]:
    """Return the arguments of an energy, checked and converted by its constructor's signature.

    Raises:
        ConfigError: there is no such energy, or an argument is unknown or has the wrong type.
    """
    model = arguments_model(find_energy(part), without=_SUPPLIED)
    try:
        checked = model.model_validate(part.arguments)
    except ValidationError as error:
        raise ConfigError("\n".join(messages(error.errors(), part.arguments, model, ("energy",)))) from None
    return {name: getattr(checked, name) for name in part.arguments}


def build_energy(part: Part, environment: Environment, features: Features | None) -> Energy:
    """Build an energy, with fresh weights from torch's global generator.

    Args:
        part: the energy as the config names it.
        environment: the space of objects.
        features: describes the objects; None: the energy has its own way.

    Raises:
        ConfigError: there is no such energy, or it refuses its arguments.
    """
    factory = find_energy(part)
    arguments = check_energy(part)
    parameters = inspect.signature(factory).parameters
    if "features" in parameters:
        arguments["features"] = features
    elif features is not None:
        raise ConfigError(f"features: the energy {part.name!r} does not use any; remove them")
    try:
        energy: Energy = factory(environment=environment, **arguments)
    except ValueError as error:  # how a constructor refuses an argument
        raise ConfigError(str(error)) from error
    return energy
