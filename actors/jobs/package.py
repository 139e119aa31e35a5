"""What has to travel with a job: the config's folder and the modules that it names, by Ray's own rules."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError

#: what the cluster gets from us, whatever lies beside the config
OWN_PACKAGES = ("al_loop", "actors", "oracles")
_EXCLUDES = (
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
_LARGEST_FILE = 50 * 2**20
_LARGEST_PACKAGE = 100 * 2**20  # of Ray's job server; Ray does not compress what it packs
_NEVER = "nothing of such a name travels, since it may hold secrets, or belongs to a run or an environment"
_TOO_LARGE = "it is too large"
_LOOP = "it is a link to a folder above it"
_TARGET = re.compile(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class JobPackage:
    """What travels with a job beside its command and al-loop itself.

    Attributes:
        folder: of the config.
        modules: packages and files of ``target:`` parts from elsewhere.
        left_behind: files of the folder that are too large, relative to it.
        excludes: what Ray has to leave behind, patterns as in a .gitignore.
    """

    folder: Path
    modules: tuple[Path, ...] = ()
    left_behind: tuple[str, ...] = ()
    excludes: tuple[str, ...] = _EXCLUDES


def pack(config_file: Path, config: CampaignConfig) -> JobPackage:
    """What has to travel with a campaign.

    Args:
        config_file: without links in its path; its folder travels.
        config: the same, read and valid.

    Raises:
        ConfigError: something in it cannot travel, or the job could not be run with it.
    """
    folder = config_file.parent
    if folder in (Path(folder.anchor), Path(os.environ.get("HOME") or "/").resolve()):
        raise ConfigError(
            f"{config_file}: the config's folder travels with the job, and {folder} holds much else; put the config "
            "and what it needs into a folder of its own"
        )
    modules = _modules(config)
    elsewhere = sorted({place for place in modules.values() if place.parent != folder})
    boxes: dict[Path, _Contents] = {}
    excludes = list(_EXCLUDES)
    for place in (folder, *filter(Path.is_dir, elsewhere)):
        boxes[place] = box = _contents(place, _LARGEST_FILE if place == folder else sys.maxsize)
        _refuse_too_large(place, box.sizes)
        ours = [path for path, why in box.left.items() if why in (_TOO_LARGE, _LOOP)]
        excludes += [f"/{_escaped(path.relative_to(place).as_posix())}" for path in ours]
    needed = [(config_file, folder)]
    for module, place in modules.items():
        needed += [(file, folder if place.parent == folder else place) for file in _files(module, place.parent)]
    for file, place in needed:
        if place in boxes and file not in boxes[place].sizes:
            left = boxes[place].left
            why = next(left[above] for above in (file, *file.parents) if above in left)
            raise ConfigError(f"{file} would not travel with the job, which needs it: {why}")
    _refuse_shadows(folder, boxes[folder].sizes)
    large = [path.relative_to(folder).as_posix() for path, why in boxes[folder].left.items() if why == _TOO_LARGE]
    return JobPackage(folder, tuple(elsewhere), tuple(sorted(large)), tuple(excludes))


def _modules(config: CampaignConfig) -> dict[str, Path]:
    """The modules of ``target:`` parts that are not installed, each with the file or folder of its top package."""
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib", "platstdlib")]
    found = {}
    for module in sorted({target.split(":")[0] for target in targets(config)}):
        top = module.split(".")[0]
        spec = None if top in OWN_PACKAGES else importlib.util.find_spec(top)
        places = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else [""]
        if not places[0]:
            continue
        place = Path(places[0])
        if place.exists() and not any(place.resolve().is_relative_to(known) for known in installed):
            found[module] = place.parent.resolve() / place.name
    return found


def _files(module: str, root: Path) -> Iterator[Path]:
    """The files that Python reads to import a module, as far as they are there."""
    names = module.split(".")
    for n in range(1, len(names) + 1):
        place = root.joinpath(*names[:n])
        yield from filter(Path.is_file, (place / "__init__.py", place.with_suffix(".py")))


def targets(config: CampaignConfig) -> set[str]:
    """The ``package.module:Name`` of every part, also of those that are arguments of another part."""
    texts = texts_of(config.model_dump(mode="json"))
    return {text for key, text in texts if key.rpartition(".")[2] == "target" and _TARGET.fullmatch(text)}


def texts_of(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a config, and its place, such as ``sampler.searches.0.target``."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict | list | tuple):
        for name, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts_of(below, f"{key}.{name}" if key else str(name))


@dataclass(frozen=True)
class _Contents:
    """What Ray's packer takes of a folder.

    Attributes:
        sizes: in bytes, of each file that travels.
        left: why each of the others, or its folder, does not.
    """

    sizes: dict[Path, int]
    left: dict[Path, str]


def _contents(root: Path, largest_file: int) -> _Contents:
    """Looks through a folder as Ray's packer does: into linked folders, and by ignore files in each."""
    from ray._private.thirdparty.pathspec import PathSpec  # what it matches with itself

    ignores = [".rayignore"] + ([".gitignore"] if os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE") != "1" else [])
    found = _Contents({}, {})

    def walk(path: Path, rules: list[tuple[str, Path, Any]], above: frozenset[Path]) -> None:
        is_folder = path.is_dir()
        if is_folder:
            for file in filter(Path.is_file, (path / name for name in ignores)):
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
                rules = [*rules, (f"{file} names it", path, PathSpec.from_lines("gitwildmatch", lines))]
        real = path.resolve() if is_folder else path
        why = next((why for why, top, spec in rules if spec.match_file(str(path.relative_to(top)))), "")
        if not why and real in above:
            why = _LOOP
        elif not why and path.is_file():
            size = path.stat().st_size
            if size <= largest_file:
                found.sizes[path] = size
            else:
                why = _TOO_LARGE
        if why:
            found.left[path] = why
        elif is_folder:
            for below in path.iterdir():
                walk(below, rules, above | {real})

    try:
        walk(root, [(_NEVER, root, PathSpec.from_lines("gitwildmatch", _EXCLUDES))], frozenset())
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be read ({error.strerror}), and {root} travels with the job; put what the job "
            "needs into a folder without it"
        ) from None
    return found


