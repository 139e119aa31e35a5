"""The function ``al_loop.campaign``: a campaign from a config, and a Python function as its oracle."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from al_loop.client.client import CampaignClient
from al_loop.config import CampaignConfig, Part, add_to_path, load_config
from al_loop.config.given import GivenPart
from al_loop.config.load import parse_config
from al_loop.config.locations import Locations
from al_loop.config.overrides import apply_overrides
from al_loop.errors import ConfigError
from al_loop.oracles.base import Goal, Objective, Oracle

#: names of objectives, each with its direction; or names alone, which are maximised
Objectives = str | Objective | Sequence[str | Objective] | Mapping[str, str]
#: the acquisition of a campaign with several objectives whose config names none
_FOR_SEVERAL = "qlognehvi"
_AMERICAN = {"maximize": "maximise", "minimize": "minimise", "max": "maximise", "min": "minimise"}


def campaign(
    config: CampaignConfig | Mapping[str, Any] | str | Path,
    oracle: Callable[..., Any] | Oracle | type | None = None,
    *,
    objectives: Objectives | None = None,
    run_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
    address: str = "local",
    quiet: bool = False,
    accept_change: str | None = None,
) -> CampaignClient:
    """Open a campaign from Python: start it, or resume it where it stopped, also after a killed kernel.

    The run directory and the ledger are those of the command line, so ``al-loop status`` and ``open_run`` work on it.

    >>> campaign = al_loop.campaign({"environment": {...}}, oracle=measure)  # doctest: +SKIP
    >>> campaign.run()  # doctest: +SKIP
    >>> campaign.best()  # doctest: +SKIP

    Args:
        config: a config, as an object, a mapping of its sections, or the path of a YAML file.
        oracle: a function of one object that returns a number (or several), an oracle, or its class; it may be defined
            in a notebook. It replaces the config's section ``oracle``. Without it and without that section, people
            answer, see ``CampaignClient.ask`` and ``tell``.
        objectives: what is measured: a name, names, or ``{name: "minimise", ...}``; all of them are optimised unless
            the config says otherwise. None: what the oracle declares.
        run_dir: directory of the run; None: ``runs/<name>``.
        overrides: items of the form ``a.b=value``, as on the command line.
        address: ``local``: this machine, without Ray; ``auto``: start or join Ray; ``HOST:6379``: that cluster.
        quiet: whether to print nothing while it runs.
        accept_change: the reason why values may be used together although the code of the oracle has changed.

    Raises:
        ConfigError: the config is invalid, or does not fit the oracle.
    """
    measured = _objectives(objectives)

    def complete(content: dict[str, Any]) -> dict[str, Any]:
        return _completed(content, oracle, measured, run_dir)

    if isinstance(config, CampaignConfig):
        folders = config.folders
        content = config.model_dump(mode="json", exclude_unset=True)
        for section, _, key in (path.partition(".") for path in config.assumed):
            holder, name = (content[section], key) if key else (content, section)
            holder.pop(name, None)
        if isinstance(config.oracle, GivenPart):
            content["oracle"] = config.oracle
        settings = _parsed(content, overrides, complete, folders)
    elif isinstance(config, Mapping):
        settings = _parsed(config, overrides, complete, (str(Path.cwd()),))
    else:
        settings = load_config(config, overrides, complete)
    folder = Path("runs") / settings.name if run_dir is None else Path(run_dir).expanduser()
    return CampaignClient(settings, folder, address=address, quiet=quiet, accept_change=accept_change)


def _parsed(
    content: Mapping[str, Any],
    overrides: Sequence[str],
    complete: Callable[[dict[str, Any]], dict[str, Any]],
    folders: Sequence[str],
) -> CampaignConfig:
    """Return the config of a mapping, with overrides and what it leaves out."""
    changed, origins = apply_overrides(dict(content), overrides)
    add_to_path(folders)
    return parse_config(complete(changed), Locations(overrides=origins)).with_folders(*folders)


def _completed(
    content: dict[str, Any], oracle: Any, objectives: Sequence[Objective], run_dir: str | Path | None
) -> dict[str, Any]:
    """Return the content of a config with the given oracle and objectives, and a name."""
    content = dict(content)
    arguments: dict[str, Any] = {"objectives": [asdict(o) for o in objectives]} if objectives else {}
    if oracle is not None:
        content["oracle"] = GivenPart.of(oracle, **arguments)
    elif "oracle" not in content:
        content["oracle"] = Part(kind="human", **arguments)
    elif objectives:
        raise ConfigError(
            "objectives: the config's section oracle says what is measured; leave out one of the two, or pass the "
            "oracle as a function"
        )
    names = [o.name for o in objectives]
    if len(names) > 1 and content.get("optimise") is None:
        content["optimise"] = names
    if isinstance(content.get("optimise"), list | tuple) and len(content["optimise"]) > 1:
        content.setdefault("acquisition", {"kind": _FOR_SEVERAL})
    if content.get("name") is None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(run_dir).name if run_dir is not None else "campaign").strip("-._")
        content["name"] = name or "campaign"
    return content


def _objectives(given: Objectives | None) -> list[Objective]:
    """Return the objectives of an argument.

    Raises:
        ConfigError: a direction is unknown, or there is no objective.
    """
    if given is None:
        return []
    if isinstance(given, str | Objective):
        given = [given]
    if isinstance(given, Mapping):
        return [Objective(str(name), goal=_goal(name, goal)) for name, goal in given.items()]
    objectives = [o if isinstance(o, Objective) else Objective(str(o)) for o in given]
    if not objectives:
        raise ConfigError("objectives: none is given; name at least one, or leave the argument out")
    return objectives


def _goal(name: str, text: str) -> Goal:
    goal = _AMERICAN.get(str(text), str(text))
    if goal not in get_args(Goal):
        raise ConfigError(f"objectives: the direction of {name!r} is {text!r}; expected maximise or minimise")
    return goal  # type: ignore[return-value]
