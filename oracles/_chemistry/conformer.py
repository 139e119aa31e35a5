"""Reproducible 3-D conformers of molecules, and the second derivatives of their force field."""

from __future__ import annotations

from typing import Any

from al_loop.errors import ConfigError
from al_loop.oracles.base import OracleError

#: kcal/mol. Two conformers whose force-field energies differ by less are the same, or mirror images
SAME_CONFORMER = 0.01
HESSIAN_STEP = 1e-3  # Å


def require_rdkit() -> None:
    """Verify that RDKit is installed.

    Raises:
        ConfigError: it is not; the message contains the remedy.
    """
    try:
        import rdkit  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"this oracle needs RDKit: pip install rdkit ({error})") from error


def parse(smiles: str) -> Any:
    """Return the RDKit molecule of one connected, non-empty SMILES, with its atoms in canonical order.

    Thanks to the canonical order, results depend on the molecule and not on the spelling of its SMILES.

    Raises:
        OracleError: ``invalid``, with the reason.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            raise OracleError("invalid", f"not a valid SMILES: {smiles!r:.120}")
        molecule = Chem.MolFromSmiles(Chem.MolToSmiles(molecule))
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise OracleError("invalid", f"not a molecule: {smiles!r:.120}")
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        raise OracleError("invalid", "the SMILES contains '*' (an attachment point or unknown atom)")
    n_parts = len(Chem.GetMolFrags(molecule))
    if n_parts > 1:
        raise OracleError("invalid", f"the SMILES contains {n_parts} separate molecules, expected one")
    return molecule


def embed(molecule: Any, n_conformers: int, seed: int) -> Any:
    """Return the molecule with hydrogens and one conformer: ETKDGv3, then MMFF94 (UFF if MMFF94 lacks a parameter).

    ETKDGv3: Wang et al., J. Chem. Inf. Model. 2020, 60, 2044. The embedding chooses the configuration of a
    stereocentre that the SMILES leaves open; the same seed chooses the same one each time.

    Args:
        molecule: a molecule from ``parse``.
        n_conformers: number of conformers to generate, of which the one with the lowest force-field energy is returned.
        seed: seed of the embedding.

    Raises:
        OracleError: ``invalid``, there is no conformer or no force field for the molecule.
    """
    from rdkit import Chem

    molecule, ids, energies = _embedded(molecule, n_conformers, seed)
    if molecule.GetNumAtoms() == 1:
        return molecule
    best = min(range(len(ids)), key=lambda i: energies[i])
    return Chem.Mol(molecule, confId=ids[best])


def ensemble(molecule: Any, n_conformers: int, seed: int) -> list[Any]:
    """Return all distinct conformers, each as a molecule of its own, in ascending order of force-field energy.

    Conformers that the force field relaxes to the same energy (within ``SAME_CONFORMER``), mirror images among them,
    count once.

    Args:
        molecule: a molecule from ``parse``.
        n_conformers: number of conformers to generate, the maximum number of those returned.
        seed: seed of the embedding.

    Raises:
        OracleError: ``invalid``, there is no conformer or no force field for the molecule.
    """
    from rdkit import Chem

    molecule, ids, energies = _embedded(molecule, n_conformers, seed)
    distinct: list[Any] = []
    last = None
    for i in sorted(range(len(ids)), key=lambda i: energies[i]):
        if last is None or energies[i] - last > SAME_CONFORMER:
            distinct.append(Chem.Mol(molecule, confId=ids[i]))
            last = energies[i]
    return distinct


def _embedded(molecule: Any, n_conformers: int, seed: int) -> tuple[Any, list[int], list[float]]:
    """Return the molecule with hydrogens and relaxed conformers, and their ids and energies in kcal/mol."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    with rdBase.BlockLogs():
        molecule = Chem.AddHs(molecule)
        parameters: Any = rdDistGeom.ETKDGv3()
        parameters.randomSeed = seed
        parameters.numThreads = 1
        ids = list(rdDistGeom.EmbedMultipleConfs(molecule, n_conformers, parameters))
        if not ids:  # cages and macrocycles: random start coordinates succeed more often
            parameters.useRandomCoords = True
            ids = list(rdDistGeom.EmbedMultipleConfs(molecule, n_conformers, parameters))
        if not ids:
            raise OracleError("invalid", "RDKit found no conformer (by ETKDGv3, also from random coordinates)")
        if molecule.GetNumAtoms() == 1:
            return molecule, ids, [0.0] * len(ids)
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
            results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(molecule, numThreads=1, maxIters=2000)
        elif rdForceFieldHelpers.UFFHasAllMoleculeParams(molecule):
            results = rdForceFieldHelpers.UFFOptimizeMoleculeConfs(molecule, numThreads=1, maxIters=2000)
        else:
            raise OracleError("invalid", "neither MMFF94 nor UFF has parameters for all atoms")
    return molecule, ids, [float(energy) for _, energy in results]


def hessian(molecule: Any) -> Any:
    """Compute the second derivatives of the force field of ``embed`` at the molecule's conformer.

    Central differences of the gradient take milliseconds, and the result is a far better start for a geometry
    optimisation than a multiple of the unit matrix.

    Returns:
        Symmetric array, 3n x 3n, in kcal/mol/Å².
    """
    import numpy as np
    from rdkit import rdBase
    from rdkit.Chem import rdForceFieldHelpers

    with rdBase.BlockLogs():
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
            properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
            field = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties)
        else:
            field = rdForceFieldHelpers.UFFGetMoleculeForceField(molecule)

    def gradient(x: Any) -> Any:
        field.Initialize()  # otherwise it reuses the distances of the previous positions
        return np.array(field.CalcGrad(x.tolist()))

    x = molecule.GetConformer().GetPositions().ravel()
    shifts = HESSIAN_STEP * np.eye(len(x))
    rows = np.array([(gradient(x + shift) - gradient(x - shift)) / (2 * HESSIAN_STEP) for shift in shifts])
    return (rows + rows.T) / 2
