"""The config that a run recorded, for commands that name the run and not its config file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from al_loop.config import CampaignConfig, add_to_path, parse_config
from al_loop.config.locations import Locations
from al_loop.config.overrides import apply_overrides
from al_loop.errors import ConfigError
from al_loop.system.private_files import require_trusted


def config_of_run(content: Mapping[str, Any], folder: Path, overrides: Sequence[str] = ()) -> CampaignConfig:
    """Return the config that a run recorded, for this process.

    Its relative paths refer to the folder in which the run was started, those of overrides to the working directory.

    Args:
        content: the config in the run's ledger.
        folder: the run directory.
        overrides: changes, each ``key=value``.

    Raises:
        ConfigError: the run directory is on another machine, or the config is not valid (any more).
    """
    try:
        pointer = json.loads((folder / "campaign.json").read_text(encoding="utf-8"))
        folders = [str(name) for name in pointer.get("folders", ())]
        url = make_url(pointer["ledger"])
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"{folder}: cannot read campaign.json ({error}); use al-loop run with the config") from None
    recorded = dict(content)
    if not (url.get_backend_name() == "sqlite" and (folder / "ledger.db").is_file()):
        recorded["ledger"] = url.render_as_string(hide_password=False)
    changed, origins = apply_overrides(recorded, overrides)
    require_trusted(folder)
    add_to_path(folders)
    started_in = Path(folders[-1]) if folders else None
    locations = Locations(f"the config recorded in {folder}", {}, origins)
    return parse_config(changed, locations, started_in, is_recorded=True).with_folders(*folders)
