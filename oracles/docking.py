"""Docking by AutoDock Vina's Python bindings and meeko; Open Babel is not needed."""

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

#: kcal/mol. A pose that leaves the box costs 1,000,000 per Å in Vina: such a score says that the ligand does not fit
OUTSIDE = 1_000.0


class Docking(Oracle):
    """Docking score (kcal/mol) of a SMILES in one or several rigid receptors by AutoDock Vina.

    A ligand is taken as its SMILES is written (no protonation states or tautomers are made), embedded by RDKit (ETKDGv3
    + MMFF94) and prepared by meeko, once for all proteins. The same seed and build of Vina give the same score,
    whatever was docked before and beside it. At exhaustiveness 1 the scores of two seeds may be 2 kcal/mol apart, at 8
    less than 1 (benchmarks/oracles/docking_cost.py, with the time): use it as a low fidelity. In each worker every
    protein takes 2 to 3 seconds once, and a quarter of a gigabyte for its maps.

    Vina 1.2: Eberhardt et al., J. Chem. Inf. Model. 2021, 61, 3891. The shipped receptor ``seh_4jnc`` is soluble
    epoxide hydrolase (PDB 4JNC), see oracles/data/README.md. dockstring: García-Ortegón et al., J. Chem. Inf. Model.
    2022, 62, 3486; it protonates ligands at pH 7.4, which is not done here. Of twelve neutral ones in its data set the
    scores differ by 0.23 kcal/mol on average, at most by 0.97 (benchmarks/oracles/docking_published.py).

    Args:
        receptor: one protein, whose score is the objective ``docking_score``: ``seh_4jnc`` (the default),
            ``dockstring:TARGET``, or the path of a rigid receptor, ``.pdbqt`` or ``.pdbqt.gz``.
        center: of the search box, in Å; required with a file.
        box_size: edges of the search box, in Å; left out: dockstring's own for its targets, else 22.5 each.
        proteins: several proteins in place of these three, each an objective of its name in kcal/mol: ``{receptor:
            ..., center: ..., box_size: ..., goal: minimise | maximise}``. Where one has no score, none is given.
        exhaustiveness: independent searches; time grows in proportion.
        n_poses: poses that a search keeps (9, as in Vina's command line); the best one gives the score.
        seed: of the embedding and the search, at least 1 (at 0 Vina draws another each time).
        cpu: threads of one docking; one worker is meant to use one core.
        scoring: the scoring function. vinardo: Quiroga, Villarreal, PLoS ONE 2016, 11, e0155183.
        keep_pose: keep the best pose as the artifacts ``pose.pdbqt`` and ``pose.sdf`` (with bond orders, hydrogens and
            the score), or ``pose_NAME.pdbqt`` and ``pose_NAME.sdf`` of each protein.
    """

    kind = "docking"
    libraries = ("vina", "meeko", "rdkit")
    object_type = "molecule"

    def __init__(
        self,
        receptor: str | None = None,
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
                raise ConfigError(f"{name}: {number} is not a number of at least 1")
        if scoring not in ("vina", "vinardo"):
            raise ConfigError(f"scoring: {scoring!r} is not one of vina, vinardo")
        self.is_single = proteins is None
        if proteins is None:
            try:
                one = Protein("seh_4jnc" if receptor is None else receptor, center, box_size)
            except ValueError as error:
                raise ConfigError(str(error)) from error
            proteins = {"docking_score": one}
        elif (receptor, center, box_size) != (None, None, None):
            raise ConfigError("proteins: give receptor, center and box_size of each protein there, not beside it")
        wrong = [name for name in proteins if not re.fullmatch(r"\w[\w.-]*", name)]  # it names files and columns
        if wrong or not proteins:
            raise ConfigError(f"proteins: {', '.join(map(repr, wrong)) or 'none'}: give names of letters, digits, _.-")
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
        with suppress(ConfigError):  # check() tells it; until then a config can be read where its receptors are not
            self._read()

    def check(self) -> None:
        """Raises ConfigError where a library is missing, a receptor cannot be read, or a box lies away from it."""
        _libraries()
        for name, site in self._read().items():
            try:
                _with_receptor(self.scoring, site, self.seed, self.cpu)
            except ConfigError as error:
                raise ConfigError(f"{self._key(name)}{error}") from error

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yields the score of the best pose in each protein, in kcal/mol, for each SMILES."""
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
                except Exception as error:  # meeko and RDKit raise many types; the score and the PDBQT are not lost
                    info[f"{file}.sdf"] = f"not written: {type(error).__name__}: {error!s:.200}"
        return Outcome(values=tuple(scores), info=info, artifacts=artifacts)

    def _dock(self, name: str, ligand: str) -> tuple[float, str]:
        """The best pose's score in kcal/mol, and the pose as PDBQT text."""
        engine = self._engine(name)
        try:
            engine.set_ligand_from_string(ligand)
        except (TypeError, RuntimeError, ValueError) as error:  # an atom type without parameters, boron for one
            raise OracleError("invalid", f"Vina cannot take the ligand: {_one_line(error)}") from error
        engine.dock(exhaustiveness=self.exhaustiveness, n_poses=self.n_poses)
        energies = engine.energies(n_poses=1)
        score = float(energies[0][0]) if len(energies) else OUTSIDE
        if score >= OUTSIDE:
            raise OracleError("invalid", f"Vina found no pose inside the box of {self._sites[name].box_size} Å")
        return score, str(engine.poses(n_poses=1))

    def _engine(self, name: str) -> Any:
        """The protein's Vina with its maps; kept here too, so that many proteins do not take turns in the cache."""
        if name not in self._engines:
            self._engines[name] = _with_maps(self.scoring, self._read()[name], self.seed, self.cpu)
        return self._engines[name]

    def _read(self) -> dict[str, Site]:
        """The receptors and boxes, read once; sets the version by what they hold. Raises ConfigError."""
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
    """A Vina with the receptor. ConfigError: Vina cannot take it."""
    vina, _ = _libraries()
    engine = vina.Vina(sf_name=scoring, cpu=cpu, seed=seed, verbosity=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "receptor.pdbqt"
        path.write_text(site.pdbqt)
        try:
            engine.set_receptor(str(path))
        except (TypeError, RuntimeError, ValueError) as error:
            raise ConfigError(f"receptor: Vina cannot take it: {_one_line(error)}") from error
    return engine


@lru_cache(maxsize=4)
def _with_maps(scoring: str, site: Site, seed: int, cpu: int) -> Any:
    """A Vina with the receptor's maps, which take seconds to compute; other oracles of this process share it."""
    engine = _with_receptor(scoring, site, seed, cpu)
    engine.compute_vina_maps(center=list(site.center), box_size=list(site.box_size))
    return engine


def _one_line(error: Exception) -> str:
    """What Vina says, without what its C++ wrapper adds."""
    said = str(error).partition("Additional information:")[0]
    return f"{' '.join(said.split()):.200}"


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


def _sdf(pose: str, smiles: str, name: str, score: float) -> str:
    """A pose as an SDF record: bond orders and hydrogens as in the SMILES, the score in kcal/mol under the name."""
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
