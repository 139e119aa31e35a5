"""The common parts of the Ray actors of all roles, and the restart of those that die.

An actor whose node or process has died is replaced by its owner. Ray's own ``max_restarts`` would replace it without
end and without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

import ray
from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

from al_loop.config import CampaignConfig, Role, add_to_path
from al_loop.errors import AlLoopError, CampaignError, ReplicaLost

MAX_DEATHS = 3  # in a row; after one more, something else must be wrong
T = TypeVar("T")
#: the errors where an actor or a replica of the learner has died, or where a value was lost with the node that held it
DEATHS = (RayActorError, ObjectLostError, ReplicaLost)


class RoleActor:
    """Base class of the actors of all roles. Ray puts the campaign's name and the role before each line they print.

    Args:
        config: The campaign's configuration.
        path: The driver's import path.
    """

    role: ClassVar[str]
    _label = ""  # Ray also prints it for an actor whose constructor has failed

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        self._config = config
        self._label = f"{config.name} {self.role}"
        add_to_path(path)  # the actor can import what the driver can; a folder that its machine lacks does no harm

    def __repr__(self) -> str:
        return self._label

    def ready(self) -> None:
        """Return when the actor has been created."""


def set_threads(config: CampaignConfig) -> None:
    """Set the number of threads that torch uses in this process."""
    import torch

    torch.set_num_threads(config.resources.threads)


def device_of(config: CampaignConfig, role: Role) -> str:
    """Return the device of a role: its GPU if it has one, else the CPU.

    Ray does not hide GPUs from an actor that has asked for none.

    Args:
        config: The campaign's configuration.
        role: The resources of the role.
    """
    import torch

    if not role.num_gpus:
        return "cpu"
    if config.sampler.device != "cpu":
        return config.sampler.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def unwrap_ray_error(error: RayTaskError) -> Exception:
    """Return the error that was raised in an actor, if it is one of al-loop's; else Ray's, with the traceback."""
    cause: Any = error
    while isinstance(cause, RayTaskError):
        cause = cause.cause
    return cause if isinstance(cause, AlLoopError) else error


def has_failed_to_start(error: Exception) -> bool:
    """Return whether an actor's constructor raised an error, which it would do again."""
    return isinstance(error, RayActorError) and bool(error.actor_init_failed)


def last_line(error: Exception) -> str:
    """Return the last line of Ray's message, which has the reason of an actor's death."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def report_death(role: str, error: Exception, n_deaths_before: int, on_note: Callable[[str], None]) -> None:
    """Report that a role is started again.

    Args:
        role: The role's name.
        error: Ray's error.
        n_deaths_before: How often the role has died in a row before.
        on_note: Called with a message for the user.

    Raises:
        CampaignError: The role has died too often, or could not even be started.
    """
    if n_deaths_before == MAX_DEATHS or has_failed_to_start(error):
        raise CampaignError(
            f"the {role} died {n_deaths_before + 1} times: {last_line(error)}; see the Ray logs of "
            f"{role.capitalize()}Actor (out of memory? resources.{role})"
        )
    on_note(f"the {role} died; it is restarted from the beginning of the round, and no measurement is lost")


def kill_actor(actor: Any) -> None:
    """Kill an actor; None is ignored."""
    if actor is not None:
        with suppress(Exception):  # Ray may have been shut down already
            ray.kill(actor)


def with_restarts(role: str, task: Callable[[], T], kill: Callable[[], None], on_note: Callable[[str], None]) -> T:
    """Return the result of a task, repeating it with a new actor each time that the role's actor dies.

    Args:
        role: The role's name.
        task: The task; starts an actor if there is none.
        kill: Kills and forgets the actor.
        on_note: Called with a message for the user.

    Raises:
        CampaignError: The role has died too often, or could not even be started.
    """
    for n_deaths in range(MAX_DEATHS + 1):
        try:
            return task()
        except DEATHS as error:
            kill()
            report_death(role, error, n_deaths, on_note)
    raise AssertionError("the last attempt returns or raises")
