import random

import pytest

from al_loop.evolution.graph_edits import GraphEdits
from al_loop.smiles import canonical_smiles, read_smiles

DRUGS = [
    "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",
    "COc1ccccc1OCC(O)CN1CCN(CC(=O)Nc2c(C)cccc2C)CC1",
    "CC(C)(C(=O)O)c1ccc(C(O)CCCN2CCC(C(O)(c3ccccc3)c3ccccc3)CC2)cc1",
    "C[NH+]1CC[C@@]23c4c5ccc(O)c4O[C@H]2[C@@H](O)C=C[C@H]3[C@H]1C5",
    "O=[N+]([O-])c1ccc(Cl)cc1",
    "C",
]


def test_children_are_canonical_molecules_in_one_piece_within_the_bounds():
    edits = GraphEdits(max_atoms=40, max_ring=6)
    children = edits.brood(DRUGS, 300, random.Random(0))
    assert len(children) == 300 == len(set(children))
    assert not set(children) & set(DRUGS)
    for name in children:
        molecule = read_smiles(name)
        assert canonical_smiles(name) == name
        assert "." not in name
        assert molecule.GetNumHeavyAtoms() <= 40
        assert max((len(ring) for ring in molecule.GetRingInfo().AtomRings()), default=0) <= 6


def test_the_same_seed_makes_the_same_children():
    edits = GraphEdits()
    assert edits.brood(DRUGS, 50, random.Random(3)) == edits.brood(DRUGS, 50, random.Random(3))
    assert edits.brood(DRUGS, 50, random.Random(3)) != edits.brood(DRUGS, 50, random.Random(4))


@pytest.mark.parametrize("crossover", [0.0, 1.0])
def test_every_molecule_has_children_by_edits_alone_and_by_crossover_alone(crossover):
    edits, generator = GraphEdits(crossover=crossover), random.Random(1)
    for first in DRUGS[:-1]:
        assert any(edits.child(first, DRUGS[0] if first != DRUGS[0] else DRUGS[1], generator) for _ in range(20))


def test_crossover_joins_parts_of_both_parents():
    edits, generator = GraphEdits(crossover=1.0), random.Random(0)
    children = {edits.child("FC(F)(F)c1ccccc1", "Brc1ccncc1", generator) for _ in range(60)}
    assert any(child and "F" in child and "n" in child for child in children)


def test_an_unreadable_parent_has_no_child():
    assert GraphEdits().child("no molecule", "C", random.Random(0)) is None


@pytest.mark.parametrize("arguments", [{"crossover": 1.5}, {"max_atoms": 0}, {"max_ring": 2}, {"children": 0}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        GraphEdits(**arguments)
