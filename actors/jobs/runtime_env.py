"""The environment of a job on a Ray cluster: what is installed, handed on and uploaded for it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import al_loop
from al_loop.actors.jobs.package import JobPackage, link_module
from al_loop.actors.jobs.refusals import find_urls, has_password, has_token
from al_loop.errors import ConfigError

_VARIABLE = re.compile(r"[A-Za-z_]\w*")
#: requirements that name a file on this machine, which the cluster does not have
_LOCAL_REQUIREMENT = re.compile(
    r"-[rcef]|--(requirement|constraint|editable|find-links)\b|\.+$|\.{0,2}/|file:|[^@]+@ *file:", re.IGNORECASE
)
_STOP_WAIT_S = 60  # for a clean stop, before Ray kills the driver; Ray's default is 3 s
_SETUP_TIMEOUT_S = 3600  # Ray's 10 minutes are too short for an installation of torch


@dataclass(frozen=True)
class JobEnvironment:
    """The requested environment of a job on the cluster; by default, nothing is installed.

    Attributes:
        requirements: A pip requirements file, installed on top of what the nodes have.
        image: A container image that has al-loop, in which the driver and all actors run.
        variables: The names of environment variables of this machine that are handed on.

    Raises:
        ConfigError: They cannot be combined, or cannot be read.
    """

    requirements: Path | None = None
    image: str | None = None
    variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.image is not None and self.requirements is not None:
            raise ConfigError(
                "--requirements: Ray installs nothing into a container; remove --image, or install them in the image"
            )
        self.packages()
        self.environment()

    def packages(self) -> list[str]:
        """Return the lines of the requirements file.

        Raises:
            ConfigError: The file cannot be read, the cluster could not install it, or it would disclose a secret.
        """
        if self.requirements is None:
            return []
        try:
            lines = self.requirements.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not a text file in UTF-8"
            raise ConfigError(f"--requirements: cannot read {self.requirements}: {reason}") from None
        packages = []
        for number, line in enumerate(lines, 1):
            text = re.sub(r"(^|\s)#.*", "", line).strip()
            if _LOCAL_REQUIREMENT.match(text) or text.endswith("\\"):
                raise ConfigError(
                    f"--requirements: {text!r} ({self.requirements}, line {number}) refers to this machine or to "
                    "another line, so the cluster could not install it; write one package with its version per line"
                )
            if any(has_password(url) or has_token(url) for url in find_urls(text)):
                raise ConfigError(
                    f"--requirements: a URL with a password or token ({self.requirements}, line {number}) would be "
                    "visible to everybody who sees the cluster; write ${NAME} in its place, and add --env NAME"
                )
            packages += [text] if text else []
        if not packages:
            raise ConfigError(f"--requirements: {self.requirements} lists no package")
        return packages

    def environment(self) -> dict[str, str]:
        """Return the environment variables that are handed on, with their values on this machine.

        Raises:
            ConfigError: A variable is not set here, or cannot be handed on.
        """
        values = {}
        for name in self.variables:
            if not _VARIABLE.fullmatch(name):
                shown = name.partition("=")[0]
                raise ConfigError(f"--env: give the name of a variable only, its value is taken from here: {shown}")
            if name not in os.environ:
                raise ConfigError(f"--env: {name} is not set here; set it first: export {name}=...")
            if self.image is not None and set("'\n") & set(os.environ[name]):
                raise ConfigError(
                    f"--env: the value of {name} has a quote or a line break, which Ray cannot hand on to a container; "
                    "set it in the image or in the environment of the cluster's nodes"
                )
            values[name] = os.environ[name]
        return values


def runtime_env(package: JobPackage | None, environment: JobEnvironment, staging: Path) -> dict[str, Any]:
    """Return Ray's description of a job's environment.

    al-loop itself is uploaded, so that the cluster runs exactly the code that submitted the job.

    Args:
        package: The files that travel; None with an image, since Ray allows nothing else beside a container.
        environment: The user's wishes.
        staging: An empty folder, which has to exist until the job is submitted.
    """
    variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S), **environment.environment()}
    if package is None:
        return {"image_uri": environment.image, "env_vars": variables}
    assert al_loop.__file__ is not None, "the package al_loop has no folder"
    own_package = link_module(Path(al_loop.__file__).parent, staging)
    description: dict[str, Any] = {
        "working_dir": str(package.write_folder(staging)),
        "py_modules": [str(folder) for folder in (own_package, *package.link_modules(staging))],
        "env_vars": variables,
    }
    if packages := environment.packages():
        description["pip"] = packages
        description["config"] = {"setup_timeout_seconds": _SETUP_TIMEOUT_S}
    return description
