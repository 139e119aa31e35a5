"""The code, files and libraries on which a campaign's values depend, and what of them changed between two starts."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import platform
import re
import shutil
import sysconfig
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import al_loop
from al_loop.config import CampaignConfig
from al_loop.config.given import GivenPart
from al_loop.errors import ConfigError
from al_loop.ledger import Change, Lease, Ledger
from al_loop.oracles.base import Oracle
from al_loop.system.users import current_user

#: the libraries on which results depend, whose versions the ledger keeps
_LIBRARIES = ("torch", "botorch", "gpytorch", "rdkit", "numpy", "ray", "tblite", "vina", "meeko", "ViennaRNA")
#: sections whose code and files say what is measured, and what the values mean
_OF_VALUES = ("oracle", "environment")
_OTHERS = ("features", "surrogate", "acquisition", "selector", "sampler", "reward", "constraints")
#: keys and suffixes of files that a part writes, on which nothing depends
_OUTPUT_KEY = re.compile(r"(^|_)(logs?|logfile|out|output|outfile|report|trace)(_|$)", re.IGNORECASE)
_OUTPUT_SUFFIXES = (".log", ".out", ".err")
#: suffixes of code, which a campaign never writes
_CODE_SUFFIXES = (".py", ".sh", ".bash", ".pl", ".r", ".jl", ".js", ".rb", ".so", ".exe")
_SIGN_OF_LIFE_S = 15.0  # longest time between a campaign's last sign of life and the end of its last write
_LARGEST_PROGRAM = 200e6  # bytes; larger ones are told apart by size and time


def versions() -> dict[str, str]:
    """Return the versions of Python, al-loop and the libraries on which results depend."""
    installed = {"al-loop": al_loop.__version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def origins(config: CampaignConfig, oracle: Oracle) -> dict[str, str]:
    """Return the versions of the libraries, and a hash of every file of the user's that a campaign depends on.

    Args:
        config: the campaign's config.
        oracle: the oracle that was built from it.

    Returns:
        Versions by library, and hashes by section and file, such as ``oracle: score.py``.
    """
    content = config.model_dump(mode="json")
    result = {**versions(), "oracle: version": str(oracle.version)}
    is_given = isinstance(config.oracle, GivenPart)
    if isinstance(config.oracle, GivenPart) and config.oracle.code:
        result[f"oracle: {config.oracle.name}"] = config.oracle.code
    for section in (*_OF_VALUES, *_OTHERS):
        if section == "oracle" and is_given:
            continue
        for path in _files_of(content.get(section)):
            result.setdefault(f"{section}: {path.name}", _digest(path))
    command = content["oracle"].get("command")
    if isinstance(command, list) and command and (program := shutil.which(str(command[0]))):
        result.setdefault(f"program: {Path(program).name}", _digest(Path(program).resolve()))
    return result


def oracle_files(config: CampaignConfig) -> dict[str, str]:
    """Return a hash of each of the user's files that the oracle depends on, by file name."""
    if isinstance(config.oracle, GivenPart):
        return {config.oracle.name: config.oracle.code}
    return {path.name: _digest(path) for path in _files_of(config.model_dump(mode="json")["oracle"])}


def written_files(config: CampaignConfig, ledger: Ledger, previous: Lease | None) -> set[str]:
    """Return the files of an oracle's arguments that were written while the campaign ran, such as accounts of its own.

    Args:
        config: the campaign's config.
        ledger: the campaign's ledger.
        previous: the lease of the process that drove the campaign before; None if it is unknown.

    Returns:
        Keys of ``origins``.
    """
    sessions, content = ledger.sessions(), config.model_dump(mode="json")["oracle"]
    if previous is None or not sessions or not (content.get("target") or content.get("command")):
        return set()
    first = sessions[-1].started.timestamp()
    last = (previous.released or previous.heartbeat).timestamp() + _SIGN_OF_LIFE_S
    files = (path for path in _files_of(content) if path.suffix.casefold() not in _CODE_SUFFIXES)
    return {f"oracle: {path.name}" for path in files if first <= path.stat().st_mtime <= last}


@dataclass(frozen=True)
class ChangedOrigins:
    """Changes of code, files and libraries since the last start.

    Args:
        of_values: entries of the ledger that change the meaning of values.
        others: entries that do not, such as the versions of libraries.
        kept: earlier hashes with which the next start is to be compared, since nothing was measured after this one.
    """

    of_values: Sequence[Change]
    others: Sequence[Change]
    kept: Mapping[str, str] = field(default_factory=dict)


def changed_origins(
    ledger: Ledger,
    now: Mapping[str, str],
    reason: str | None,
    *,
    is_finished: bool = False,
    written: Collection[str] = (),
) -> ChangedOrigins:
    """Return what changed since the last start, as entries of the ledger from the next round on.

    Args:
        ledger: the campaign's ledger.
        now: the versions and hashes of this start, see ``origins``.
        reason: why values of before and after may be used together; None: nobody said.
        is_finished: whether nothing more is going to be measured, so that values of before and after cannot meet.
        written: the files that the campaign itself wrote, see ``written_files``; they may differ.

    Raises:
        ConfigError: the meaning of values changed, the ledger has some, and there is no reason to use both together.
    """
    sessions = ledger.sessions()
    before = sessions[-1].versions if sessions else {}
    last = ledger.last_round()
    number, time = 0 if last is None else last + 1, datetime.now(UTC)
    recorded = {(c.key, c.new) for c in ledger.changes() if sessions and c.changed >= sessions[-1].started}
    of_values: list[Change] = []
    others: list[Change] = []
    for key, new in now.items():
        old = before.get(key)
        if old is None or old == new or key in written or (key, new) in recorded:
            continue
        is_of_values = key.partition(":")[0] in _OF_VALUES and ":" in key
        kind = key.partition(":")[0] if ":" in key else "library"
        entry = Change(number, kind, key, old, new, (reason or "") if is_of_values else "", current_user(), time)
        (of_values if is_of_values else others).append(entry)
    if of_values and is_finished:
        return ChangedOrigins((), others, {c.key: c.old for c in of_values})
    if of_values and reason is None:
        n_values = sum(o.values is not None for o in ledger.observations())
        if n_values:
            raise ConfigError(_refusal([c.key for c in of_values], n_values))
    return ChangedOrigins(of_values, others)


