"""The package of a job: the config's folder, and the modules that the config names, where they are not installed."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from al_loop.actors.jobs.contents import TOO_LARGE, FolderContents, link_files, list_contents, write_archive
from al_loop.actors.name_clashes import refuse_shadows
from al_loop.errors import ConfigError

_LARGEST_FILE = 50 * 2**20
_LARGEST_PACKAGE = 100 * 2**20  # the limit of Ray's job server
_IGNORE_FILES = (".gitignore", ".rayignore")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class JobPackage:
    """The files that travel with a job, beside its command and al-loop itself.

    Attributes:
        folder: The config's folder.
        files: The files of the folder that travel.
        modules: Packages (folders) and modules (files) of ``target:`` parts outside the folder.
        left_behind: Files of the folder that are too large to travel, relative to it.
    """

    folder: Path
    files: tuple[Path, ...] = ()
    modules: tuple[Path, ...] = ()
    left_behind: tuple[str, ...] = ()

    def write_folder(self, staging: Path) -> Path:
        """Write the folder's files into an archive, and return the archive.

        Args:
            staging: An existing folder to write to.
        """
        return write_archive(self.folder, self.files, staging / "working_dir.zip")

    def link_modules(self, staging: Path) -> list[Path]:
        """Make a folder for each module from elsewhere, and return these folders.

        Ray's job API accepts folders only, so a module that is a file becomes a package.

        Args:
            staging: An existing folder to write to.
        """
        return [link_module(path, staging) for path in self.modules]


def link_module(path: Path, staging: Path) -> Path:
    """Make a folder with the files of a package that travel, or with a single module as its ``__init__.py``.

    Args:
        path: The folder of a package, or the file of a module.
        staging: An existing folder to write to.

    Returns:
        The folder, named after the module.
    """
    if path.is_dir():
        files = [f for f in list_contents(path, sys.maxsize).sizes if f.name not in _IGNORE_FILES]
        return link_files(path, files, staging / path.name)
    package = staging / path.stem
    package.mkdir()
    (package / "__init__.py").symlink_to(path.resolve())
    return package


def pack(config_file: Path, config: BaseModel) -> JobPackage:
    """Collect the files that have to travel with a campaign.

    Args:
        config_file: The config's file, by a path without links; its folder travels.
        config: The valid configuration in it.

    Returns:
        The package.

    Raises:
        ConfigError: A file that the job needs cannot travel, or the job would not run with what travels.
    """
    folder = config_file.parent
    if folder in (Path(folder.anchor), Path(os.environ.get("HOME") or "/").resolve()):
        raise ConfigError(
            f"{config_file}: the config's folder travels with the job, and {folder} holds much else; put the config "
            "and what it needs into a folder of its own"
        )
    sources = _module_sources(config)
    elsewhere = sorted({source for source in sources.values() if source.parent != folder})
    contents: dict[Path, FolderContents] = {}
    for root in (folder, *filter(Path.is_dir, elsewhere)):
        contents[root] = list_contents(root, _LARGEST_FILE if root == folder else sys.maxsize)
        _refuse_too_large(root, contents[root].sizes)
    required = [(config_file, folder)]
    for module, source in sources.items():
        root = folder if source.parent == folder else source
        required += [(file, root) for file in _imported_files(module, source.parent)]
    for file, root in required:
        if root in contents and file not in contents[root].sizes:
            raise ConfigError(
                f"{file} would not travel with the job, which needs it: {contents[root].reason_for_missing(file)}"
            )
    refuse_shadows(folder, contents[folder].sizes, "by the job")
    left_behind = [path for path, reason in contents[folder].left_out.items() if reason == TOO_LARGE]
    return JobPackage(
        folder,
        tuple(sorted(contents[folder].sizes)),
        tuple(elsewhere),
        tuple(sorted(path.relative_to(folder).as_posix() for path in left_behind)),
    )


def _module_sources(config: BaseModel) -> dict[str, Path]:
    """Return the ``target:`` modules that are not installed, each with the file or folder of its top-level package."""
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib", "platstdlib")]
    sources = {}
    for module in sorted({target.split(":")[0] for target in targets(config)}):
        spec = importlib.util.find_spec(module.split(".")[0])
        if spec is None or spec.name.split(".")[0] == "al_loop":  # oracles.x is an old name of al_loop.oracles.x
            continue
        locations = [*(spec.submodule_search_locations or ()), spec.origin or ""]
        if not locations[0]:
            continue
        source = Path(locations[0])
        if source.exists() and not any(source.resolve().is_relative_to(folder) for folder in installed):
            sources[module] = source.parent.resolve() / source.name
    return sources


def _imported_files(module: str, root: Path) -> Iterator[Path]:
    """Yield the existing files that Python reads to import a module."""
    names = module.split(".")
    for n in range(1, len(names) + 1):
        path = root.joinpath(*names[:n])
        yield from filter(Path.is_file, (path / "__init__.py", path.with_suffix(".py")))


def targets(config: BaseModel) -> set[str]:
    """Return the ``package.module:Name`` of every part, including parts that are arguments of other parts."""
    texts = texts_of(config.model_dump(mode="json"))
    return {text for key, text in texts if key.rpartition(".")[2] == "target" and _TARGET.fullmatch(text)}


def texts_of(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a config with its key, such as ``sampler.searches.0.target``.

    Args:
        value: The config's content, or a part of it.
        key: The key of this part; empty for the whole.
    """
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict | list | tuple):
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts_of(child, f"{key}.{name}" if key else str(name))


def _refuse_too_large(folder: Path, sizes: Mapping[Path, int]) -> None:
    total = sum(size + 2 * len(os.fsencode(path.relative_to(folder))) + 128 for path, size in sizes.items())
    if total <= _LARGEST_PACKAGE:
        return
    largest: Counter[str] = Counter()
    for path, size in sizes.items():
        top, *rest = path.relative_to(folder).parts
        largest[f"{top}/" if rest else top] += size
    examples = ", ".join(f"{name} ({_megabytes(size)})" for name, size in largest.most_common(3))
    raise ConfigError(
        f"{folder} has to travel with the job, but holds {_megabytes(total)}, and Ray takes "
        f"{_megabytes(_LARGEST_PACKAGE)} at most; the largest are {examples}; list what the job does not need in a "
        ".gitignore there, and move what it needs to storage that the cluster sees"
    )


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.1f} MB"
