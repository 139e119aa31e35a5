"""Configurations that would disclose a secret as a job, or lose their results with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel

from al_loop.actors.jobs.package import texts_of
from al_loop.config import CampaignConfig, read_content
from al_loop.errors import ConfigError

_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")
_VARIABLE_REFERENCE = re.compile(r"\$\{\w+\}")


def refuse_secrets(config_file: Path, config: BaseModel, overrides: Sequence[str]) -> None:
    """Refuse a config with a password in a URL, since everybody who sees the cluster can read it.

    Args:
        config_file: The config's file, comments included.
        config: The valid configuration.
        overrides: The changes on the command line, each ``key=value``.

    Raises:
        ConfigError: There is a password in the file, in an override or in the configuration.
    """
    text = config_file.read_text(encoding="utf-8")
    urls = [
        (location, url)
        for location, line in (
            *((f"{config_file}, line {number}", line) for number, line in enumerate(text.splitlines(), 1)),
            *((f"{override.partition('=')[0]} on the command line", override) for override in overrides),
        )
        for url in find_urls(line)
    ]
    # whole values, too, since a password may contain spaces
    urls += [(f"{config_file}, {key}", value) for key, value in texts_of(yaml.safe_load(text))]
    urls += [(f"{key} on the command line", value) for key, _, value in (o.partition("=") for o in overrides)]
    urls += list(texts_of(config.model_dump(mode="json")))
    for location, url in urls:
        if has_password(url):
            raise ConfigError(
                f"a URL with a password ({location}) would be visible to everybody who sees the cluster; remove the "
                "password, and set PGPASSWORD in the environment of the cluster's nodes, or here, with --env PGPASSWORD"
            )


def refuse_lost_ledger(config: CampaignConfig) -> None:
    """Refuse a ledger in a file of a container, which is deleted with the job.

    Args:
        config: The campaign's configuration.

    Raises:
        ConfigError: The ledger is not a database on a server.
    """
    from sqlalchemy.engine import make_url

    if config.ledger is None or make_url(config.ledger).get_backend_name() == "sqlite":
        raise ConfigError(
            "--image: Ray mounts no storage into the container, so a ledger in a file would be lost with it; set "
            "ledger to a database, e.g. ledger=postgresql://USER@HOST/NAME"
        )


def refuse_lost_files(config_file: Path, overrides: Sequence[str] = ()) -> None:
    """Refuse files of the campaign in the job's own folder, which is Ray's copy and is deleted with the job.

    Args:
        config_file: The campaign's config; relative paths in it refer to the job's folder.
        overrides: Keys that override it.

    Raises:
        ConfigError: The ledger, the checkpoints or the cache is not given by an absolute path.
    """
    from fsspec.core import split_protocol

    content = read_content(config_file, overrides)
    evaluation = content.get("evaluation")
    for key, value, example in (
        ("ledger", content.get("ledger"), "sqlite:////shared/far.db"),
        ("evaluation.cache", evaluation.get("cache") if isinstance(evaluation, dict) else None, "/shared/cache.db"),
        ("checkpoints", content.get("checkpoints"), "/shared/checkpoints"),
    ):
        protocol, path = split_protocol(str(value or "/"))
        if (protocol or "").startswith("sqlite"):
            is_durable = path.partition("/")[2].removeprefix("file:").startswith("/")
        else:
            is_durable = protocol not in (None, "file", "local") or path.startswith(("/", "~"))
        if not is_durable:
            raise ConfigError(
                f"{key}: {str(value)!r} is no absolute path, so it would be lost with the job's folder on the cluster; "
                f"give a path as the cluster's head sees it, e.g. {example}"
            )


def find_urls(text: str) -> list[str]:
    """Return everything in a text that looks like a URL."""
    return _URL.findall(text)


def has_password(url: str) -> bool:
    """Return whether a URL holds a password; a reference such as ``${NAME}`` is none."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        if _is_http(url):  # an @ may stand in the path of such a URL, too
            password: Any = urlsplit(url).password
        else:
            parsed = make_url(url)
            password = parsed.password or parsed.query.get("password")
    except (ArgumentError, ValueError):
        return False
    return bool(password) and not _VARIABLE_REFERENCE.fullmatch(str(password))


def has_token(url: str) -> bool:
    """Return whether an HTTP URL has a user's name without a password, which is how tokens are given."""
    try:
        name, password = urlsplit(url).username, urlsplit(url).password
    except ValueError:
        return False
    return _is_http(url) and bool(name) and not password and not _VARIABLE_REFERENCE.fullmatch(str(name))


def _is_http(url: str) -> bool:
    return url.partition("://")[0].lower().endswith(("http", "https"))
