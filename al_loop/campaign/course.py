"""The course of a campaign: which settings may change between its rounds, and from which round on they did."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError
from al_loop.ledger import Change, Ledger
from al_loop.outgoing import redacted
from al_loop.system.users import current_user

#: sections that cannot change: they say which objects are measured and what their values mean
FIXED = ("name", "seed", "environment", "oracle", "goal", "optimise")
#: keys whose changes are not part of the course: where the campaign runs and what it stores where
_NOT_RECORDED = ("ledger", "checkpoints", "resources", "sinks", "evaluation.workers", "evaluation.cache")
#: keys whose change makes the sampler's state meaningless, although it may fit
_RETRAINED = ("sampler.kind", "sampler.prior", "sampler.policy")
_FILE_NAME = re.compile(r"[\w. +-]+\.[A-Za-z]\w*")


@dataclass(frozen=True)
class KeyChange:
    """One key of the config with another value.

    Args:
        key: the key, with dots.
        old: the earlier value (JSON types); None: it was not there, or null.
        new: the later value.
    """

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {value_text(self.old)} -> {value_text(self.new)}"


def differences(old: Any, new: Any, key: str = "") -> list[KeyChange]:
    """Return the keys that differ between two configs, in the order of the new one.

    A list of another length counts as one key, as does a part of another kind.

    Args:
        old: the earlier config, or a part of it (JSON types).
        new: the later one.
        key: the key of both, with dots.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if key and old.get("kind") != new.get("kind"):
            return [KeyChange(key, _without_nulls(old), _without_nulls(new))]
        prefix = f"{key}." if key else ""
        names = dict.fromkeys([*new, *old])
        return [d for name in names for d in differences(old.get(name), new.get(name), f"{prefix}{name}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i, pair in enumerate(zip(old, new, strict=True)) for d in differences(*pair, f"{key}.{i}")]
    return [] if old == new else [KeyChange(key, old, new)]


def public_config(config: CampaignConfig) -> dict[str, Any]:
    """Return the content of a config as it may be stored, shown and sent: without the ledger's URL and secrets."""
    return dict(redacted(config.model_dump(mode="json", exclude={"ledger"})))


def recorded_config(ledger: Ledger) -> dict[str, Any] | None:
    """Return the config of the campaign's last start, with the defaults of this version; None before the first.

    Raises:
        ConfigError: a session is missing from the ledger.
    """
    campaign = ledger.campaign()
    if campaign is None:
        return None
    sessions = ledger.sessions()
    content = dict(sessions[-1].config if sessions else campaign.config)
    try:
        return public_config(CampaignConfig.model_validate(content))
    except ValidationError:  # written by a version with other keys
        return dict(redacted(content))


def changes_of_course(ledger: Ledger, config: CampaignConfig, run: str) -> list[Change]:
    """Return what the config changes against the last start, as entries of the ledger from the next round on.

    Args:
        ledger: the campaign's ledger.
        config: the config of this start.
        run: the run directory, for the message.

    Raises:
        ConfigError: a key differs that cannot change.
    """
    old = recorded_config(ledger)
    if old is None:
        return []
    found = differences(old, public_config(config))
    found = [d for d in found if not _is_moved(d.old, d.new)]
    fixed = [d for d in found if _is_below(d.key, FIXED)]
    last = ledger.last_round()
    if fixed:
        campaign = ledger.campaign()
        assert campaign is not None
        raise ConfigError(_refusal(campaign.name, fixed, run, 0 if last is None else last + 1))
    now, number = datetime.now(UTC), 0 if last is None else last + 1
    session_start = ledger.sessions()[-1].started
    recorded = {(c.key, repr(c.new)) for c in ledger.changes() if c.kind == "config" and c.changed >= session_start}
    return [
        Change(number, "config", d.key, d.old, d.new, "", current_user(), now)
        for d in found
        if not _is_below(d.key, (*FIXED, *_NOT_RECORDED)) and (d.key, repr(d.new)) not in recorded
    ]


def retrained_for(ledger: Ledger, number: int) -> list[str]:
    """Return the changed keys for which a round's sampler starts anew, although its state may fit.

    Args:
        ledger: the campaign's ledger.
        number: the round.
    """
    changes = [c for c in ledger.changes() if c.round == number and c.kind == "config"]
    return [c.key for c in changes if _is_below(c.key, _RETRAINED)]


def summaries(changes: Sequence[Change]) -> list[str]:
    """Return one line for each round from which on something changed: ``from round 3 on: acquisition.kappa: 1 -> 2``.

    Args:
        changes: entries of the ledger.
    """
    by_round: dict[int, list[str]] = {}
    for change in changes:
        reason = f" ({change.reason})" if change.reason else ""
        by_round.setdefault(change.round, []).append(_what(change) + reason)
    return [f"from round {number} on: {', '.join(texts)}" for number, texts in by_round.items()]


def _what(change: Change) -> str:
    if change.kind == "branch":
        return f"branched from {change.new}"
    has_values = change.kind in ("config", "library")
    return str(KeyChange(change.key, change.old, change.new)) if has_values else f"{change.key} changed"


def _refusal(name: str, fixed: Sequence[KeyChange], run: str, number: int) -> str:
    keys = ", ".join(f"{d.key} ({value_text(d.old)} there, {value_text(d.new)} here)" for d in fixed)
    return (
        f"{run}: belongs to another campaign, {name!r}: its space, oracle, objectives and seed cannot change, and "
        f"these keys differ: {keys}; to go on with its own config: al-loop resume {run}; to begin a new campaign, "
        f"choose another --run-dir; to take over its answers: al-loop branch {run} --from-round {number} NEW_DIR "
        "--config FILE"
    )


def _is_below(key: str, sections: Sequence[str]) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in sections)


def _is_moved(old: Any, new: Any) -> bool:
    """Return whether two values name the same file, in two folders; what is in it is compared by its content."""
    if not (isinstance(old, str) and isinstance(new, str)):
        return False
    names = [PurePath(text).name for text in (old, new)]
    return names[0] == names[1] and _FILE_NAME.fullmatch(names[0]) is not None


def _without_nulls(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if value is not None}


def value_text(value: Any) -> str:
    """Return a value of a config as short text: ``ucb (kappa=2)``, ``none``, ``yes``."""
    if isinstance(value, Mapping):
        named = value.get("kind") or value.get("target")
        others = [
            f"{name}={value_text(v)}" for name, v in value.items() if name not in ("kind", "target") and v is not None
        ]
        return f"{named}" + (f" ({', '.join(others)})" if others else "") if named else f"{{{', '.join(others)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    return "none" if value is None else "yes" if value is True else "no" if value is False else str(value)
