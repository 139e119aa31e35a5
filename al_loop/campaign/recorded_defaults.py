"""Settings that a config leaves out and each version fills in: a resumed run keeps those that it began with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from al_loop.campaign.course import recorded_config
from al_loop.config import CampaignConfig
from al_loop.config.plugins import Part
from al_loop.ledger import Ledger
from al_loop.storage.locate import is_run


def as_begun(config: CampaignConfig, url: URL, run_dir: Path) -> CampaignConfig:
    """Return a config in which the keys that it does not name have the values with which its run began.

    Args:
        config: the config; a new run takes it as it is.
        url: the ledger of the run.
        run_dir: the directory of the run.
    """
    if not config.assumed or not is_run(run_dir):
        return config
    with Ledger(url, read_only=True) as ledger:
        recorded = recorded_config(ledger)
    return config if recorded is None else with_recorded(config, recorded)


def with_recorded(config: CampaignConfig, recorded: Mapping[str, Any]) -> CampaignConfig:
    """Return a config whose ``assumed`` keys have the values of another config.

    Args:
        config: the config.
        recorded: the content of the other config.
    """
    update: dict[str, Any] = {}
    for path in config.assumed:
        name, _, key = path.partition(".")
        former = recorded.get(name)
        if not key:
            default = CampaignConfig.model_fields[name].get_default()
            update[name] = default if former is None else Part.model_validate(former)
            continue
        section = update.get(name) or getattr(config, name)
        content = {k: v for k, v in section.model_dump(mode="json", exclude_unset=True).items() if k != key}
        if (value := (former or {}).get(key)) is not None:
            content[key] = value
        update[name] = type(section).model_validate(content)
    return config.model_copy(update=update).with_assumed()
