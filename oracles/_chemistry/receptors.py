"""Proteins to dock into: receptors that we ship, those of the dockstring package, and a user's own files."""

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

Vector = tuple[float, float, float]

#: receptors that the package ships (oracles/data): name -> centre of the co-crystal ligand, in Å
SHIPPED: dict[str, Vector] = {"seh_4jnc": (-13.39, 26.34, -13.32)}
#: of ``dockstring:DRD2``, a receptor and box of the dockstring package
DOCKSTRING = "dockstring:"
#: edges of the search box, in Å, where nobody says otherwise
BOX_SIZE: Vector = (22.5, 22.5, 22.5)
#: Å, beyond which atoms do not act on each other in Vina
CUTOFF = 8.0


@dataclass(frozen=True)
class Site:
    """A rigid receptor and the box in it that is searched, as they were read.

    pdbqt: the receptor's PDBQT text. center, box_size: of the box, in Å.
    """

    pdbqt: str
    center: Vector
    box_size: Vector

    @property
    def digest(self) -> str:
        """Differs where the receptor or its box differs."""
        content = f"{self.center} {self.box_size}\n{self.pdbqt}"
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Protein:
    """A protein to dock into, as a config names it.

    receptor: ``seh_4jnc``, ``dockstring:TARGET`` (one of the 58 of that package, with its box), or the path of a rigid
        receptor, ``.pdbqt`` or ``.pdbqt.gz``.
    center: of the search box, in Å; required with a file, else left out: where the receptor's own ligand lies.
    box_size: edges of the search box, in Å; left out: dockstring's own for its targets, else 22.5 each.
    goal: ``minimise`` for a target, ``maximise`` for a protein that is not to be bound.

    Raises:
        ValueError: a value that cannot be right, whatever the files hold.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    receptor: str
    center: Vector | None = None
    box_size: Vector | None = None
    goal: Goal = "minimise"

    def __post_init__(self) -> None:
        is_known = self.receptor in SHIPPED or self.receptor.startswith(DOCKSTRING)
        if not is_known and not self.receptor.endswith((".pdbqt", ".pdbqt.gz")):
            raise ValueError(
                f"receptor: {self.receptor!r} is none of {', '.join(SHIPPED)}, {DOCKSTRING}TARGET, "
                "nor a .pdbqt or .pdbqt.gz file"
            )
        if not is_known and self.center is None:
            raise ValueError(f"center: required with the receptor {self.receptor!r} (x, y, z of the pocket, in Å)")
        for name, numbers in (("center", self.center), ("box_size", self.box_size)):
            if numbers is not None and (len(numbers) != 3 or not all(math.isfinite(number) for number in numbers)):
                raise ValueError(f"{name}: {numbers} is not three finite numbers, in Å")
        if self.box_size is not None and min(self.box_size) <= 0:
            raise ValueError(f"box_size: {self.box_size} has an edge that is not above 0")

    def read(self) -> Site:
        """The receptor and its box.

        Raises:
            ConfigError: the file or the dockstring package cannot be read, has no such target, is not PDBQT, or has no
                atom near the box.
        """
        center, box_size = SHIPPED.get(self.receptor), BOX_SIZE
        if self.receptor in SHIPPED:
            packed = (resources.files("al_loop.oracles") / "data" / f"{self.receptor}_receptor.pdbqt.gz").read_bytes()
            text = gzip.decompress(packed).decode()
        elif self.receptor.startswith(DOCKSTRING):
            text, center, box_size = _of_dockstring(self.receptor.removeprefix(DOCKSTRING))
        else:
            text = _of_file(self.receptor)
        center = center if self.center is None else self.center
        assert center is not None, "checked when this was made"
        site = Site(text, _vector(center), _vector(box_size if self.box_size is None else self.box_size))
        reach = [edge / 2 + CUTOFF for edge in site.box_size]
        if not any(
            all(abs(atom[i] - site.center[i]) <= reach[i] for i in range(3)) for atom in _atoms(text, self.receptor)
        ):
            raise ConfigError(f"center: no receptor atom lies near the box of {site.box_size} Å around {site.center}")
        return site


def _of_file(receptor: str) -> str:
    try:
        content = Path(receptor).expanduser().read_bytes()
        return (gzip.decompress(content) if receptor.endswith(".gz") else content).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigError(f"receptor: cannot read {receptor!r}: {error}") from error


def _of_dockstring(target: str) -> tuple[str, Vector, Vector]:
    """Receptor, centre and edges of the box in the package's files.

    The package itself is not imported: it only serves with Open Babel, which its files do not need.
    """
    spec = importlib.util.find_spec("dockstring")
    if spec is None or spec.origin is None:
        raise ConfigError(f"receptor: {DOCKSTRING}{target} needs the receptors of dockstring: pip install dockstring")
    folder = Path(spec.origin).parent / "resources" / "targets"
    known = sorted(path.name.removesuffix("_target.pdbqt") for path in folder.glob("*_target.pdbqt"))
    if target not in known:
        raise ConfigError(f"receptor: {target!r} is none of dockstring's {len(known)} targets: {', '.join(known)}")
    try:
        text = (folder / f"{target}_target.pdbqt").read_text(encoding="utf-8")
        pairs = [line.split("=") for line in (folder / f"{target}_conf.txt").read_text().splitlines() if "=" in line]
        box = {key.strip(): float(value) for key, value in pairs}
        center = _vector([box[f"center_{axis}"] for axis in "xyz"])
        return text, center, _vector([box[f"size_{axis}"] for axis in "xyz"])
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"receptor: cannot read {DOCKSTRING}{target} in {folder} ({error}); install dockstring 0.3 again"
        ) from error


def _atoms(pdbqt: str, receptor: str) -> list[Vector]:
    """Coordinates in Å, by the fixed columns of the format.

    Raises:
        ConfigError: there are none, or a line is not PDBQT. Vina ends the whole process at an atom without a type,
            which is what a plain PDB file looks like to it.
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
                    "prepare the receptor, with meeko's mk_prepare_receptor.py for one"
                )
    if not atoms:
        raise ConfigError(f"receptor: {receptor!r} holds no atoms")
    return atoms


def _vector(numbers: Sequence[float]) -> Vector:
    x, y, z = (float(number) for number in numbers)
    return x, y, z
