"""The files of a folder that travel with a job, and the archives that they travel in.

We build the archives ourselves, so that what a job receives does not depend on the packing rules of the installed Ray.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from pathspec import GitIgnoreSpec

from al_loop.errors import ConfigError

NEVER = "files and folders of this name never travel, since they hold secrets, runs or environments"
TOO_LARGE = "it is too large"
LOOP = "it is a link to a folder above it"
_IGNORE_FILES = (".rayignore", ".gitignore")
_EXCLUDED = (
    "runs/",
    ".git/",
    ".venv/",
    "venv/",
    "__pycache__/",
    "*.pyc",
    ".mypy_cache/",
    ".ruff_cache/",
    ".pytest_cache/",
    ".env*",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".pgpass",
    ".ssh/",
    ".aws/",
    ".gnupg/",
    ".kube/",
    "*.pem",
    "*.key",
    "id_rsa*",
    "id_ed25519*",
    "id_ecdsa*",
)
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class FolderContents:
    """The files of a folder, divided into those that travel with a job and those that do not.

    Attributes:
        sizes: The size in bytes of each file that travels.
        left_out: For each other file, or for a whole folder, the reason why it does not travel.
    """

    sizes: dict[Path, int]
    left_out: dict[Path, str]

    def reason_for_missing(self, file: Path) -> str:
        """Return why a file below the folder does not travel."""
        return next(self.left_out[path] for path in (file, *file.parents) if path in self.left_out)


@dataclass(frozen=True)
class _Rules:
    """The patterns of an ignore file, relative to the folder that it stands in."""

    folder: Path
    patterns: GitIgnoreSpec
    reason: str

    def match(self, path: Path, *, is_folder: bool) -> bool:
        name = path.relative_to(self.folder).as_posix()
        return name != "." and self.patterns.match_file(f"{name}/" if is_folder else name)


def list_contents(root: Path, largest_file: int) -> FolderContents:
    """List the files of a folder, following links and obeying the ignore files in each folder.

    The rules are git's. ``RAY_RUNTIME_ENV_IGNORE_GITIGNORE=1`` switches ``.gitignore`` files off, as it does in Ray;
    ``.rayignore`` files always count.

    Args:
        root: The folder.
        largest_file: The size in bytes above which a file is left out.

    Raises:
        ConfigError: A file or folder cannot be read.
    """
    ignore_files = _IGNORE_FILES[:1] if os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE") == "1" else _IGNORE_FILES
    contents = FolderContents({}, {})

    def walk(path: Path, rules: tuple[_Rules, ...], ancestors: frozenset[Path]) -> None:
        is_folder = path.is_dir()
        real_path = path.resolve() if is_folder else path
        reason = next((r.reason for r in rules if r.match(path, is_folder=is_folder)), "")
        if not reason and real_path in ancestors:
            reason = LOOP
        if reason:
            contents.left_out[path] = reason
        elif is_folder:
            for file in filter(Path.is_file, (path / name for name in ignore_files)):
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
                rules = (*rules, _Rules(path, GitIgnoreSpec.from_lines(lines), f"{file} lists it"))
            for child in path.iterdir():
                walk(child, rules, ancestors | {real_path})
        elif path.is_file():
            size = path.stat().st_size
            if size <= largest_file:
                contents.sizes[path] = size
            else:
                contents.left_out[path] = TOO_LARGE

    try:
        walk(root, (_Rules(root, GitIgnoreSpec.from_lines(_EXCLUDED), NEVER),), frozenset())
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be read ({error.strerror}), and {root} travels with the job; put what the job "
            "needs into a folder without it"
        ) from None
    return contents


def write_archive(folder: Path, files: Iterable[Path], archive: Path) -> Path:
    """Write files into a zip archive, whose bytes depend on their names, modes and contents only.

    Ray names an uploaded package by its bytes, so an unchanged folder is not uploaded again.

    Args:
        folder: The folder to which names in the archive are relative.
        files: The files.
        archive: The archive to write.

    Returns:
        The archive.
    """
    with ZipFile(archive, "w") as package:
        for file in sorted(files):
            info = ZipInfo(file.relative_to(folder).as_posix(), _ZIP_EPOCH)
            info.external_attr = file.stat().st_mode << 16
            package.writestr(info, file.read_bytes())
    return archive


def link_files(folder: Path, files: Iterable[Path], target: Path) -> Path:
    """Make a folder with links to some of another folder's files, at the same relative paths.

    Args:
        folder: The folder to which the files' paths are relative.
        files: The files.
        target: The folder to make.

    Returns:
        The folder that was made.
    """
    target.mkdir()
    for file in files:
        link = target / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.resolve())
    return target
