"""Docking by AutoDock Vina's Python bindings and meeko, without Open Babel."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from al_loop.errors import ConfigError
from al_loop.oracles._chemistry.conformer import embed, parse, require_rdkit
from al_loop.oracles._chemistry.receptors import Protein, Site
from al_loop.oracles.base import Objective, Oracle, OracleError, Outcome
from al_loop.system.path_texts import PathOrName

#: kcal/mol. A pose outside the box costs 1,000,000 per Å in Vina, so a score above this means that the ligand does
#: not fit into it
OUTSIDE = 1_000.0


class Docking(Oracle):
    """Docking score (kcal/mol) of a SMILES in one or several rigid receptors by AutoDock Vina.

    A ligand is docked as its SMILES is written (no protonation states or tautomers are generated), embedded by RDKit
    (ETKDGv3 + MMFF94) and prepared by meeko, once for all proteins. The same seed and build of Vina give the same
    score, independent of other dockings. With exhaustiveness 1 the scores of two seeds may differ by 2 kcal/mol, with 8
    by less than 1 (benchmarks/oracles/docking_cost.py, with timings), so exhaustiveness 1 is suitable as a low
    fidelity. Each protein costs every worker 2 to 3 seconds once, and a quarter of a gigabyte for its maps.

    Vina 1.2: Eberhardt et al., J. Chem. Inf. Model. 2021, 61, 3891. The shipped receptor ``seh_4jnc`` is soluble
    epoxide hydrolase (PDB 4JNC), see oracles/data/README.md. dockstring: García-Ortegón et al., J. Chem. Inf. Model.
    2022, 62, 3486; it protonates ligands at pH 7.4, which is not done here. For twelve neutral ligands of its data set
    the scores differ by 0.23 kcal/mol on average and by at most 0.97 (benchmarks/oracles/docking_published.py).

    Args:
        receptor: one protein, whose score is the objective ``docking_score``: ``seh_4jnc`` (the default),
            ``dockstring:TARGET``, or the path of a rigid receptor, ``.pdbqt`` or ``.pdbqt.gz``.
        center: centre of the search box, in Å; required with a file.
        box_size: edges of the search box, in Å; by default dockstring's own for its targets, otherwise 22.5 each.
        proteins: several proteins in place of these three, each an objective of its name in kcal/mol: ``{receptor:
            ..., center: ..., box_size: ..., goal: minimise | maximise}``. If one has no score, the object fails.
        exhaustiveness: number of independent searches; the time is proportional to it.
        n_poses: number of poses that a search keeps (9, as in Vina's command line); the best one gives the score.
        seed: seed of the embedding and the search, at least 1 (with 0 Vina draws a new seed each time).
        cpu: number of threads of one docking; a worker is meant to use one core.
        scoring: the scoring function. vinardo: Quiroga, Villarreal, PLoS ONE 2016, 11, e0155183.
        keep_pose: whether to store the best pose as the artifacts ``pose.pdbqt`` and ``pose.sdf`` (with bond orders,
            hydrogens and the score), or ``pose_NAME.pdbqt`` and ``pose_NAME.sdf`` for each of several proteins.
    """

    kind = "docking"
    libraries = ("vina", "meeko", "rdkit")
    object_type = "molecule"

    def __init__(
        self,
        receptor: PathOrName | None = None,
        center: tuple[float, float, float] | None = None,
        box_size: tuple[float, float, float] | None = None,
        proteins: dict[str, Protein] | None = None,
        exhaustiveness: int = 8,
        n_poses: int = 9,
        seed: int = 1,
        cpu: int = 1,
        scoring: Literal["vina", "vinardo"] = "vina",
        keep_pose: bool = True,
    ) -> None:
        counts = {"exhaustiveness": exhaustiveness, "n_poses": n_poses, "seed": seed, "cpu": cpu}
        for name, number in counts.items():
            if number < 1:
                raise ConfigError(f"{name}: {number}, expected at least 1")
        if scoring not in ("vina", "vinardo"):
            raise ConfigError(f"scoring: {scoring!r} is not one of vina, vinardo")
        self.is_single = proteins is None
        if proteins is None:
            try:
                protein = Protein("seh_4jnc" if receptor is None else receptor, center, box_size)
            except ValueError as error:
                raise ConfigError(str(error)) from error
            proteins = {"docking_score": protein}
        elif (receptor, center, box_size) != (None, None, None):
            raise ConfigError(
                "proteins: move receptor, center and box_size into each of the proteins; they do not apply beside it"
            )
        # names become file names and columns
        invalid = [name for name in proteins if not re.fullmatch(r"\w[\w.-]*", name)]
        if invalid or not proteins:
            raise ConfigError(
                f"proteins: {', '.join(map(repr, invalid)) or 'none'}; expected one or more names of letters, digits "
                "and _.-, starting with a letter, digit or _"
            )
        self.objectives = tuple(Objective(name, "kcal/mol", protein.goal) for name, protein in proteins.items())
        self.proteins = dict(proteins)
        self.exhaustiveness = exhaustiveness
        self.n_poses = n_poses
        self.seed = seed
        self.cpu = cpu
        self.scoring = scoring
        self.keep_pose = keep_pose
        self._sites: dict[str, Site] = {}
        self._engines: dict[str, Any] = {}
        with suppress(ConfigError):  # check() reports it; a config may be read on a machine without its receptors
            self._read()

    def check(self) -> None:
        """Verify the libraries, the receptors and their boxes.

        Raises:
            ConfigError: a library is missing, a receptor cannot be read, or a box is not near its receptor.
        """
        _libraries()
        for name, site in self._read().items():
            try:
                _with_receptor(self.scoring, site, self.seed, self.cpu)
            except ConfigError as error:
                raise ConfigError(f"{self._key(name)}{error}") from error

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the scores of the best pose in each protein, in kcal/mol, for each SMILES."""
        for smiles in objects:
            try:
                yield self._measure(smiles)
            except OracleError as error:
                yield Outcome(failure=error.failure)

    def _measure(self, smiles: str) -> Outcome:
        ligand = _ligand(smiles, self.seed)
        scores: list[float] = []
        info: dict[str, object] = {}
        artifacts: dict[str, str] = {}
        for name in self.proteins:
            try:
                score, pose = self._dock(name, ligand)
            except OracleError as error:
                if self.is_single:
                    raise
                raise OracleError(error.failure.kind, f"{name}: {error}") from error
            scores.append(score)
            if self.keep_pose:
                file = "pose" if self.is_single else f"pose_{name}"
                artifacts[f"{file}.pdbqt"] = pose
                try:
                    artifacts[f"{file}.sdf"] = _sdf(pose, smiles, name, score)
                except Exception as error:  # meeko and RDKit raise many types; the score and the PDBQT are kept
                    info[f"{file}.sdf"] = f"not written: {type(error).__name__}: {error!s:.200}"
        return Outcome(values=tuple(scores), info=info, artifacts=artifacts)

    def _dock(self, name: str, ligand: str) -> tuple[float, str]:
        """Return the best pose's score in kcal/mol, and the pose as PDBQT text."""
        engine = self._engine(name)
        try:
            engine.set_ligand_from_string(ligand)
        except (TypeError, RuntimeError, ValueError) as error:  # an atom type without parameters, e.g. boron
            raise OracleError("invalid", f"Vina rejects the ligand: {_vina_message(error)}") from error
        engine.dock(exhaustiveness=self.exhaustiveness, n_poses=self.n_poses)
        energies = engine.energies(n_poses=1)
        score = float(energies[0][0]) if len(energies) else OUTSIDE
        if score >= OUTSIDE:
            raise OracleError("invalid", f"Vina found no pose inside the box of {self._sites[name].box_size} Å")
        return score, str(engine.poses(n_poses=1))

    def _engine(self, name: str) -> Any:
        """Return the protein's Vina with its maps; stored here too, since the cache is too small for many proteins."""
        if name not in self._engines:
            self._engines[name] = _with_maps(self.scoring, self._read()[name], self.seed, self.cpu)
        return self._engines[name]

    def _read(self) -> dict[str, Site]:
        """Read the receptors and boxes once, and set the version by their content, or raise ConfigError."""
        if not self._sites:
            sites = {}
            for name, protein in self.proteins.items():
                try:
                    sites[name] = protein.read()
                except ConfigError as error:
                    raise ConfigError(f"{self._key(name)}{error}") from error
            digests = "".join(site.digest for site in sites.values())
            self.version = f"1 receptor {hashlib.sha256(digests.encode()).hexdigest()[:12]}"
            self._sites = sites
        return self._sites

    def _key(self, name: str) -> str:
        return "" if self.is_single else f"proteins.{name}."

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engines": {}}  # a Vina cannot be pickled


def _libraries() -> tuple[Any, Any]:
    require_rdkit()
    try:
        import meeko
        import vina
    except ImportError as error:
        remedy = f'pip install "al-loop[docking]" ({error})'
        raise ConfigError(f"oracle.kind docking needs vina, meeko and gemmi: {remedy}") from error
    return vina, meeko


def _with_receptor(scoring: str, site: Site, seed: int, cpu: int) -> Any:
    """Return a Vina with the receptor, or raise ConfigError if Vina rejects it."""
    vina, _ = _libraries()
    engine = vina.Vina(sf_name=scoring, cpu=cpu, seed=seed, verbosity=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "receptor.pdbqt"
        path.write_text(site.pdbqt)
        try:
            engine.set_receptor(str(path))
        except (TypeError, RuntimeError, ValueError) as error:
            raise ConfigError(f"receptor: Vina rejects it: {_vina_message(error)}") from error
    return engine


@lru_cache(maxsize=4)
def _with_maps(scoring: str, site: Site, seed: int, cpu: int) -> Any:
    """Return a Vina with the receptor's maps, which take seconds to compute and are shared within this process."""
    engine = _with_receptor(scoring, site, seed, cpu)
    engine.compute_vina_maps(center=list(site.center), box_size=list(site.box_size))
    return engine


def _vina_message(error: Exception) -> str:
    """Join Vina's message, whose second line is the offending atom, and drop what its C++ wrapper appends."""
    message = str(error).partition("Additional information:")[0]
    return f"{' '.join(message.split()):.200}"


def _ligand(smiles: str, seed: int) -> str:
    """Return the PDBQT text of one ligand.

    Raises:
        OracleError: ``invalid``, RDKit or meeko cannot prepare it.
    """
    _, meeko = _libraries()
    molecule = embed(parse(smiles), 1, seed)
    try:
        setups = meeko.MoleculePreparation().prepare(molecule)
        text, is_ok, reason = meeko.PDBQTWriterLegacy.write_string(setups[0])
    except Exception as error:  # meeko raises exceptions of many types for molecules that it does not support
        raise OracleError("invalid", f"meeko cannot prepare the ligand: {error!s:.200}") from error
    if not is_ok or not text:  # Vina ends the whole process if it is given an empty ligand
        reasons = "; ".join(dict.fromkeys(reason.split("\n"))).strip("; ")
        raise OracleError("invalid", f"meeko cannot prepare the ligand: {reasons:.200}")
    return str(text)


def _sdf(pose: str, smiles: str, name: str, score: float) -> str:
    """Write a pose as an SDF record, with the SMILES's bond orders and hydrogens, and the score under ``name``."""
    from rdkit import Chem

    _, meeko = _libraries()
    (molecule,) = meeko.RDKitMolCreate.from_pdbqt_mol(meeko.PDBQTMolecule(pose, skip_typing=True))
    molecule.SetProp("_Name", smiles)
    molecule.SetProp(name, f"{score:.3f}")
    buffer = io.StringIO()
    with Chem.SDWriter(buffer) as writer:
        writer.SetProps([name])
        writer.write(molecule)
    return buffer.getvalue()
