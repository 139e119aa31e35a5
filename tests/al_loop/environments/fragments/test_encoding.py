"""Molecules as states of the fragment environment."""

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.gflownet.rollout import rollout
from tests.support.fragments import vocabulary


@pytest.fixture(scope="module")
def drawn():
    environment = Fragments()
    return environment, rollout(environment, None, 300, generator=torch.Generator().manual_seed(3)).terminal


def test_encode_finds_drawings_of_the_same_molecules(drawn):
    environment, states = drawn
    objects = environment.decode(states)
    assert environment.decode(environment.encode(objects)) == objects


def test_what_could_go_on_is_not_encoded_below_the_minimum(tmp_path):
    environment = Fragments(max_fragments=3, min_fragments=2, vocabulary=vocabulary(tmp_path))
    with pytest.raises(ValueError, match="1 fragments, not 2 to 3"):
        environment.encode(["c1ccccc1"])


@pytest.mark.parametrize("smiles", ["CNN1CCOCC1", "ON1CCOCC1", "FN1CCOCC1", "c1ccc(NN2CCOCC2)cc1"])
def test_a_bond_that_no_action_makes_is_refused(smiles):
    with pytest.raises(ValueError, match="which no action makes"):
        Fragments().encode([smiles])


def test_every_encoded_molecule_is_built_by_allowed_actions():
    environment = Fragments()
    names = ["c1ccccc1CC(=O)N1CCOCC1", "CCN1CCOCC1", "O=S(=O)(Nc1ccccc1)c1ccccc1"]
    states = environment.encode(names)
    walk = [states]
    while (walk[-1] != 0).any():
        undo = environment.backward_mask(walk[-1])
        alive = undo.any(1)
        choice = undo.int().argmax(1)
        before = torch.where(alive[:, None], environment.backward_step(walk[-1], choice), walk[-1])
        action = environment.forward_action(walk[-1], choice)
        assert environment.forward_mask(before)[alive].gather(1, action[alive, None]).all()
        walk.append(before)
