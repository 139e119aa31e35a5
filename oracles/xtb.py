"""Semi-empirical quantum chemistry by tblite (GFN-xTB), seconds per molecule, without a licence or an extra binary."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

from al_loop.errors import ConfigError, not_one_of
from al_loop.oracles._chemistry.conformer import embed, ensemble, parse, require_rdkit
from al_loop.oracles._chemistry.geometry import BOHR_ANGSTROM, GeometryError, Relaxed, relax, xyz
from al_loop.oracles.base import Fidelity, Objective, Oracle, OracleError, Outcome

Quantity = Literal["ionisation_potential", "homo_lumo_gap", "electron_affinity"]
FidelityName = Literal["force_field", "optimised", "conformers"]
Method = Literal["GFN2-xTB", "GFN1-xTB", "IPEA1-xTB"]

HARTREE_EV = 27.211386245988  # CODATA 2018
#: The empirical shift that the xtb program subtracts from a vertical ionisation potential and from a vertical electron
#: affinity ("empirical IP shift (eV): 4.8455", and the same for the EA). Its parameter files contain
#: ``ipeashift 1.78069``, in tenths of a hartree. Introduced with IPEA-xTB: Asgeirsson, Bauer, Grimme, Chem. Sci. 2017,
#: 8, 4879.
IP_SHIFT_EV = 0.178069 * HARTREE_EV
#: Eh/a0. Convergence criterion, the norm over all components. xtb's level "normal" requires 1e-3, and also an energy
#: change below 5e-6 Eh. For 29 molecules from ZINC the ionisation potential at 5e-4 was within 0.005 eV of that at
#: 1e-4; at 1e-3 it deviated by up to 0.08 eV
GRADIENT_NORM = 5e-4
#: Eh. Conformers whose energies before the optimisation differ by less count as one
SAME_ENERGY = 2e-5
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_OBJECTIVES: dict[str, Objective] = {
    "ionisation_potential": Objective("ionisation_potential", "eV", "minimise"),
    "homo_lumo_gap": Objective("homo_lumo_gap", "eV", "maximise"),
    "electron_affinity": Objective("electron_affinity", "eV", "maximise"),
}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give libraries that are loaded inside a single thread, unless the user chose a number.

    The environment is restored afterwards, because torch in the same process reads the same variables.
    """
    added = [name for name in THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _tblite() -> Any:
    try:
        with _one_thread():
            import tblite.interface
    except ImportError as error:
        raise ConfigError(f'oracle.kind xtb needs tblite: pip install "al-loop[xtb]" ({error})') from error
    return tblite.interface


class XTB(Oracle):
    """Ionisation potential, electron affinity, HOMO-LUMO gap (eV) of a SMILES by GFN-xTB (tblite).

    Ionisation potential and electron affinity are vertical, at the neutral molecule's geometry, and positive if
    removing the electron takes energy: ``E(cation) - E(neutral)`` and ``E(neutral) - E(anion)``, each minus the
    empirical shift of 4.8455 eV, as in ``xtb --vipea``. The shift was fitted with IPEA-xTB; xtb uses the same number
    for the GFN methods. The gap is the difference of two orbital energies, not an excitation energy.

    The ionisation potential of benzene is 9.33 eV with GFN2-xTB, 9.50 with IPEA1-xTB, and 9.24 by experiment; the
    electron affinity of p-benzoquinone 2.02, 2.2 and 1.9 eV. If the electron is not bound, the electron affinity is far
    too negative (the basis set has no diffuse functions): use it to rank molecules that bind an electron.

    Fidelities, whose calls cost 1, 10 and 30 (a tenth, one and four CPU seconds for a drug molecule, see
    benchmarks/oracles/xtb_fidelities.py):

    - ``force_field``: one RDKit conformer (ETKDGv3 + MMFF94), not relaxed by xTB.
    - ``optimised``: that conformer, optimised by xTB.
    - ``conformers``: that conformer, and those with the lowest xTB energies out of ``n_screened`` others, in total
      ``n_optimised``, optimised by xTB; the one with the lowest energy counts.

    The latter two store ``geometry.xyz`` (Å). They optimise by ``method``, except that IPEA1-xTB, which is not meant
    for geometries, is replaced by GFN2-xTB. A geometry that has not converged is a ``permanent`` failure (the xtb
    program fails as well). One in which a bond was broken or formed, e.g. by proton transfer in a zwitterion, is
    another molecule and an ``invalid`` failure. Both failures store the geometry. Outcomes report no cost, so a call
    costs what its fidelity declares.

    Only neutral closed-shell molecules are supported; all others are ``invalid`` failures. A worker is meant to use one
    core: tblite runs with one thread unless OMP_NUM_THREADS is set.

    GFN2-xTB: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 2019, 15, 1652. GFN1-xTB: Grimme, Bannwarth,
    Shushkov, ibid. 2017, 13, 1989.

    Args:
        outcome: the measured quantity in eV, or a list of several, which share the geometry and the calculation of the
            neutral molecule.
        method: the Hamiltonian.
        n_conformers: number of conformers generated at ``force_field`` and ``optimised``, of which the one with the
            lowest force-field energy is used.
        seed: seed of the conformer embedding.
        max_atoms: maximum number of atoms, hydrogens included; larger molecules are refused (the time grows with the
            cube of the size).
        max_iterations: maximum number of iterations of the self-consistent field.
        fidelity: how the geometry is obtained, see above.
        max_steps: maximum number of steps of a geometry optimisation.
        n_screened: number of conformers generated at ``conformers``; similar ones count once.
        n_optimised: number of conformers that are optimised.
    """

    kind = "xtb"
    libraries = ("tblite", "rdkit")
    object_type = "molecule"
    fidelities = (Fidelity("force_field", 1.0), Fidelity("optimised", 10.0), Fidelity("conformers", 30.0))

    def __init__(
        self,
        outcome: Quantity | list[Quantity] = "ionisation_potential",
        method: Method = "GFN2-xTB",
        n_conformers: int = 1,
        seed: int = 7,
        max_atoms: int = 120,
        max_iterations: int = 250,
        fidelity: FidelityName = "force_field",
        max_steps: int = 500,
        n_screened: int = 20,
        n_optimised: int = 3,
    ) -> None:
        outcomes = [outcome] if isinstance(outcome, str) else list(outcome)
        for name in outcomes:
            if name not in _OBJECTIVES:
                raise ConfigError(f"outcome: {not_one_of(name, _OBJECTIVES)}")
        if not outcomes or len(set(outcomes)) < len(outcomes):
            raise ConfigError(f"outcome: {outcomes}, expected one or more distinct names")
        if fidelity not in get_args(FidelityName):
            raise ConfigError(f"fidelity: {not_one_of(fidelity, get_args(FidelityName))}")
        for count, number in (
            ("n_conformers", n_conformers),
            ("max_atoms", max_atoms),
            ("max_iterations", max_iterations),
            ("max_steps", max_steps),
            ("n_screened", n_screened),
            ("n_optimised", n_optimised),
        ):
            if number < 1:
                raise ConfigError(f"{count}: {number}, expected at least 1")
        if seed < 0:
            raise ConfigError(
                f"seed: {seed}, expected at least 0 (with a negative seed RDKit draws a new conformer each time)"
            )
        self.objectives = tuple(_OBJECTIVES[name] for name in outcomes)
        self.outcomes = tuple(outcomes)
        self.method = method
        self.n_conformers = n_conformers
        self.seed = seed
        self.max_atoms = max_atoms
        self.max_iterations = max_iterations
        self.fidelity = fidelity
        self.max_steps = max_steps
        self.n_screened = n_screened
        self.n_optimised = n_optimised

    def check(self) -> None:
        """Verify that tblite and RDKit are installed.

        Raises:
            ConfigError: one of them is missing.
        """
        require_rdkit()
        _tblite()

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the values of each SMILES in eV.

        ``info`` contains ``n_atoms`` and ``energy_eh`` (of the neutral molecule, in hartree); after an optimisation
        ``gradient_norm`` (Eh/a0) and ``n_gradients`` (over all optimisations); at ``conformers`` also ``n_distinct``
        (number of conformers with distinct force-field energies) and ``n_optimised``.
        """
        for smiles in objects:
            try:
                yield self._measure(smiles)
            except GeometryError as error:
                yield Outcome(failure=error.failure, artifacts={"geometry.xyz": error.xyz})
            except OracleError as error:
                yield Outcome(failure=error.failure)

    def _measure(self, smiles: str) -> Outcome:
        molecule, geometry_info = self._geometry(self._parse(smiles))
        neutral = self._single_point(molecule, charge=0)
        energy = float(neutral.get("energy"))
        values = []
        for name in self.outcomes:
            if name == "ionisation_potential":
                cation = float(self._single_point(molecule, charge=1).get("energy"))
                values.append((cation - energy) * HARTREE_EV - IP_SHIFT_EV)
            elif name == "electron_affinity":
                anion = float(self._single_point(molecule, charge=-1).get("energy"))
                values.append((energy - anion) * HARTREE_EV - IP_SHIFT_EV)
            else:
                values.append(_gap_ev(neutral))
        artifacts = {}
        if self.fidelity != "force_field":
            artifacts["geometry.xyz"] = xyz(molecule, f"{self.method} {energy:.8f} Eh {smiles}")
        info = {"n_atoms": molecule.GetNumAtoms(), "energy_eh": energy, **geometry_info}
        return Outcome(values=tuple(values), info=info, artifacts=artifacts)

    def _parse(self, smiles: str) -> Any:
        """Return the molecule, or raise OracleError if it cannot be measured."""
        from rdkit import Chem

        molecule = parse(smiles)
        charge = Chem.GetFormalCharge(molecule)
        if charge != 0:
            raise OracleError("invalid", f"the molecule has charge {charge:+d}, expected a neutral one")
        n_radical = sum(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
        n_electrons = sum(a.GetAtomicNum() + a.GetTotalNumHs() for a in molecule.GetAtoms())
        if n_radical or n_electrons % 2:
            raise OracleError(
                "invalid", f"the molecule is a radical ({n_radical or 1} unpaired electrons), expected a closed shell"
            )
        n_atoms = molecule.GetNumAtoms() + sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
        if n_atoms > self.max_atoms:
            raise OracleError("invalid", f"the molecule has {n_atoms} atoms, more than max_atoms = {self.max_atoms}")
        heaviest = max(atom.GetAtomicNum() for atom in molecule.GetAtoms())
        if heaviest > 86:
            raise OracleError(
                "invalid", f"the molecule contains element {heaviest}, but xTB has no parameters beyond radon (86)"
            )
        return molecule

    def _geometry(self, molecule: Any) -> tuple[Any, dict[str, object]]:
        """Return the molecule with the fidelity's conformer, and ``info`` about its optimisation."""
        start = embed(molecule, self.n_conformers, self.seed)
        if self.fidelity == "force_field" or start.GetNumAtoms() == 1:
            return start, {}
        if self.fidelity == "optimised":
            relaxed = self._relax(start)
            return relaxed.molecule, {"gradient_norm": relaxed.gradient_norm, "n_gradients": relaxed.n_gradients}
        candidates = [start, *ensemble(molecule, self.n_screened, self.seed)]
        chosen = self._screen(candidates)
        relaxed_conformers: list[Relaxed] = []
        errors: list[OracleError] = []
        for candidate in chosen:
            try:
                relaxed_conformers.append(self._relax(candidate))
            except OracleError as error:
                errors.append(error)
        if not relaxed_conformers:
            raise errors[0]
        best = min(relaxed_conformers, key=lambda relaxed: relaxed.energy)
        return best.molecule, {
            "gradient_norm": best.gradient_norm,
            "n_gradients": sum(relaxed.n_gradients for relaxed in relaxed_conformers),
            "n_distinct": len(candidates) - 1,
            "n_optimised": len(chosen),
        }

    def _screen(self, candidates: list[Any]) -> list[Any]:
        """Return the first candidate and those with the lowest energies.

        The first one, so that this fidelity's energy is never above that of ``optimised``.
        """
        energies: dict[int, float] = {}
        for i, candidate in enumerate(candidates):
            try:
                energies[i] = float(self._single_point(candidate, 0, self._geometry_method).get("energy"))
            except OracleError:  # its optimisation would fail in the same way; others may succeed
                continue
        chosen = [0]
        for i in sorted(energies, key=lambda i: energies[i]):
            is_new = all(abs(energies[i] - energies.get(j, float("inf"))) > SAME_ENERGY for j in chosen)
            if is_new and len(chosen) < self.n_optimised:
                chosen.append(i)
        return [candidates[i] for i in chosen]

    @property
    def _geometry_method(self) -> str:
        return "GFN2-xTB" if self.method == "IPEA1-xTB" else self.method

    def _relax(self, molecule: Any) -> Relaxed:
        calculator = self._calculator(molecule, 0, self._geometry_method)
        last: Any = None

        def surface(positions: Any) -> tuple[float, Any]:
            nonlocal last
            calculator.update(positions)
            try:
                last = calculator.singlepoint(last)  # the previous step's wave function is the initial guess
            except RuntimeError as error:
                method = self._geometry_method
                raise OracleError("permanent", f"{method} failed during the geometry optimisation: {error}") from error
            return float(last.get("energy")), last.get("gradient")

        return relax(molecule, surface, self.max_steps, GRADIENT_NORM)

    def _single_point(self, molecule: Any, charge: int, method: str | None = None) -> Any:
        """Return tblite's result for the molecule at its conformer; ions are doublets."""
        calculator = self._calculator(molecule, charge, method or self.method)
        try:
            return calculator.singlepoint()
        except RuntimeError as error:
            state = {0: "molecule", 1: "cation", -1: "anion"}[charge]
            raise OracleError("permanent", f"{method or self.method} failed for the {state}: {error}") from error

    def _calculator(self, molecule: Any, charge: int, method: str) -> Any:
        import numpy as np

        numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
        positions = molecule.GetConformer().GetPositions() / BOHR_ANGSTROM
        calculator = _tblite().Calculator(method, numbers, positions, charge=charge, uhf=abs(charge))
        calculator.set("verbosity", 0)
        calculator.set("max-iter", self.max_iterations)
        return calculator


def _gap_ev(result: Any) -> float:
    """Return the HOMO-LUMO gap of a closed shell in eV.

    Occupations are smeared at 300 K, so the HOMO follows from their sum.
    """
    energies = result.get("orbital-energies")
    n_occupied = round(float(result.get("orbital-occupations").sum()) / 2)
    if n_occupied >= len(energies):
        raise OracleError(
            "invalid", "the molecule has no unoccupied orbital in this basis set, so its gap is undefined"
        )
    return float(energies[n_occupied] - energies[n_occupied - 1]) * HARTREE_EV
