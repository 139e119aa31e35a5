"""Geometry optimisation on surfaces with known minima, and the bonds of a conformer."""

import importlib.util

import numpy as np
import pytest

from al_loop.oracles._chemistry.conformer import embed, parse
from al_loop.oracles._chemistry.geometry import BOHR_ANGSTROM, GeometryError, bond_change, relax, xyz

pytestmark = pytest.mark.skipif(importlib.util.find_spec("rdkit") is None, reason="RDKit is not installed")


def moved(molecule, positions):
    from rdkit import Chem

    other = Chem.Mol(molecule)
    other.GetConformer().SetPositions(np.ascontiguousarray(positions))
    return other


def well(target):
    """A harmonic surface whose minimum is at the target (n x 3, in a0), and the number of its calls."""
    calls = []

    def surface(positions):
        calls.append(1)
        return 0.25 * float(((positions - target) ** 2).sum()), 0.5 * (positions - target)

    return surface, calls


def test_it_finds_the_minimum_of_a_known_surface():
    molecule = embed(parse("CCO"), 1, 7)
    start = molecule.GetConformer().GetPositions()
    target = start / BOHR_ANGSTROM + 0.05 * np.random.default_rng(0).normal(size=start.shape)
    surface, calls = well(target)
    relaxed = relax(molecule, surface, 100, 1e-6)
    assert relaxed.molecule.GetConformer().GetPositions() / BOHR_ANGSTROM == pytest.approx(target, abs=1e-5)
    assert relaxed.energy == pytest.approx(0, abs=1e-10)
    assert relaxed.gradient_norm <= 1e-6
    assert relaxed.n_gradients == len(calls)
    assert molecule.GetConformer().GetPositions() == pytest.approx(start), "the molecule given stays as it is"


def test_it_works_with_one_thread_and_leaves_the_number_as_it_was():
    from threadpoolctl import threadpool_info

    def n_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    molecule = embed(parse("CCO"), 1, 7)
    surface, _ = well(molecule.GetConformer().GetPositions() / BOHR_ANGSTROM + 0.1)
    seen = []
    before = n_threads()
    relax(molecule, lambda positions: seen.append(n_threads()) or surface(positions), 100, 1e-4)
    assert before
    assert n_threads() == before
    assert {n for counts in seen for n in counts} == {1}


def test_too_few_steps_are_a_permanent_failure_with_the_geometry():
    molecule = embed(parse("CCO"), 1, 7)
    surface, _ = well(molecule.GetConformer().GetPositions() / BOHR_ANGSTROM + 0.3)
    with pytest.raises(GeometryError, match="1 of max_steps = 1 steps") as caught:
        relax(molecule, surface, 1, 1e-9)
    assert caught.value.failure.kind == "permanent"
    assert caught.value.xyz.startswith("9\nnot converged")


def test_a_surface_that_tears_the_molecule_apart_is_another_molecule():
    molecule = embed(parse("CC"), 1, 7)
    target = molecule.GetConformer().GetPositions() / BOHR_ANGSTROM
    target[0] += 3.0
    with pytest.raises(GeometryError, match="another molecule") as caught:
        relax(molecule, well(target)[0], 200, 1e-4)
    assert caught.value.failure.kind == "invalid"


@pytest.mark.parametrize(
    "smiles",
    ["CCO", "C1C2CC1C2", "C12C3C4C1C5C2C3C45", "N#N", "CS(=O)(=O)NC", "O=[N+]([O-])c1ccccc1", "OB(O)c1ccccc1", "ICI"],
)
def test_a_conformer_has_the_bonds_of_its_molecule(smiles):
    assert bond_change(embed(parse(smiles), 1, 7)) is None


def test_a_broken_bond_is_named():
    ethane = embed(parse("CC"), 1, 7)
    positions = ethane.GetConformer().GetPositions()
    positions[2] += 2 * (positions[2] - positions[0])  # thrice the length of a bond between carbon and hydrogen
    assert bond_change(moved(ethane, positions)).startswith("the bond C1-H3 was broken (3.")


def test_a_made_bond_is_named():
    propane = embed(parse("CCC"), 1, 7)
    positions = propane.GetConformer().GetPositions()
    third = propane.GetAtomWithIdx(2)
    gap = positions[2] - positions[0]
    group = [2, *(a.GetIdx() for a in third.GetNeighbors() if a.GetAtomicNum() == 1)]
    positions[group] -= gap * (1 - 1.55 / np.linalg.norm(gap))  # the methyl group, moved on to the other one
    assert bond_change(moved(propane, positions)) == "the bond C1-C3 was formed (1.55 Å)"


def test_xyz_has_a_line_for_each_atom_in_angstrom():
    water = moved(embed(parse("O"), 1, 7), [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    lines = xyz(water, "water").splitlines()
    assert lines[:2] == ["3", "water"]
    assert [line.split() for line in lines[2:]] == [
        ["O", "0.00000000", "0.00000000", "0.00000000"],
        ["H", "0.96000000", "0.00000000", "0.00000000"],
        ["H", "-0.24000000", "0.93000000", "0.00000000"],
    ]
