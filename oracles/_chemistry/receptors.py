"""Rigid receptors for docking: shipped ones, those of the dockstring package, and a user's own files."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from al_loop.errors import ConfigError
from al_loop.oracles.base import Goal
from al_loop.system.path_texts import PathOrName

Vector = tuple[float, float, float]

#: receptors that the package ships (oracles/data): name -> centre of the co-crystal ligand, in Å
SHIPPED: dict[str, Vector] = {"seh_4jnc": (-13.39, 26.34, -13.32)}
#: prefix of a target of the dockstring package, e.g. ``dockstring:DRD2``
DOCKSTRING = "dockstring:"
#: default edges of the search box, in Å
BOX_SIZE: Vector = (22.5, 22.5, 22.5)
#: Å. The distance beyond which atoms do not interact in Vina
CUTOFF = 8.0


@dataclass(frozen=True)
class Site:
    """A rigid receptor and its search box.

    Args:
        pdbqt: the receptor's PDBQT text.
        center: centre of the search box, in Å.
        box_size: edges of the search box, in Å.
    """

    pdbqt: str
    center: Vector
    box_size: Vector

    @property
    def digest(self) -> str:
        """Return a hash of the receptor and its box."""
        content = f"{self.center} {self.box_size}\n{self.pdbqt}"
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Protein:
    """A protein to dock into, as a config names it.

    Args:
        receptor: ``seh_4jnc``, ``dockstring:TARGET`` (one of the 58 of that package, with its box), or the path of a
            rigid receptor, ``.pdbqt`` or ``.pdbqt.gz``.
        center: centre of the search box, in Å; required with a file, otherwise that of the receptor's own ligand.
        box_size: edges of the search box, in Å; by default dockstring's own for its targets, otherwise 22.5 each.
        goal: ``minimise`` for a target, ``maximise`` for a protein that must not be bound.

    Raises:
        ValueError: a value is wrong, whatever the files contain.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    receptor: PathOrName
    center: Vector | None = None
    box_size: Vector | None = None
    goal: Goal = "minimise"

    def __post_init__(self) -> None:
        is_known = self.receptor in SHIPPED or self.receptor.startswith(DOCKSTRING)
        if not is_known and not self.receptor.endswith((".pdbqt", ".pdbqt.gz")):
            raise ValueError(
                f"receptor: {self.receptor!r} is not one of {', '.join(SHIPPED)}, {DOCKSTRING}TARGET, "
                "or a .pdbqt or .pdbqt.gz file"
            )
        if not is_known and self.center is None:
            raise ValueError(
                f"center: required with the receptor file {self.receptor!r}; give x, y, z of the pocket, in Å"
            )
        for name, numbers in (("center", self.center), ("box_size", self.box_size)):
            if numbers is not None and (len(numbers) != 3 or not all(math.isfinite(number) for number in numbers)):
                raise ValueError(f"{name}: {numbers}, expected three finite numbers, in Å")
        if self.box_size is not None and min(self.box_size) <= 0:
            raise ValueError(f"box_size: {self.box_size}, expected edges above 0 Å")

    def read(self) -> Site:
        """Read the receptor and its box.

        Raises:
            ConfigError: the file or the dockstring package is missing or unreadable, there is no such target, the file
                is not PDBQT, or no atom is near the box.
        """
        center, box_size = SHIPPED.get(self.receptor), BOX_SIZE
        if self.receptor in SHIPPED:
            packed = (resources.files("al_loop.oracles") / "data" / f"{self.receptor}_receptor.pdbqt.gz").read_bytes()
            text = gzip.decompress(packed).decode()
        elif self.receptor.startswith(DOCKSTRING):
            text, center, box_size = _read_dockstring(self.receptor.removeprefix(DOCKSTRING))
        else:
            text = _read_file(self.receptor)
        center = center if self.center is None else self.center
        assert center is not None, "checked in __post_init__"
        site = Site(text, _vector(center), _vector(box_size if self.box_size is None else self.box_size))
        reach = [edge / 2 + CUTOFF for edge in site.box_size]
        if not any(
            all(abs(atom[i] - site.center[i]) <= reach[i] for i in range(3)) for atom in _atoms(text, self.receptor)
        ):
            raise ConfigError(
                f"center: no receptor atom is near the box of {site.box_size} Å around {site.center}; check center"
            )
        return site


def _read_file(receptor: str) -> str:
    try:
        content = Path(receptor).expanduser().read_bytes()
        return (gzip.decompress(content) if receptor.endswith(".gz") else content).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigError(f"receptor: cannot read {receptor!r}: {error}") from error


def _read_dockstring(target: str) -> tuple[str, Vector, Vector]:
    """Read the receptor, and the centre and edges of its box, from the package's files.

    The package itself is not imported, since it requires Open Babel, which its files do not need.
    """
    spec = importlib.util.find_spec("dockstring")
    if spec is None or spec.origin is None:
        raise ConfigError(f"receptor: {DOCKSTRING}{target} needs the package dockstring: pip install dockstring")
    folder = Path(spec.origin).parent / "resources" / "targets"
    targets = sorted(path.name.removesuffix("_target.pdbqt") for path in folder.glob("*_target.pdbqt"))
    if target not in targets:
        raise ConfigError(
            f"receptor: {target!r} is not one of dockstring's {len(targets)} targets: {', '.join(targets)}"
        )
    try:
        text = (folder / f"{target}_target.pdbqt").read_text(encoding="utf-8")
        pairs = [line.split("=") for line in (folder / f"{target}_conf.txt").read_text().splitlines() if "=" in line]
        box = {key.strip(): float(value) for key, value in pairs}
        center = _vector([box[f"center_{axis}"] for axis in "xyz"])
        return text, center, _vector([box[f"size_{axis}"] for axis in "xyz"])
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"receptor: cannot read {DOCKSTRING}{target} in {folder} ({error}); reinstall dockstring 0.3"
        ) from error


def _atoms(pdbqt: str, receptor: str) -> list[Vector]:
    """Return the coordinates of all atoms in Å, by the fixed columns of the format.

    Raises:
        ConfigError: there is no atom, or a line is not PDBQT. Vina would end the whole process at an atom without a
            type, as in a plain PDB file.
    """
    atoms = []
    for number, line in enumerate(pdbqt.splitlines(), 1):
        if line.startswith(("ATOM", "HETATM")):
            try:
                atoms.append(_vector([float(line[start : start + 8]) for start in (30, 38, 46)]))
            except ValueError as error:
                raise ConfigError(f"receptor: {receptor!r} is not a PDBQT file, line {number}: {error}") from error
            if not line[77:79].strip():
                raise ConfigError(
                    f"receptor: {receptor!r} is not a PDBQT file: the atom in line {number} has no AutoDock type; "
                    "prepare the receptor, e.g. with meeko's mk_prepare_receptor.py"
                )
    if not atoms:
        raise ConfigError(f"receptor: {receptor!r} contains no atoms")
    return atoms


def _vector(numbers: Sequence[float]) -> Vector:
    x, y, z = (float(number) for number in numbers)
    return x, y, z
