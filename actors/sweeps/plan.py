"""The combinations of settings that a sweep runs, each a valid campaign of its own."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from al_loop.config import CampaignConfig, load_config
from al_loop.config.locations import read_yaml
from al_loop.config.scalars import Plain
from al_loop.errors import ConfigError

_LONGEST_NAME = 120
_MAX_LISTED_NAMES = 4


@dataclass(frozen=True)
class Combination:
    """One campaign of a sweep.

    Attributes:
        name: The name of its run directory.
        settings: The values of the settings that are swept over.
        config: The campaign's configuration.
    """

    name: str
    settings: Mapping[str, Any]
    config: CampaignConfig


def plan(config_file: Path, overrides: Sequence[str], samples: int = 1) -> list[Combination]:
    """Return every combination of the settings, each of them valid.

    Args:
        config_file: The config of a campaign.
        overrides: The changes to it, each ``key=value``; a list is swept over (for a setting that is itself a list, a
            list of lists).
        samples: The number of seeds, from the config's own up, that each setting is run with.

    Raises:
        ConfigError: Nothing is swept over, or combinations are wrong; one line for each problem, with their names.
    """
    fixed, axes = _split(overrides)
    if samples > 1:
        if "seed" in axes:
            raise ConfigError("--samples: 'seed' is swept over already; remove one of the two")
        first = _combine(config_file, fixed, axes)[0].config.seed
        axes["seed"] = list(range(first, first + samples))
    if not axes:
        raise ConfigError("nothing is swept over: give at least one list, such as seed=[0,1,2], or --samples 3")
    combinations = _combine(config_file, fixed, axes)
    _refuse_conflicts(combinations)
    return combinations


def name_of(settings: Mapping[str, Any]) -> str:
    """Return the settings as the name of a folder.

    Characters that a name cannot have are replaced, and a hash keeps such names apart.
    """
    text = ",".join(f"{key}={text_of(value)}" for key, value in settings.items())
    name = re.sub(r"[^A-Za-z0-9._=+,-]+", "-", text)
    if name == text and len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def list_names(names: Sequence[str]) -> str:
    """Return the first few names of combinations, and the number of the others."""
    names = [name or "config" for name in names]
    more = f" and {len(names) - _MAX_LISTED_NAMES} more" if len(names) > _MAX_LISTED_NAMES else ""
    return "; ".join(names[:_MAX_LISTED_NAMES]) + more


def text_of(value: Any) -> str:
    """Return a value as it may stand after ``key=``, without the quotes of a word."""
    return value if isinstance(value, str) else _yaml(value)


def _yaml(value: Any) -> str:
    if isinstance(value, Plain):  # load_config decides what it means
        return str(value)
    text: str = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _split(overrides: Sequence[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """Divide the overrides into those of all campaigns, and the values of each setting that is swept over."""
    fixed: list[str] = []
    axes: dict[str, list[Any]] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        try:
            values = read_yaml(text)[0] if equals else None
        except ValueError:
            values = None  # load_config reports what is wrong
        if not isinstance(values, list):
            fixed.append(override)
            continue
        if not values:
            raise ConfigError(
                f"{override!r}: there is no value in the list; if the setting is an empty list, write {key}=[[]]"
            )
        if key in axes:
            raise ConfigError(f"{override!r}: {key!r} is swept over twice; put its values into one list")
        for i, value in enumerate(values):
            if any(_yaml(value) == _yaml(earlier) for earlier in values[:i]):
                raise ConfigError(f"{override!r}: {text_of(value)} is in the list twice")
        axes[key] = values
    return fixed, axes


def _combine(config_file: Path, fixed: Sequence[str], axes: Mapping[str, Sequence[Any]]) -> list[Combination]:
    combinations: list[Combination] = []
    problems: dict[str, list[str]] = {}
    for values in itertools.product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        name = name_of(settings)
        try:
            config = load_config(config_file, [*fixed, *(f"{key}={_yaml(value)}" for key, value in settings.items())])
        except ConfigError as error:
            problems.setdefault(str(error), []).append(name)
        else:
            combinations.append(Combination(name, settings, config))
    if problems:
        raise ConfigError("\n".join(f"{list_names(names)}: {message}" for message, names in problems.items()))
    return combinations


def _refuse_conflicts(combinations: Sequence[Combination]) -> None:
    """Refuse campaigns that would share a folder or a ledger, wait for people, or have no such GPU."""
    by_name: dict[str, Combination] = {}
    owners: dict[tuple[str, str], str] = {}
    for c in combinations:
        if (other := by_name.setdefault(c.name, c)) is not c:
            raise ConfigError(
                f"{c.name}: two combinations would share this folder, {dict(other.settings)} and {dict(c.settings)}; "
                "remove one, or sweep over it with another --run-dir"
            )
        for key, location in (("ledger", c.config.ledger), ("checkpoints", c.config.checkpoints)):
            if location is not None and (owner := owners.setdefault((key, location), c.name)) != c.name:
                raise ConfigError(
                    f"{c.name}: {key}: it would be shared with {owner}; remove it, then each campaign has its own in "
                    "its run directory"
                )
        if _names_missing_gpu(c.config):
            raise ConfigError(
                f"{c.name}: sampler.device: a sweep chooses the GPUs of each campaign and numbers them from 0, so "
                f"there may be no {c.config.sampler.device}; set it to cuda"
            )
        if c.config.rounds.review:
            raise ConfigError(f"{c.name}: rounds.review: a sweep cannot wait for people; set it to false")
        if c.config.oracle.declared("oracle", "is_external", False):
            raise ConfigError(
                f"{c.name}: oracle: people answer it, and a sweep cannot wait for people; use al-loop run"
            )


def _names_missing_gpu(config: CampaignConfig) -> bool:
    """Return whether the config names a GPU by a number that a campaign of a sweep does not have."""
    kind, _, number = config.sampler.device.partition(":")
    n_gpus = max(1, math.ceil(config.resources.learner.replicas * config.resources.learner.num_gpus))
    return kind == "cuda" and number.isdecimal() and int(number) >= n_gpus