def describe(changes: Sequence[Change]) -> str:
    """Return changed origins in one line: ``rdkit 2025.9.1 -> 2026.3.1, oracle: score.py``."""
    return ", ".join(c.key if ":" in c.key else f"{c.key} {c.old} -> {c.new}" for c in changes)


def _refusal(keys: Sequence[str], n_values: int) -> str:
    return (
        f"{', '.join(keys)} changed since the last start, so new values might not be comparable with the {n_values} in "
        "the ledger; restore what changed, or, if they are comparable, start with --accept-change REASON (in Python: "
        "accept_change=REASON), which the ledger records; otherwise begin a new campaign with another --run-dir"
    )


# ---- the files of a config -------------------------------------------------------------------------------------------


def _files_of(content: Any) -> list[Path]:
    """Return the files that a section of a config names: its data, its scripts and the code of its parts, no logs."""
    found: dict[Path, None] = {}
    for key, text in _texts(content):
        if key == "target":
            module = text.partition(":")[0]
            found |= dict.fromkeys(module_files(module))
        elif text and "\n" not in text and len(text) < 4096:
            try:  # a job's folder may be gone
                path = Path(text.replace("{here}", str(Path.cwd())) if "{here}" in text else text).expanduser()
                is_file = path.is_file()
            except (OSError, RuntimeError, ValueError):
                continue
            if is_file and not _OUTPUT_KEY.search(key) and path.suffix.casefold() not in _OUTPUT_SUFFIXES:
                found[path] = None
                if path.suffix == ".py":
                    found |= dict.fromkeys(_imports_beside(path, path.absolute().parent))
    return list(found)


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a section with the name of its key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, child in value.items():
            yield from _texts(child, str(name))
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _texts(child, key)


def module_files(module: str) -> list[Path]:
    """Return the source file of a user's module, and those of the modules beside it that it imports.

    Args:
        module: the name of the module; an installed one has no files here.
    """
    if module.partition(".")[0] == al_loop.__name__:
        return []
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None or not spec.origin or not Path(spec.origin).is_file() or _is_installed(Path(spec.origin)):
        return []
    source = Path(spec.origin)
    root = source.parents[module.count(".") + (source.stem == "__init__")]
    return [source, *_imports_beside(source, root)]


def _imports_beside(source: Path, root: Path) -> list[Path]:
    """Return the files below a folder that a file imports, directly or by others, without importing them."""
    found: dict[Path, None] = {}
    queue, names_in = [source], lru_cache(None)(_names_in)
    while queue:
        path = queue.pop()
        for name in _imported_names(path, path.stat().st_mtime_ns):
            for base in dict.fromkeys((root, path.parent)):
                if name.partition(".")[0] not in names_in(base):
                    continue
                place = base.joinpath(*name.split("."))
                for file in (place.with_suffix(".py"), place / "__init__.py"):
                    if file.is_file() and file not in found and file != source:
                        found[file] = None
                        queue.append(file)
    return sorted(found)


def _names_in(folder: Path) -> set[str]:
    """Return the names of what is in a folder, without suffixes."""
    return {entry.name.partition(".")[0] for entry in folder.iterdir()}


@lru_cache(maxsize=512)
def _imported_names(path: Path, changed_ns: int) -> tuple[str, ...]:
    """Return the modules that a file may import, with every name of ``from`` imports taken for a module, too."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    names: dict[str, None] = {}
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            modules = [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
        else:
            continue
        for module in filter(None, modules):
            parts = module.split(".")
            names |= dict.fromkeys(".".join(parts[: i + 1]) for i in range(len(parts)))
    return tuple(names)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements; no expression holds an import, and most of a file's nodes are expressions."""
    blocks = (getattr(node, name, ()) for name in ("body", "orelse", "finalbody", "handlers", "cases"))
    for child in chain.from_iterable(block for block in blocks if isinstance(block, list)):
        yield child
        yield from _statements(child)


def _is_installed(path: Path) -> bool:
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    folders.add(str(Path(al_loop.__file__).parent))
    real = path.resolve()
    return any(real.is_relative_to(Path(folder).resolve()) for folder in folders)


def _digest(path: Path) -> str:
    """Return the start of the SHA-256 of a file's content."""
    try:
        stat = path.stat()
        if stat.st_size > _LARGEST_PROGRAM:
            return f"{stat.st_size} bytes of {stat.st_mtime_ns}"
        return _digest_of(path, stat.st_mtime_ns, stat.st_size)
    except OSError:
        return "unreadable"


@lru_cache(maxsize=512)
def _digest_of(path: Path, changed_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
