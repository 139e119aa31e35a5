"""A new campaign that takes over the first rounds of another one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from al_loop.campaign.building import campaign_fingerprint
from al_loop.campaign.campaign import ledger_url, public_url
from al_loop.campaign.course import differences, public_config
from al_loop.campaign.preparation import prepare
from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError
from al_loop.ledger import Change, Ledger
from al_loop.ledger.copying import FirstRounds
from al_loop.ledger.records import CampaignRow
from al_loop.outgoing import redact
from al_loop.storage.checkpoints import Checkpoints
from al_loop.storage.run_directory import RunDirectory
from al_loop.system.users import current_user


@dataclass(frozen=True)
class Branch:
    """The content that a branch took over from its parent.

    Args:
        rounds: number of rounds.
        answers: number of answers, which do not count against its budget.
        has_checkpoint: whether the sampler continues from its state after the last of these rounds.
    """

    rounds: int
    answers: int
    has_checkpoint: bool


@dataclass(frozen=True)
class BranchPoint:
    """The point at which a campaign branches off.

    Args:
        ledger: the ledger of the parent.
        folder: its run directory; None: on another machine.
        round: the first round that the branch decides by itself.
    """

    ledger: Ledger
    folder: Path | None
    round: int


def config_before(ledger: Ledger, number: int) -> dict[str, Any]:
    """Return the config with which a round was decided, or the newest one if the round is still to come.

    Args:
        ledger: the campaign's ledger.
        number: the round.

    Raises:
        ConfigError: the campaign has no round before it, or is not that far.
    """
    rounds, sessions = ledger.rounds(), ledger.sessions()
    if not 1 <= number <= len(rounds):
        raise ConfigError(
            f"--from-round: {number} is not one of 1 to {len(rounds)}; the rounds before it are taken over"
            if rounds
            else "--from-round: the campaign has no rounds yet, so there is nothing to take over"
        )
    if number < len(rounds):
        sessions = [s for s in sessions if s.started <= rounds[number].opened]
    return dict(sessions[-1].config)


def branch(point: BranchPoint, config: CampaignConfig, new_dir: Path) -> Branch:
    """Write the run of a new campaign that begins with the first rounds of another.

    The answers keep their costs for the models, but do not count against the budget of the branch.

    Args:
        point: where it branches off.
        config: the config of the branch.
        new_dir: its run directory, which must not have a run.

    Raises:
        ConfigError: the run directory has a run, or the oracle of the config measures something else.
    """
    if any((new_dir / name).exists() for name in ("ledger.db", "campaign.json")):
        raise ConfigError(f"{new_dir}: has a run already; choose another directory for the branch")
    parent, parts = point.ledger.campaign(), prepare(config)
    assert parent is not None, "checked by config_before"
    parts.check()
    before = config_before(point.ledger, point.round)
    content = public_config(config)
    changed = differences(public_config(CampaignConfig.model_validate(before)), content)
    names = [o.name for o in parts.oracle_objectives]
    is_same_goal = not any(d.key.partition(".")[0] in ("goal", "optimise", "oracle") for d in changed)
    first = _for_objectives(point.ledger.first_rounds(point.round), parent, names, is_same_goal=is_same_goal)
    directory = RunDirectory(new_dir)
    try:
        url, uid, now = ledger_url(config, new_dir), uuid.uuid4().hex, datetime.now(UTC)
        with Ledger(url) as ledger:
            ledger.take_over(
                first,
                campaign={
                    "id": 1,
                    "uid": uid,
                    "name": config.name,
                    "config": content,
                    "fingerprint": campaign_fingerprint(config, parts.oracle),
                    "seed": config.seed,
                    "objectives": [asdict(o) for o in parts.oracle_objectives],
                    "created": now,
                },
                session=_session(point.ledger, content, now),
            )
            entries = [("branch", "parent", None, f"{parent.name} ({parent.uid})")]
            entries += [("config", d.key, d.old, d.new) for d in changed]
            ledger.record_changes([Change(point.round, *entry, "", current_user(), now) for entry in entries])
        _write_pointer(directory, config)
        _copy_artifacts(point.folder, directory)
        has_checkpoint = _copy_checkpoint(point, before, parent.uid, config, directory, uid)
    finally:
        directory.close()
    return Branch(len(first.rounds), len({row["candidate_id"] for row in first.evaluations}), has_checkpoint)


def _session(parent: Ledger, content: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return a session of the branch, with the versions and hashes behind the values that it takes over."""
    return {
        "id": 1,
        "started": now,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "versions": parent.sessions()[-1].versions,
        "command": redact(" ".join(sys.argv)),
        "config": content,
    }


def _for_objectives(
    first: FirstRounds, parent: CampaignRow, names: Sequence[str], *, is_same_goal: bool
) -> FirstRounds:
    """Return the rows with the values of the branch's objectives, and without reports on other goals."""
    measured = [o.name for o in parent.objectives]
    if missing := [name for name in names if name not in measured]:
        raise ConfigError(
            f"oracle: the answers of {parent.name!r} have no values of {', '.join(missing)} (they have "
            f"{', '.join(measured)}), so a branch cannot learn from them; start a new campaign with al-loop run"
        )
    if is_same_goal:
        return first
    columns = [measured.index(name) for name in names]
    evaluations = [
        {
            **row,
            **{
                key: None if row[key] is None else [row[key][i] for i in columns]
                for key in ("values", "noise", "censored")
            },
        }
        for row in first.evaluations
    ]
    rounds = [{**row, "info": {k: v for k, v in row["info"].items() if k != "predicted"}} for row in first.rounds]
    return FirstRounds(rounds, (), first.candidates, first.attempts, evaluations, first.decisions)


def _write_pointer(directory: RunDirectory, config: CampaignConfig) -> None:
    pointer = json.dumps({"ledger": public_url(config, directory.path), "folders": config.folders})
    directory.write(directory.path / "campaign.json", pointer.encode())


def _copy_artifacts(folder: Path | None, directory: RunDirectory) -> None:
    if folder is not None and (folder / "artifacts").is_dir():
        shutil.copytree(folder / "artifacts", directory.artifacts, copy_function=_link_or_copy, dirs_exist_ok=True)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _copy_checkpoint(
    point: BranchPoint,
    before: Mapping[str, Any],
    parent_uid: str,
    config: CampaignConfig,
    directory: RunDirectory,
    uid: str,
) -> bool:
    """Copy the sampler's state after the last round that is taken over; return whether the parent still has it."""
    location = before.get("checkpoints") or (point.folder and str((point.folder / "checkpoints").absolute()))
    if point.round < 2 or not location:
        return point.round < 2  # nothing was trained before the first batch
    with suppress(Exception):  # the parent keeps its last two states only
        state = Checkpoints(location, parent_uid).load(point.round - 1)
        target = config.checkpoints or str(directory.checkpoints.absolute())
        Checkpoints(target, uid).save(point.round - 1, state)
        return True
    return False
