"""The interface of environments, by its own example and by the smallest environment there is."""

import doctest

import torch

from al_loop.environments import base
from al_loop.environments.base import Environment
from al_loop.environments.fragments import Fragments
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.environments.testing import EnvironmentContract


class Counter(Environment):
    """Numbers from 0 to 9, counted up one by one; the example in CONTRIBUTING.md."""

    n_actions = n_backward_actions = state_size = n_features = 2  # count or stop; the number, and whether it stopped
    max_steps = 10

    def initial(self, n, device="cpu"):
        return torch.zeros(n, 2, dtype=torch.int64, device=device)

    def step(self, states, actions):
        return states + torch.eye(2, dtype=torch.int64, device=states.device)[actions]

    def backward_step(self, states, backward_actions):
        return states - torch.eye(2, dtype=torch.int64, device=states.device)[backward_actions]

    def backward_action(self, states, actions):
        return actions

    def forward_action(self, states, backward_actions):
        return backward_actions

    def forward_mask(self, states):
        return torch.stack([states[:, 0] < 9, states[:, 0] >= 0], 1) & (states[:, 1:] == 0)

    def backward_mask(self, states):
        return torch.stack([(states[:, 0] > 0) & (states[:, 1] == 0), states[:, 1] == 1], 1)

    def is_terminal(self, states):
        return states[:, 1] == 1

    def features(self, states):
        return states.float()

    def decode(self, states):
        return [str(number) for number in states[:, 0].tolist()]

    def encode(self, objects):
        return torch.tensor([[range(10).index(int(name)), 1] for name in objects], dtype=torch.int64).reshape(-1, 2)


class TestCounter(EnvironmentContract):
    invalid = ("10", "-1", "x")
    is_small = True

    def make(self):
        return Counter()


def test_the_example_is_right():
    assert doctest.testmod(base).failed == 0
    assert doctest.testmod(base).attempted > 5


def test_undeclared_attributes_have_defaults():
    environment = Counter()
    assert (environment.objects, environment.alphabet, environment.length, environment.order) == (None, None, None, "")
    assert (environment.name, environment.default_policy) == ("Counter", "mlp")
    assert (environment.vocabulary(), environment.describe()) == ([2], "Counter")


def test_vocabularies_are_letters_items_and_blocks():
    assert Sequences("ACGU", 4).vocabulary() == [*"ACGU", "append"]
    assert Sequences("ACGU", 4).describe() == "sequence (4 letters)"
    assert Sets(3, 2).vocabulary() == ["0", "1", "2", ""]
    assert Sets(3, 2).describe() == "set (3 items)"
    blocks = Fragments()
    assert blocks.vocabulary()[0] == [blocks.blocks[0].smiles, blocks.blocks[0].sites]
    assert blocks.describe() == f"fragments ({len(blocks.blocks)} blocks)"
