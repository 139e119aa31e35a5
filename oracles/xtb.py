"""Semi-empirical quantum chemistry by tblite (GFN-xTB): seconds a molecule, no licence, no binary to install."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from al_loop.errors import ConfigError
from oracles.base import Objective, Oracle, OracleError, Outcome
from oracles.conformer import embed, parse, require_rdkit

HARTREE_EV = 27.211386245988  # CODATA 2018
BOHR_ANGSTROM = 0.529177210903  # CODATA 2018
#: The empirical shift that the xtb program subtracts from a vertical ionisation potential ("empirical IP shift (eV):
#: 4.8455"): its parameter files give ``ipeashift 1.78069``, in tenths of a hartree. Introduced with IPEA-xTB:
#: Asgeirsson, Bauer, Grimme, Chem. Sci. 2017, 8, 4879.
IP_SHIFT_EV = 0.178069 * HARTREE_EV
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_OBJECTIVES = {
    "ionisation_potential": Objective("ionisation_potential", "eV", "minimise"),
    "homo_lumo_gap": Objective("homo_lumo_gap", "eV", "maximise"),
}


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for libraries loaded inside, where the user set no number; the environment is as before afterwards.

    Afterwards, because torch in the same process reads the same variables.
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
    """Vertical ionisation potential or HOMO-LUMO gap (eV) of a SMILES by GFN-xTB (tblite).

    The geometry is one RDKit conformer (ETKDGv3 + MMFF94), not relaxed by xTB. The ionisation potential is
    ``E(cation) - E(neutral)`` at that geometry less the empirical shift of 4.8455 eV that xtb applies. The shift was
    fitted with IPEA-xTB; xtb uses the same number for the GFN methods. Benzene: 9.33 eV with GFN2-xTB, 9.50 with
    IPEA1-xTB, 9.24 by experiment.

    Neutral closed-shell molecules only; all else is an ``invalid`` failure. One worker is meant to use one core: tblite
    runs with one thread unless OMP_NUM_THREADS says otherwise.

    GFN2-xTB: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 2019, 15, 1652. GFN1-xTB: Grimme, Bannwarth,
    Shushkov, ibid. 2017, 13, 1989.

    Args:
        outcome: what is measured, in eV.
        method: the Hamiltonian.
        n_conformers: conformers made; the one of the lowest force-field energy is computed.
        seed: of the conformer embedding.
        max_atoms: larger molecules, hydrogens counted, are refused (the time grows with the cube of the size).
        max_iterations: cycles of the self-consistent field before it counts as not converged.
    """

    kind = "xtb"
    object_type = "molecule"

    def __init__(
        self,
        outcome: Literal["ionisation_potential", "homo_lumo_gap"] = "ionisation_potential",
        method: Literal["GFN2-xTB", "GFN1-xTB", "IPEA1-xTB"] = "GFN2-xTB",
        n_conformers: int = 1,
        seed: int = 7,
        max_atoms: int = 120,
        max_iterations: int = 250,
    ) -> None:
        if outcome not in _OBJECTIVES:
            raise ConfigError(f"outcome: {outcome!r} is not one of {', '.join(_OBJECTIVES)}")
        for name, number in (
            ("n_conformers", n_conformers),
            ("max_atoms", max_atoms),
            ("max_iterations", max_iterations),
        ):
            if number < 1:
                raise ConfigError(f"{name}: {number} is not a number of at least 1")
        if seed < 0:
            raise ConfigError(f"seed: {seed} is negative, with which RDKit draws another conformer each time")
        self.objectives = (_OBJECTIVES[outcome],)
        self.outcome = outcome
        self.method = method
        self.n_conformers = n_conformers
        self.seed = seed
        self.max_atoms = max_atoms
        self.max_iterations = max_iterations

    def check(self) -> None:
        """Raises ConfigError where tblite or RDKit is missing."""
        require_rdkit()
        _tblite()

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yields the value in eV of each SMILES, with ``n_atoms`` and ``energy_eh`` (neutral, hartree) in ``info``."""
        for smiles in objects:
            try:
                yield self._measure(smiles)
            except OracleError as error:
                yield Outcome(failure=error.failure)

    def _measure(self, smiles: str) -> Outcome:
        molecule = self._structure(smiles)
        neutral = self._single_point(molecule, charge=0)
        energy = float(neutral.get("energy"))
        if self.outcome == "ionisation_potential":
            cation = self._single_point(molecule, charge=1)
            value = (float(cation.get("energy")) - energy) * HARTREE_EV - IP_SHIFT_EV
        else:
            value = _gap_ev(neutral)
        return Outcome(values=(value,), info={"n_atoms": molecule.GetNumAtoms(), "energy_eh": energy})

    def _structure(self, smiles: str) -> Any:
        """The molecule with a conformer, or OracleError: why it cannot be measured."""
        from rdkit import Chem

        molecule = parse(smiles)
        charge = Chem.GetFormalCharge(molecule)
        if charge != 0:
            raise OracleError("invalid", f"the molecule has the charge {charge:+d}, expected a neutral one")
        n_radical = sum(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
        n_electrons = sum(a.GetAtomicNum() + a.GetTotalNumHs() for a in molecule.GetAtoms())
        if n_radical or n_electrons % 2:
            raise OracleError(
                "invalid", f"the molecule is a radical ({n_radical or 1} unpaired), expected closed-shell"
            )
        n_atoms = molecule.GetNumAtoms() + sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
        if n_atoms > self.max_atoms:
            raise OracleError("invalid", f"the molecule has {n_atoms} atoms, more than max_atoms = {self.max_atoms}")
        heaviest = max(atom.GetAtomicNum() for atom in molecule.GetAtoms())
        if heaviest > 86:
            raise OracleError(
                "invalid", f"xTB has no parameters beyond radon (86), the molecule has element {heaviest}"
            )
        return embed(molecule, self.n_conformers, self.seed)

    def _single_point(self, molecule: Any, charge: int) -> Any:
        """The tblite result of the molecule at its conformer; a cation is a doublet."""
        import numpy as np

        interface = _tblite()
        numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
        positions = molecule.GetConformer().GetPositions() / BOHR_ANGSTROM
        calculator = interface.Calculator(self.method, numbers, positions, charge=charge, uhf=charge)
        calculator.set("verbosity", 0)
        calculator.set("max-iter", self.max_iterations)
        try:
            return calculator.singlepoint()
        except RuntimeError as error:
            state = "cation" if charge else "molecule"
            raise OracleError("permanent", f"{self.method} of the {state} failed: {error}") from error


def _gap_ev(result: Any) -> float:
    """HOMO-LUMO gap of a closed-shell result; occupations are smeared at 300 K, so that their sum gives the HOMO."""
    energies = result.get("orbital-energies")
    n_occupied = round(float(result.get("orbital-occupations").sum()) / 2)
    if n_occupied >= len(energies):
        raise OracleError("invalid", "the molecule has no unoccupied orbital in this basis, so no gap")
    return float(energies[n_occupied] - energies[n_occupied - 1]) * HARTREE_EV