def _refuse_too_large(folder: Path, sizes: Mapping[Path, int]) -> None:
    total = sum(size + 2 * len(os.fsencode(path.relative_to(folder))) + 128 for path, size in sizes.items())
    if total <= _LARGEST_PACKAGE:
        return
    largest: Counter[str] = Counter()
    for path, size in sizes.items():
        top, *below = path.relative_to(folder).parts
        largest[f"{top}/" if below else top] += size
    shown = ", ".join(f"{name} ({_mb(size)})" for name, size in largest.most_common(3))
    raise ConfigError(
        f"{folder} would travel with the job and has {_mb(total)}, of which Ray takes {_mb(_LARGEST_PACKAGE)} at most; "
        f"the largest are {shown}; name what the job does not need in a .gitignore there, and put what it needs on "
        "storage that the cluster sees"
    )


def _refuse_shadows(folder: Path, files: Iterable[Path]) -> None:
    for file in files:
        module = file.parent if file.name == "__init__.py" else file
        is_at_top = file.suffix == ".py" and module.parent == folder
        if is_at_top and module.name.removesuffix(".py") in sys.stdlib_module_names:
            raise ConfigError(
                f"{module} has the name of a module of Python's standard library, and would be imported in its place "
                "by the job; rename it"
            )


def _mb(size: int) -> str:
    return f"{size / 2**20:.1f} MB"


def _escaped(name: str) -> str:
    """A name as a pattern of a .gitignore that means this name only."""
    return re.sub(r"\s", r"[\g<0>]", re.sub(r"[\\*?\[\]!#]", r"\\\g<0>", name))
