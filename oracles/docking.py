"""Docking by AutoDock Vina's Python bindings and meeko; Open Babel is not needed."""

from __future__ import annotations

import gzip
import math
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from al_loop.errors import ConfigError
from oracles.base import Objective, Oracle, OracleError, Outcome
from oracles.conformer import embed, parse, require_rdkit

Vector = tuple[float, float, float]

#: receptors that the package ships (oracles/data): name -> centre of the co-crystal ligand, in Å
SHIPPED: dict[str, Vector] = {"seh_4jnc": (-13.39, 26.34, -13.32)}
#: kcal/mol. A pose that leaves the box costs 1,000,000 per Å in Vina: such a score says that the ligand does not fit
OUTSIDE = 1_000.0


def _libraries() -> tuple[Any, Any]:
    require_rdkit()
    try:
        import meeko
        import vina
    except ImportError as error:
        remedy = f'pip install "al-loop[docking]" ({error})'
        raise ConfigError(f"oracle.kind docking needs vina, meeko and gemmi: {remedy}") from error
    return vina, meeko


def _receptor_text(receptor: str) -> str:
    """The PDBQT text of a shipped receptor or of a file, plain or gzipped."""
    if receptor in SHIPPED:
        packed = (resources.files("oracles") / "data" / f"{receptor}_receptor.pdbqt.gz").read_bytes()
        return gzip.decompress(packed).decode()
    try:
        content = Path(receptor).expanduser().read_bytes()
        return (gzip.decompress(content) if receptor.endswith(".gz") else content).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"receptor: cannot read {receptor!r}: {error}") from error


def _atoms(pdbqt: str) -> list[Vector]:
    """Coordinates in Å, by the fixed columns of the PDB format."""
    lines = (line for line in pdbqt.splitlines() if line.startswith(("ATOM", "HETATM")))
    return [(float(line[30:38]), float(line[38:46]), float(line[46:54])) for line in lines]


