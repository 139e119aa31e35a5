"""What the Ray actors of all roles have in common, and what is said where one dies.

Actors whose node or process died are made again by whoever had them made, and not by Ray (``max_restarts``), which
would do so without end and without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

import ray
from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

from al_loop.config import CampaignConfig, Role
from al_loop.errors import AlLoopError, CampaignError

MOST_DEATHS = 3  # in a row, before something else must be wrong
T = TypeVar("T")
LOST = (RayActorError, ObjectLostError)  # what is said where an actor died, or what it had returned died with its node


class RoleActor:
    """What the actors of all roles have in common. Ray puts the campaign and the role before each line they print."""

    role: ClassVar[str]
    _label = ""  # Ray prints it also of one that could not be made

    def __init__(self, config: CampaignConfig, path: list[str]) -> None:
        self._config = config
        self._label = f"{config.name} {self.role}"
        # what the driver can import, the actor can, too (a folder that is not on its machine does no harm)
        sys.path += [folder for folder in path if folder not in sys.path]

    def __repr__(self) -> str:
        return self._label

    def ready(self) -> None:
        """Returns when it is there."""


def set_threads(config: CampaignConfig) -> None:
    """Torch's, in this process."""
    import torch

    torch.set_num_threads(config.resources.threads)


def device_of(config: CampaignConfig, role: Role) -> str:
    """Where a role computes: on the CPU, or on its GPU if it has one. Ray hides no GPU from a role that has none."""
    import torch

    if not role.num_gpus:
        return "cpu"
    if config.sampler.device != "cpu":
        return config.sampler.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def told_by(error: RayTaskError) -> Exception:
    """What was raised in an actor: al-loop's own errors as they are, others with Ray's traceback of them."""
    cause: Any = error
    while isinstance(cause, RayTaskError):
        cause = cause.cause
    return cause if isinstance(cause, AlLoopError) else error


def is_faulty(error: Exception) -> bool:
    """Whether an actor could not be made since its code raised, which it would again."""
    return "creation task" in str(error)


def reason_of(error: Exception) -> str:
    """The last line of what Ray says of an actor's death."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def after_death(role: str, error: Exception, attempt: int, on_note: Callable[[str], None]) -> None:
    """Tells that a role is tried again, or raises CampaignError where that was done often enough."""
    if attempt == MOST_DEATHS or is_faulty(error):
        raise CampaignError(
            f"the {role} died {attempt + 1} times: {reason_of(error)}; see the Ray logs of {role.capitalize()}Actor "
            f"(out of memory? resources.{role})"
        )
    on_note(f"the {role} died; it starts again from where the round began, and nothing measured is lost")


def end(actor: Any) -> None:
    """Ends an actor, if there is one."""
    if actor is not None:
        with suppress(Exception):  # Ray may be gone already
            ray.kill(actor)


def again(role: str, task: Callable[[], T], forget: Callable[[], None], on_note: Callable[[str], None]) -> T:
    """The task's result; once more, with another actor, where the role's died. forget: ends the one there is."""
    for attempt in range(MOST_DEATHS + 1):
        try:
            return task()
        except LOST as error:
            forget()
            after_death(role, error, attempt, on_note)
    raise AssertionError("the last attempt returns or raises")
