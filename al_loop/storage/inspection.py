"""A comparison of everything that a run stores with its checksums, and copies of a run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.ledger.verification import Finding
from al_loop.storage.artifacts import ArtifactFolder
from al_loop.storage.checkpoints import unsealed
from al_loop.storage.ledger_head import LedgerHead
from al_loop.storage.locate import find_ledger, run_folder
from al_loop.system.private_files import make_private_folder


@dataclass(frozen=True)
class Inspection:
    """What a comparison with the checksums has found.

    Args:
        n_rows: number of rows of the ledger that have a checksum; 0 for an older ledger, whose rows have none.
        rows: what is wrong in the ledger.
        files: what is wrong with checkpoints and artifacts.
    """

    n_rows: int
    rows: tuple[Finding, ...]
    files: tuple[Finding, ...]


def inspect(ledger: Ledger, run: str) -> Inspection:
    """Compare the ledger of a run, its checkpoints and its artifacts with their checksums.

    Args:
        ledger: the ledger.
        run: a run directory, a ledger file or a database URL.

    Raises:
        CampaignError: the ledger cannot be read.
    """
    rows = ledger.findings()
    folder = run_folder(run)
    files: list[Finding] = []
    if folder is not None and folder.is_dir():
        if not rows and not ledger.is_upgraded_copy and (loss := LedgerHead(folder).compare(ledger)):
            rows = [Finding("the ledger", loss, loss)]
        files += _damaged_checkpoints(folder / "checkpoints")
        if not rows:
            files += _damaged_artifacts(ledger, folder / "artifacts")
    n_rows = 0 if ledger.is_upgraded_copy else ledger.head().last
    return Inspection(n_rows, tuple(rows), tuple(files))


def _damaged_checkpoints(folder: Path) -> Iterator[Finding]:
    for path in sorted(folder.glob("round-*.pt")):
        try:
            unsealed(path.read_bytes())
        except (OSError, ValueError) as error:
            yield Finding(f"checkpoints/{path.name}", str(error), path.name)


def _damaged_artifacts(ledger: Ledger, folder: Path) -> Iterator[Finding]:
    artifacts = ArtifactFolder(folder)
    for answer in ledger.evaluations():
        for name, recorded in answer.artifacts.items():
            path = artifacts.folder_of(answer.candidate_id) / name
            try:
                with path.open("rb") as file:
                    is_same = hashlib.file_digest(file, "sha256").hexdigest() == recorded["sha256"]
            except OSError as error:
                yield Finding(f"artifacts/{path.parent.name}/{name}", error.strerror or str(error), name)
                continue
            if not is_same:
                yield Finding(f"artifacts/{path.parent.name}/{name}", "was changed after it was written", name)


def back_up(run: str, target: Path | None = None) -> Path:
    """Copy a run, which may be running, to a new folder from which it can be read and resumed.

    Args:
        run: a run directory, a ledger file or a database URL.
        target: the folder; left out: beside the run directory, with the time in its name.

    Returns:
        The folder.

    Raises:
        ConfigError: there is no such run, or the folder exists or cannot be written.
        CampaignError: the ledger cannot be read, or it is not as it was written.
    """
    folder = run_folder(run)
    if target is None:
        name = folder.resolve().name if folder is not None else "ledger"
        parent = folder.resolve().parent if folder is not None else Path.cwd()
        target = parent / f"{name}-backup-{datetime.now():%Y%m%d-%H%M%S}"
    if target.exists():
        raise ConfigError(f"{target}: exists already; choose another folder for the copy")
    url = find_ledger(run)
    try:
        make_private_folder(target)
        with Ledger(url, read_only=True) as ledger:
            ledger.campaign()  # compares the rows with their checksums
            ledger.copy_to(target / "ledger.db")
        if folder is not None and folder.is_dir():
            for name in ("checkpoints", "artifacts"):
                if (folder / name).is_dir():
                    ignored = shutil.ignore_patterns("*.part")
                    shutil.copytree(folder / name, target / name, ignore=ignored)
            _copy_pointer(folder, target)
        with Ledger(find_ledger(target), read_only=True) as copy:
            copy.campaign()
    except OSError as error:
        raise ConfigError(f"{target}: the copy cannot be written ({error.strerror or error})") from None
    return target


def _copy_pointer(folder: Path, target: Path) -> None:
    """Copy the pointer to the ledger, which is a file in the copy, wherever the original is."""
    with suppress(OSError, ValueError):
        pointer = json.loads((folder / "campaign.json").read_text(encoding="utf-8"))
        pointer["ledger"] = f"sqlite:///{(target / 'ledger.db').absolute()}"
        (target / "campaign.json").write_text(json.dumps(pointer), encoding="utf-8")
