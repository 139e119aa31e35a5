"""The environment of a job on a Ray cluster: requirements, variables, what travels; and what must not be in it."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from al_loop.actors.jobs.package import OWN_PACKAGES, JobPackage, texts_of
from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError

_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")
_STANDS_FOR = re.compile(r"\$\{\w+\}")
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
#: requirements that name a file here, which the cluster does not have
_OF_HERE = re.compile(
    r"-[rcef]|--(requirement|constraint|editable|find-links)\b|\.+$|\.{0,2}/|file:|[^@]+@ *file:", re.IGNORECASE
)
_STOP_WAIT_S = 60  # for a clean stop, before Ray kills the driver; its own default is 3 s
_SETUP_TIMEOUT_S = 3600  # Ray's own 10 minutes are too short for the installation of torch


@dataclass(frozen=True)
class JobEnvironment:
    """What a user asks of the job's environment on the cluster; by default nothing is installed.

    Attributes:
        requirements: a pip requirements file, installed on top of what the nodes have.
        image: a container image, in which the driver and all actors run; al-loop is in it.
        variables: names of variables of the environment here that are handed on.

    Raises:
        ConfigError: they cannot be combined, or cannot be read.
    """

    requirements: Path | None = None
    image: str | None = None
    variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.image is not None and self.requirements is not None:
            raise ConfigError(
                "--requirements: Ray installs nothing into a container; leave out --image, or install them in the image"
            )
        self.packages()
        self.environment()

    def packages(self) -> list[str]:
        """The lines of the requirements file."""
        if self.requirements is None:
            return []
        try:
            lines = self.requirements.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not a text file in UTF-8"
            raise ConfigError(f"--requirements: cannot read {self.requirements}: {reason}") from None
        kept = []
        for number, line in enumerate(lines, 1):
            text = re.sub(r"(^|\s)#.*", "", line).strip()
            if _OF_HERE.match(text) or text.endswith("\\"):
                raise ConfigError(
                    f"--requirements: {text!r} ({self.requirements}, line {number}) does not stand by itself, so that "
                    "the cluster could not install it; write packages and their versions, a line each"
                )
            if any(_has_password(url) or _has_token(url) for url in _URL.findall(text)):
                raise ConfigError(
                    f"--requirements: a URL with a password or token ({self.requirements}, line {number}) would be "
                    "visible to all who see the cluster; write ${NAME} in its place, and add --env NAME"
                )
            kept += [text] if text else []
        if not kept:
            raise ConfigError(f"--requirements: no package stands in {self.requirements}")
        return kept

    def environment(self) -> dict[str, str]:
        """The variables that are handed on, with their values here."""
        found = {}
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
            found[name] = os.environ[name]
        return found


def runtime_env(luggage: JobPackage | None, wanted: JobEnvironment, staging: Path) -> dict[str, Any]:
    """Ray's description of a job's environment.

    Args:
        luggage: what travels; with an image nothing does.
        wanted: of the user.
        staging: an empty folder, kept until the job is submitted.
    """
    variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S), **wanted.environment()}
    if luggage is None:  # Ray allows nothing else beside a container
        return {"image_uri": wanted.image, "env_vars": variables}
    described: dict[str, Any] = {
        "working_dir": str(luggage.folder),
        "py_modules": [*_own_packages(), *(_as_package(place, staging) for place in luggage.modules)],
        "excludes": list(luggage.excludes),
        "env_vars": variables,
    }
    if packages := wanted.packages():
        described["pip"] = packages
        described["config"] = {"setup_timeout_seconds": _SETUP_TIMEOUT_S}
    return described


def refuse_secrets(config_file: Path, config: CampaignConfig, overrides: Sequence[str]) -> None:
    """Refuses a config, which all who see the cluster can read, with a password in a URL.

    Raises:
        ConfigError: there is one, in the file, in a change on the command line, or in the config.
    """
    text = config_file.read_text(encoding="utf-8")
    found = [
        (where, url)
        for where, line in (
            *((f"{config_file}, line {number}", line) for number, line in enumerate(text.splitlines(), 1)),
            *((f"{override.partition('=')[0]} on the command line", override) for override in overrides),
        )
        for url in _URL.findall(line)
    ]
    # of a whole value, too, since a password may have spaces
    found += [(f"{config_file}, {key}", value) for key, value in texts_of(yaml.safe_load(text))]
    found += [(f"{key} on the command line", value) for key, _, value in (o.partition("=") for o in overrides)]
    found += list(texts_of(config.model_dump(mode="json")))
    for where, url in found:
        if _has_password(url):
            raise ConfigError(
                f"a URL with a password ({where}) would be visible to all who see the cluster; leave the password out, "
                "and set PGPASSWORD in the environment of the cluster's nodes, or here, with --env PGPASSWORD"
            )


def refuse_lost_ledger(config: CampaignConfig) -> None:
    """Refuses a ledger that would be a file in a container, which ends with the job.

    Raises:
        ConfigError: it would be.
    """
    from sqlalchemy.engine import make_url

    if config.ledger is None or make_url(config.ledger).get_backend_name() == "sqlite":
        raise ConfigError(
            "--image: Ray mounts no storage into the container, so that a ledger in a file would be lost with it; set "
            "ledger to a database, e.g. ledger=postgresql://USER@HOST/NAME"
        )


def refuse_lost_files(config: CampaignConfig) -> None:
    """Refuses files of the campaign in the job's folder, which is Ray's copy and goes with the job.

    Raises:
        ConfigError: a file of the ledger, of checkpoints or of the cache is not named by an absolute path.
    """
    from fsspec.core import split_protocol

    for key, value, example in (
        ("ledger", config.ledger, "sqlite:////shared/far.db"),
        ("evaluation.cache", config.evaluation.cache, "/shared/cache.db"),
        ("checkpoints", config.checkpoints, "/shared/checkpoints"),
    ):
        protocol, path = split_protocol(value or "/")
        if (protocol or "").startswith("sqlite"):
            is_kept = path.partition("/")[2].removeprefix("file:").startswith("/")
        else:
            is_kept = protocol not in (None, "file", "local") or path.startswith(("/", "~"))
        if not is_kept:
            raise ConfigError(
                f"{key}: {value!r} is no absolute path, and would be lost with the job's own folder on the cluster; "
                f"give one as the cluster's head sees it, e.g. {example}"
            )


def _own_packages() -> list[str]:
    """The folders of al-loop itself, so that the cluster runs exactly what was submitted."""
    folders = []
    for name in OWN_PACKAGES:
        origin = importlib.import_module(name).__file__
        assert origin is not None, f"the package {name} has no folder"
        folders.append(str(Path(origin).parent))
    return folders


def _as_package(place: Path, staging: Path) -> str:
    """A module as a folder, the only form in which Ray's job API lets one travel: a file becomes a package."""
    if place.is_dir():
        return str(place)
    package = staging / place.stem
    package.mkdir()
    shutil.copyfile(place, package / "__init__.py")
    return str(package)


def _has_password(url: str) -> bool:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        if _is_http(url):  # here an @ may stand in the path, too
            password: Any = urlsplit(url).password
        else:
            parsed = make_url(url)
            password = parsed.password or parsed.query.get("password")
    except (ArgumentError, ValueError):
        return False
    return bool(password) and not _STANDS_FOR.fullmatch(str(password))


def _has_token(url: str) -> bool:
    """Whether what stands where a user's name does is, for want of a password, a token."""
    try:
        name, password = urlsplit(url).username, urlsplit(url).password
    except ValueError:
        return False
    return _is_http(url) and bool(name) and not password and not _STANDS_FOR.fullmatch(str(name))


def _is_http(url: str) -> bool:
    return url.partition("://")[0].lower().endswith(("http", "https"))
