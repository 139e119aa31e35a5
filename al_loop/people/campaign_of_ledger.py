"""The config and the objects of a ledger's campaign, for commands outside the campaign's own process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from al_loop.campaign.building import build_environment
from al_loop.config import CampaignConfig, add_to_path
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.smiles import canonical_smiles
from al_loop.system.private_files import require_trusted


def campaign_config(ledger: Ledger) -> CampaignConfig:
    """Return the config of a ledger's campaign, as of its last start.

    Raises:
        ConfigError: the campaign has not begun, or this version of al-loop does not know its config.
    """
    campaign = ledger.campaign()
    if campaign is None:
        raise ConfigError(f"ledger {ledger.name}: the campaign has not begun; start it with al-loop run")
    sessions = ledger.sessions()
    try:
        return CampaignConfig.model_validate(sessions[-1].config if sessions else campaign.config)
    except ValidationError as error:
        keys = ", ".join(sorted({".".join(map(str, entry["loc"])) for entry in error.errors()}))
        writer = sessions[-1].versions.get("al-loop", "unknown") if sessions else "unknown"
        raise ConfigError(
            f"ledger {ledger.name}: this version of al-loop does not accept the recorded value of {keys}; the campaign "
            f"was last started by al-loop {writer}: use that version, or resume it by this one with a config file"
        ) from None


def add_part_folders(folder: Path | None) -> bool:
    """Add the folders of a run's user-defined parts to the import path.

    Args:
        folder: the run directory; None: unknown.

    Returns:
        Whether the run directory is on this machine.

    Raises:
        ConfigError: the run directory belongs to a user who is not trusted.
    """
    if folder is None:
        return False
    try:
        folders = json.loads((folder / "campaign.json").read_text(encoding="utf-8")).get("folders", ())
    except (OSError, ValueError):  # the run is on another machine, and so is its process
        return False
    require_trusted(folder)
    add_to_path(folders)
    return True


@dataclass(frozen=True)
class ObjectNotation:
    """The notation of a campaign's objects.

    Args:
        object_type: molecule, sequence or other.
        canonical: returns the canonical spelling of an object, or None for text that is not an object.
    """

    object_type: str
    canonical: Callable[[str], str | None]

    @property
    def column(self) -> str:
        """The name of a column of such objects."""
        return {"molecule": "smiles", "sequence": "sequence"}.get(self.object_type, "object")


def object_notation(ledger: Ledger) -> ObjectNotation:
    """Return the notation of the objects of a ledger's campaign.

    If the environment is a user's own and not available on this machine, the type of the objects is ``other``.
    """
    try:
        object_type = str(build_environment(campaign_config(ledger)).object_type)
    except ConfigError:
        object_type = "other"
    return ObjectNotation(object_type, canonical_smiles if object_type == "molecule" else _unchanged)


def _unchanged(text: str) -> str:
    return text
