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
