"""Children of two molecules."""

from collections import Counter

import pytest
import torch
from rdkit import Chem

from al_loop.environments.fragments import Fragments
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.rollout import rollout
from tests.support.fragments import vocabulary


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module", params=["own", "shipped"])
def drawn(request, path):
    """A space, and molecules of it of some size."""
    if request.param == "own":
        environment = Fragments(max_fragments=6, min_fragments=4, max_atoms=40, vocabulary=path)
    else:
        environment = Fragments(max_fragments=8, min_fragments=4, max_atoms=60)
    states = rollout(environment, None, 400, generator=torch.Generator().manual_seed(0)).terminal
    return environment, states


@pytest.fixture(scope="module")
def parents(drawn):
    environment, states = drawn
    return environment, states[::2], states[1::2]


def test_children_are_drawings_of_molecules_in_the_space(parents):
    environment, a, b = parents
    children, is_valid = environment.crossover(a, b, torch.Generator().manual_seed(0))
    assert children.shape == a.shape
    assert children.dtype == torch.int64
    assert is_valid.float().mean() > 0.9
    assert environment.is_terminal(children).all()
    objects = environment.decode(children)
    assert environment.decode(environment.encode(objects)) == objects  # obeys all that encode checks
    # the order of the slots is one of building, by allowed actions, to exactly these states
    n_blocks = (children[:, : environment.max_fragments] > 0).sum(1)
    time = torch.arange(environment.max_steps)[:, None]
    choices = torch.where(time == 0, environment.max_fragments, (n_blocks - time).clamp(min=-1))
    states, actions = environment.retrace(children, choices)
    assert torch.equal(states[-1], children)
    for before, after, action in zip(states[:-1], states[1:], actions, strict=True):
        rows = (action >= 0).nonzero()[:, 0]
        assert environment.forward_mask(before[rows]).gather(1, action[rows][:, None]).all()
        assert torch.equal(environment.step(before[rows], action[rows]), after[rows])


def test_children_have_something_of_both_parents(parents):
    environment, a, b = parents
    children, is_valid = environment.crossover(a, b, torch.Generator().manual_seed(1))
    slots = environment.max_fragments
    has_new = 0
    for child, x, y in zip(*(s[is_valid, :slots].tolist() for s in (children, a, b)), strict=True):
        child, x, y = (Counter(k for k in blocks if k) for blocks in (child, x, y))
        assert not child - x - y
        has_new += bool(child - x) and bool(child - y)
    assert has_new > 0.5 * int(is_valid.sum())
    sizes = (children[is_valid, :slots] > 0).sum(1)
    assert sizes.min() == environment.min_fragments
    assert sizes.max() == environment.max_fragments


def test_what_cannot_be_crossed_is_marked_and_left(path):
    single = Fragments(max_fragments=1, min_fragments=1, vocabulary=path)
    states = terminal_states(single)
    children, is_valid = single.crossover(states, states.flip(0), torch.Generator().manual_seed(0))
    assert torch.equal(children, states)
    assert not is_valid.any()
    # fluorine and methane may not be joined, as no end is in a ring
    environment = Fragments(max_fragments=3, min_fragments=1, vocabulary=path)
    states = environment.encode(["F", "C", "c1ccccc1"])
    children, is_valid = environment.crossover(states, states[[1, 1, 0]], torch.Generator().manual_seed(0))
    assert is_valid.tolist() == [False, False, True]
    assert environment.decode(children) == ["F", "C", "Fc1ccccc1"]
    children, is_valid = environment.crossover(states[:0], states[:0], torch.Generator().manual_seed(0))
    assert children.shape == (0, environment.state_size)
    assert is_valid.shape == (0,)


def test_required_bonds_are_made_by_crossover(path):
    """A sulfonamide that loses the ring at its sulfur must find another one there."""
    environment = Fragments(max_fragments=2, min_fragments=2, vocabulary=path)
    a, b = environment.encode(["NS(=O)(=O)c1ccccc1", "Fc1cncnc1"]).repeat_interleave(200, 0).chunk(2)
    children, is_valid = environment.crossover(a, b, torch.Generator().manual_seed(0))
    found = set(environment.decode(children[is_valid]))
    pyrimidines = ("c1cncnc1", "c1ccncn1", "c1ncccn1")
    expected = ["Fc1ccccc1", *(x + y for x in ("NS(=O)(=O)", "c1ccccc1-") for y in pyrimidines)]
    assert found == {Chem.CanonSmiles(smiles) for smiles in expected}


def test_crossover_follows_its_generator(parents):
    environment, a, b = parents
    one, two, other = (
        environment.crossover(a, b, torch.Generator().manual_seed(seed))[0].tolist() for seed in (5, 5, 6)
    )
    assert one == two
    assert one != other
