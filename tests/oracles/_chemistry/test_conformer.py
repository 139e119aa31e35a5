"""Conformers, and the second derivatives of their force field."""

import importlib.util

import numpy as np
import pytest

from al_loop.oracles._chemistry.conformer import SAME_CONFORMER, embed, ensemble, hessian, parse

pytestmark = pytest.mark.skipif(importlib.util.find_spec("rdkit") is None, reason="RDKit is not installed")


def force_field_energy(molecule):
    from rdkit.Chem import rdForceFieldHelpers

    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
    return rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties).CalcEnergy()


def moved(molecule, positions):
    from rdkit import Chem

    other = Chem.Mol(molecule)
    other.GetConformer().SetPositions(np.ascontiguousarray(positions))
    return other


def test_the_second_derivatives_are_those_of_the_force_field_energy():
    molecule = embed(parse("CC(=O)N"), 1, 7)
    matrix = hessian(molecule)
    assert matrix == pytest.approx(matrix.T)
    start, rng = molecule.GetConformer().GetPositions(), np.random.default_rng(1)
    for _ in range(5):
        along = rng.normal(size=start.shape)
        along /= np.linalg.norm(along)
        step = 1e-2
        middle, plus, minus = (force_field_energy(moved(molecule, start + s * along)) for s in (0, step, -step))
        curvature = (plus - 2 * middle + minus) / step**2
        assert along.ravel() @ matrix @ along.ravel() == pytest.approx(curvature, rel=1e-2)
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert np.abs(eigenvalues[:6]).max() < 0.05, "translations and rotations cost nothing"
    assert eigenvalues[6] > 0.1, "the conformer is a minimum of the force field"


def test_a_molecule_without_mmff94_parameters_has_uffs_second_derivatives():
    eigenvalues = np.linalg.eigvalsh(hessian(embed(parse("CB(C)C"), 1, 7)))  # MMFF94 has no boron
    assert eigenvalues[0] > -1
    assert eigenvalues[-1] > 100


def test_the_ensemble_holds_distinct_conformers_the_best_first():
    molecule = parse("CCCCO")
    found = ensemble(molecule, 30, 7)
    energies = [force_field_energy(conformer) for conformer in found]
    assert 5 < len(found) <= 30
    assert all(conformer.GetNumConformers() == 1 for conformer in found)
    assert min(np.diff(energies)) > SAME_CONFORMER * 0.99
    assert energies[0] == pytest.approx(force_field_energy(embed(molecule, 30, 7)), abs=1e-6)


def test_a_rigid_molecule_has_one_conformer():
    assert len(ensemble(parse("c1ccccc1"), 10, 7)) == 1
    assert len(ensemble(parse("[He]"), 3, 7)) == 1
