"""What travels with a job to a Ray cluster: folders, modules, requirements and variables; and what must not."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from al_loop.config import CampaignConfig
from al_loop.errors import ConfigError

_OWN = ("al_loop", "actors", "oracles")
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
_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")
_STANDS_FOR = re.compile(r"\$\{\w+\}")
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
#: requirements that name a file here, which the cluster does not have
_OF_HERE = re.compile(
    r"-[rcef]|--(requirement|constraint|editable|find-links)\b|\.+$|\.{0,2}/|file:|[^@]+@ *file:", re.IGNORECASE
)
_STOP_WAIT_S = 60  # for a clean stop, before Ray kills the driver; its own default is 3 s
_SETUP_TIMEOUT_S = 3600  # Ray's own 10 minutes are too short for the installation of torch


@dataclass(frozen=True)
class JobEnvironment:
    """What a user asks of the job's environment on the cluster; by default nothing is installed.

    Attributes:
        requirements: a pip requirements file, installed on top of what the nodes have.
        image: a container image, in which the driver and all actors run; al-loop is in it.
        variables: names of variables of the environment here that are handed on.

    Raises:
        ConfigError: they cannot be combined, or cannot be read.
    """

    requirements: Path | None = None
    image: str | None = None
    variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.image is not None and self.requirements is not None:
            raise ConfigError(
                "--requirements: Ray installs nothing into a container; leave out --image, or install them in the image"
            )
        self.packages()
        self.environment()

    def packages(self) -> list[str]:
        """The lines of the requirements file."""
        if self.requirements is None:
            return []
        try:
            lines = self.requirements.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not a text file in UTF-8"
            raise ConfigError(f"--requirements: cannot read {self.requirements}: {reason}") from None
        kept = []
        for number, line in enumerate(lines, 1):
            text = re.sub(r"(^|\s)#.*", "", line).strip()
            if _OF_HERE.match(text) or text.endswith("\\"):
                raise ConfigError(
                    f"--requirements: {text!r} ({self.requirements}, line {number}) does not stand by itself, so that "
                    "the cluster could not install it; write packages and their versions, a line each"
                )
            if any(_has_password(url) or _has_token(url) for url in _URL.findall(text)):
                raise ConfigError(
                    f"--requirements: a URL with a password or token ({self.requirements}, line {number}) would be "
                    "visible to all who see the cluster; write ${NAME} in its place, and add --env NAME"
                )
            kept += [text] if text else []
        if not kept:
            raise ConfigError(f"--requirements: no package stands in {self.requirements}")
        return kept

    def environment(self) -> dict[str, str]:
        """The variables that are handed on, with their values here."""
        found = {}
        for name in self.variables:
            if not _VARIABLE.fullmatch(name):
                shown = name.partition("=")[0]
                raise ConfigError(f"--env: give the name of a variable only, its value is taken from here: {shown}")
            if name not in os.environ:
                raise ConfigError(f"--env: {name} is not set here; set it first: export {name}=...")
            if self.image is not None and set("'\n") & set(os.environ[name]):
                raise ConfigError(
                    f"--env: the value of {name} has a quote or a line break, which Ray cannot hand on to a container; "
                    "set it in the image or in the environment of the cluster's nodes"
                )
            found[name] = os.environ[name]
        return found


@dataclass(frozen=True)
class Luggage:
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


def pack(config_file: Path, config: CampaignConfig) -> Luggage:
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
    return Luggage(folder, tuple(elsewhere), tuple(sorted(large)), tuple(excludes))


def runtime_env(luggage: Luggage | None, wanted: JobEnvironment, staging: Path) -> dict[str, Any]:
    """Ray's description of a job's environment.

    Args:
        luggage: what travels; with an image nothing does.
        wanted: of the user.
        staging: an empty folder, kept until the job is submitted.
    """
    variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S), **wanted.environment()}
    if luggage is None:  # Ray allows nothing else beside a container
        return {"image_uri": wanted.image, "env_vars": variables}
    described: dict[str, Any] = {
        "working_dir": str(luggage.folder),
        "py_modules": [*_own_packages(), *(_as_package(place, staging) for place in luggage.modules)],
        "excludes": list(luggage.excludes),
        "env_vars": variables,
    }
    if packages := wanted.packages():
        described["pip"] = packages
        described["config"] = {"setup_timeout_seconds": _SETUP_TIMEOUT_S}
    return described


def refuse_secrets(config_file: Path, config: CampaignConfig, overrides: Sequence[str]) -> None:
    """Refuses a config, which all who see the cluster can read, with a password in a URL.

    Raises:
        ConfigError: there is one, in the file, in a change on the command line, or in the config.
    """
    text = config_file.read_text(encoding="utf-8")
    found = [
        (where, url)
        for where, line in (
            *((f"{config_file}, line {number}", line) for number, line in enumerate(text.splitlines(), 1)),
            *((f"{override.partition('=')[0]} on the command line", override) for override in overrides),
        )
        for url in _URL.findall(line)
    ]
    # of a whole value, too, since a password may have spaces
    found += [(f"{config_file}, {key}", value) for key, value in _texts(yaml.safe_load(text))]
    found += [(f"{key} on the command line", value) for key, _, value in (o.partition("=") for o in overrides)]
    found += list(_texts(config.model_dump(mode="json")))
    for where, url in found:
        if _has_password(url):
            raise ConfigError(
                f"a URL with a password ({where}) would be visible to all who see the cluster; leave the password out, "
                "and set PGPASSWORD in the environment of the cluster's nodes, or here, with --env PGPASSWORD"
            )


def refuse_lost_ledger(config: CampaignConfig) -> None:
    """Refuses a ledger that would be a file in a container, which ends with the job.

    Raises:
        ConfigError: it would be.
    """
    from sqlalchemy.engine import make_url

    if config.ledger is None or make_url(config.ledger).get_backend_name() == "sqlite":
        raise ConfigError(
            "--image: Ray mounts no storage into the container, so that a ledger in a file would be lost with it; set "
            "ledger to a database, e.g. ledger=postgresql://USER@HOST/NAME"
        )


def refuse_lost_files(config: CampaignConfig) -> None:
    """Refuses files of the campaign in the job's folder, which is Ray's copy and goes with the job.

    Raises:
        ConfigError: a file of the ledger, of checkpoints or of the cache is not named by an absolute path.
    """
    from fsspec.core import split_protocol

    for key, value, example in (
        ("ledger", config.ledger, "sqlite:////shared/far.db"),
        ("evaluation.cache", config.evaluation.cache, "/shared/cache.db"),
        ("checkpoints", config.checkpoints, "/shared/checkpoints"),
    ):
        protocol, path = split_protocol(value or "/")
        if (protocol or "").startswith("sqlite"):
            is_kept = path.partition("/")[2].removeprefix("file:").startswith("/")
        else:
            is_kept = protocol not in (None, "file", "local") or path.startswith(("/", "~"))
        if not is_kept:
            raise ConfigError(
                f"{key}: {value!r} is no absolute path, and would be lost with the job's own folder on the cluster; "
                f"give one as the cluster's head sees it, e.g. {example}"
            )


def _modules(config: CampaignConfig) -> dict[str, Path]:
    """The modules of ``target:`` parts that are not installed, each with the file or folder of its top package."""
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib", "platstdlib")]
    found = {}
    for module in sorted({target.split(":")[0] for target in targets(config)}):
        top = module.split(".")[0]
        spec = None if top in _OWN else importlib.util.find_spec(top)
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
    texts = _texts(config.model_dump(mode="json"))
    return {text for key, text in texts if key.rpartition(".")[2] == "target" and _TARGET.fullmatch(text)}


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a config, and its place, such as ``sampler.searches.0.target``."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict | list | tuple):
        for name, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(below, f"{key}.{name}" if key else str(name))


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
    from ray._private.thirdparty.pathspec import PathSpec

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


def _own_packages() -> list[str]:
    """The folders of al-loop itself, so that the cluster runs exactly what was submitted."""
    folders = []
    for name in _OWN:
        origin = importlib.import_module(name).__file__
        assert origin is not None, f"the package {name} has no folder"
        folders.append(str(Path(origin).parent))
    return folders


def _as_package(place: Path, staging: Path) -> str:
    """A module as a folder, the only form in which Ray's job API lets one travel: a file becomes a package."""
    if place.is_dir():
        return str(place)
    package = staging / place.stem
    package.mkdir()
    shutil.copyfile(place, package / "__init__.py")
    return str(package)


def _has_password(url: str) -> bool:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        if _is_http(url):  # here an @ may stand in the path, too
            password: Any = urlsplit(url).password
        else:
            parsed = make_url(url)
            password = parsed.password or parsed.query.get("password")
    except (ArgumentError, ValueError):
        return False
    return bool(password) and not _STANDS_FOR.fullmatch(str(password))


def _has_token(url: str) -> bool:
    """Whether what stands where a user's name does is, for want of a password, a token."""
    try:
        name, password = urlsplit(url).username, urlsplit(url).password
    except ValueError:
        return False
    return _is_http(url) and bool(name) and not password and not _STANDS_FOR.fullmatch(str(name))


def _is_http(url: str) -> bool:
    return url.partition("://")[0].lower().endswith(("http", "https"))
