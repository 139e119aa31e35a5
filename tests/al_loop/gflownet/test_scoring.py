"""Scores of terminal states, in this process."""

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.environments.sequence import Sequences
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.scoring import Decoder, InlineScorer


class Counting(Fragments):
    """Fragments that count the states that they decode."""

    def __init__(self):
        super().__init__(max_fragments=3)
        self.n_decoded = 0

    def decode(self, states):
        self.n_decoded += len(states)
        return super().decode(states)


def drawn(environment, n, seed=0):
    return rollout(environment, None, n, generator=torch.Generator().manual_seed(seed)).terminal


def test_no_object_is_decoded_twice_in_whatever_state_it_comes():
    environment = Counting()
    decode = Decoder(environment)
    states = torch.cat([drawn(environment, 40), drawn(environment, 40)])
    names = decode(states)
    others = environment.encode(names)
    assert decode(others) == names
    assert environment.n_decoded == len(set(names))
    assert names == Fragments(max_fragments=3).decode(states)


def test_names_are_forgotten_beyond_the_capacity():
    environment = Counting()
    decode = Decoder(environment, capacity=10)
    states = drawn(environment, 30)
    names = decode(states)
    assert decode(states) == names
    assert environment.n_decoded == 2 * len(set(names))


def test_states_without_an_identity_are_decoded_each_time():
    environment = Sequences("AC", 3)
    states = drawn(environment, 5)
    assert Decoder(environment)(states) == environment.decode(states)


def test_an_environment_that_returns_another_number_of_objects_is_reported():
    class Short(Sequences):
        def decode(self, states):
            return ["A"]

    environment = Short("AC", 3)
    with pytest.raises(ValueError, match="decode returned 1 objects for 2 states, expected one each"):
        Decoder(environment)(drawn(environment, 2))


def test_a_reward_of_states_needs_no_objects():
    environment = Counting()
    scorer = InlineScorer(environment)
    scorer.set_reward(StateReward(lambda states: states[:, 0].float()))
    states = drawn(environment, 5)
    scores = scorer.begin(states).result()
    assert scores.objects is None
    assert torch.equal(scores.log_reward, states[:, 0].float())
    assert environment.n_decoded == 0