@lru_cache(maxsize=4)
def _engine(scoring: str, receptor: str, center: Vector, box_size: Vector, seed: int, cpu: int) -> Any:
    """A Vina with its maps, made once in each process: the maps take seconds, and the object cannot be pickled."""
    vina, _ = _libraries()
    engine = vina.Vina(sf_name=scoring, cpu=cpu, seed=seed, verbosity=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "receptor.pdbqt"
        path.write_text(_receptor_text(receptor))
        engine.set_receptor(str(path))
    engine.compute_vina_maps(center=list(center), box_size=list(box_size))
    return engine


class Docking(Oracle):
    """Docking score (kcal/mol) of a SMILES in a rigid receptor by AutoDock Vina.

    A ligand is taken as its SMILES is written (no protonation states or tautomers are made), embedded by RDKit (ETKDGv3
    + MMFF94) and prepared by meeko. The same seed and the same build of Vina give the same score. At exhaustiveness 1
    the score of a flexible ligand is a rough one, several kcal/mol off at times: use it as a low fidelity.

    Vina 1.2: Eberhardt et al., J. Chem. Inf. Model. 2021, 61, 3891. The shipped receptor ``seh_4jnc`` is soluble
    epoxide hydrolase (PDB 4JNC), see oracles/data/README.md.

    Args:
        receptor: ``seh_4jnc``, or the path of a rigid receptor, ``.pdbqt`` or ``.pdbqt.gz``.
        center: of the search box, in Å; the co-crystal ligand's centre for the shipped receptor, else required.
        box_size: edges of the search box, in Å.
        exhaustiveness: independent searches; time grows in proportion.
        n_poses: poses that a search keeps (9, as in Vina's command line); the best one gives the score.
        seed: of the embedding and the search, at least 1 (at 0 Vina draws another each time).
        cpu: threads of one docking; one worker is meant to use one core.
        scoring: the scoring function. vinardo: Quiroga, Villarreal, PLoS ONE 2016, 11, e0155183.
        keep_pose: keep the best pose as PDBQT text in ``info["pose_pdbqt"]``.
    """

    kind = "docking"
    object_type = "molecule"
    objectives = (Objective("docking_score", "kcal/mol", "minimise"),)

    def __init__(
        self,
        receptor: str = "seh_4jnc",
        center: tuple[float, float, float] | None = None,
        box_size: tuple[float, float, float] = (22.5, 22.5, 22.5),
        exhaustiveness: int = 8,
        n_poses: int = 9,
        seed: int = 1,
        cpu: int = 1,
        scoring: Literal["vina", "vinardo"] = "vina",
        keep_pose: bool = False,
    ) -> None:
        counts = {"exhaustiveness": exhaustiveness, "n_poses": n_poses, "seed": seed, "cpu": cpu}
        for name, number in counts.items():
            if number < 1:
                raise ConfigError(f"{name}: {number} is not a number of at least 1")
        if scoring not in ("vina", "vinardo"):
            raise ConfigError(f"scoring: {scoring!r} is not one of vina, vinardo")
        if receptor not in SHIPPED and not receptor.endswith((".pdbqt", ".pdbqt.gz")):
            raise ConfigError(f"receptor: {receptor!r} is none of {', '.join(SHIPPED)}, nor a .pdbqt or .pdbqt.gz file")
        center = SHIPPED.get(receptor) if center is None else center
        if center is None:
            raise ConfigError(f"center: required with the receptor {receptor!r} (x, y, z of the pocket, in Å)")
        self.center = _vector("center", center)
        self.box_size = _vector("box_size", box_size)
        if min(self.box_size) <= 0:
            raise ConfigError(f"box_size: {self.box_size} has an edge that is not above 0")
        self.receptor = receptor
        self.exhaustiveness = exhaustiveness
        self.n_poses = n_poses
        self.seed = seed
        self.cpu = cpu
        self.scoring = scoring
        self.keep_pose = keep_pose

    def check(self) -> None:
        """Raises ConfigError where a library is missing, the receptor cannot be read, or the box lies outside it."""
        _libraries()
        try:
            atoms = _atoms(_receptor_text(self.receptor))
        except ValueError as error:
            raise ConfigError(f"receptor: {self.receptor!r} is not a PDBQT file: {error}") from error
        if not atoms:
            raise ConfigError(f"receptor: {self.receptor!r} holds no atoms")
        half = [edge / 2 for edge in self.box_size]
        if not any(all(abs(atom[i] - self.center[i]) <= half[i] for i in range(3)) for atom in atoms):
            raise ConfigError(f"center: no receptor atom lies in the box of {self.box_size} Å around {self.center}")

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yields the best pose's score in kcal/mol for each SMILES."""
        for smiles in objects:
            try:
                yield self._dock(_ligand(smiles, self.seed))
            except OracleError as error:
                yield Outcome(failure=error.failure)

    def _dock(self, pdbqt: str) -> Outcome:
        engine = _engine(self.scoring, self.receptor, self.center, self.box_size, self.seed, self.cpu)
        try:
            engine.set_ligand_from_string(pdbqt)
        except (TypeError, RuntimeError, ValueError) as error:  # an atom type without parameters, boron for one
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise OracleError("invalid", f"Vina cannot take the ligand: {' '.join(lines):.200}") from error
        engine.dock(exhaustiveness=self.exhaustiveness, n_poses=self.n_poses)
        energies = engine.energies(n_poses=1)
        score = float(energies[0][0]) if len(energies) else OUTSIDE
        if score >= OUTSIDE:
            raise OracleError("invalid", f"Vina found no pose inside the box of {self.box_size} Å")
        info = {"pose_pdbqt": engine.poses(n_poses=1)} if self.keep_pose else {}
        return Outcome(values=(score,), info=info)


def _vector(name: str, numbers: Sequence[float]) -> Vector:
    if len(numbers) != 3 or not all(math.isfinite(number) for number in numbers):
        raise ConfigError(f"{name}: {numbers} is not three finite numbers, in Å")
    x, y, z = (float(number) for number in numbers)
    return x, y, z


def _ligand(smiles: str, seed: int) -> str:
    """The PDBQT text of one ligand.

    Raises:
        OracleError: ``invalid``, where RDKit or meeko cannot prepare it.
    """
    _, meeko = _libraries()
    molecule = embed(parse(smiles), 1, seed)
    try:
        setups = meeko.MoleculePreparation().prepare(molecule)
        text, is_ok, reason = meeko.PDBQTWriterLegacy.write_string(setups[0])
    except Exception as error:  # meeko raises plain exceptions of many types for molecules that it cannot take
        raise OracleError("invalid", f"meeko cannot prepare the ligand: {error!s:.200}") from error
    if not is_ok or not text:  # Vina ends the whole process where it is given an empty ligand
        reasons = "; ".join(dict.fromkeys(reason.split("\n"))).strip("; ")
        raise OracleError("invalid", f"meeko cannot prepare the ligand: {reasons:.200}")
    return str(text)
