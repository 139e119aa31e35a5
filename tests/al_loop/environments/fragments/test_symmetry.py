"""Automorphisms of fragment trees, against brute force."""

import itertools

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.rollout import rollout
from tests.support.fragments import vocabulary


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return Fragments(max_fragments=3, min_fragments=1, vocabulary=vocabulary(tmp_path_factory.mktemp("vocabulary")))


def brute_force_automorphisms(environment, row):
    """Automorphisms of one fragment tree, by trying every permutation of slots and every symmetry of each block."""
    block, parent, parent_site, own_site = (x[0].tolist() for x in environment.slots(row))
    n = sum(b > 0 for b in block)
    bonds = {frozenset([(s, own_site[s]), (parent[s], parent_site[s])]) for s in range(1, n)}
    count = 0
    for slots in itertools.permutations(range(n)):
        if any(block[slots[s]] != block[s] for s in range(n)):
            continue
        for moves in itertools.product(*(environment.blocks[b - 1].symmetries for b in block[:n])):
            count += {frozenset((slots[s], moves[s][i]) for s, i in bond) for bond in bonds} == bonds
    return count


def test_n_automorphisms_is_what_brute_force_counts(small):
    states = terminal_states(small)
    picked = states[torch.randperm(len(states), generator=torch.Generator().manual_seed(0))[:150]]
    # with the most symmetric ones: three benzenes in a row, three methyls on a ring
    extra = small.encode(["c1ccc(-c2ccc(-c3ccccc3)cc2)cc1", "Fc1ccc(F)cc1", "c1ccc(Cc2ccccc2)cc1", "c1ccccc1"])
    picked = torch.cat([picked, extra])
    expected = [brute_force_automorphisms(small, row[None]) for row in picked]
    assert small.n_automorphisms(picked).tolist() == expected
    assert max(expected) > 4


def test_n_automorphisms_does_not_depend_on_the_batch(small):
    states = terminal_states(small)[::97]
    assert small.n_automorphisms(states).tolist() == [int(small.n_automorphisms(row[None])) for row in states]


@pytest.fixture(scope="module")
def drawn():
    environment = Fragments()
    return environment, rollout(environment, None, 300, generator=torch.Generator().manual_seed(3)).terminal


def test_symmetry_of_a_molecule_does_not_depend_on_its_drawing(drawn):
    environment, states = drawn
    again = environment.encode(environment.decode(states))
    assert torch.equal(environment.n_automorphisms(states), environment.n_automorphisms(again))


def test_states_of_one_molecule_have_one_identity():
    environment = Fragments()
    generator = torch.Generator().manual_seed(0)
    states = rollout(environment, None, 100, generator=generator).terminal
    smiles = environment.decode(states)
    others = environment.encode(smiles)
    assert not torch.equal(others, states)
    assert torch.equal(environment.identity(others), environment.identity(states))
    assert len(set(environment.identity(states).tolist())) == len(set(smiles))


def test_similar_molecules_have_different_identities():
    environment = Fragments(min_fragments=1)
    smiles = ["Cc1ccccc1", "Cc1ccc(C)cc1", "Cc1cccc(C)c1", "Cc1ccccc1C", "c1ccccc1", "Cc1ccc(F)cc1", "Cc1cccc(F)c1"]
    assert len(set(environment.identity(environment.encode(smiles)).tolist())) == len(smiles)
