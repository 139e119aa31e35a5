"""The tagging policy gives the same numbers state by state, along trajectories and in roll-outs."""

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.policies.tagging import TaggingPolicy
from al_loop.gflownet.rollout import rollout


def made():
    torch.manual_seed(0)
    environment = Conditioned(Assignments("AB", 3, order="left_to_right"), torch.randn(4, 6))
    return environment, TaggingPolicy(environment, hidden=5)


def test_whole_trajectories_and_single_states_agree():
    environment, policy = made()
    start = environment.start(torch.tensor([0, 1, 3]))
    drawn = rollout(environment, policy, 3, generator=torch.Generator().manual_seed(0), start=start)
    along = policy.along(drawn.states)
    for step, states in enumerate(drawn.states):
        assert torch.allclose(along.forward[step], policy.forward_logits(states), atol=1e-6)
        assert torch.allclose(along.log_flow[step], policy.log_flow(states), atol=1e-6)


def test_a_roll_out_remembers_the_observation_of_each_row():
    environment, policy = made()
    start = environment.start(torch.tensor([0, 1, 3]))
    memory = policy.start_from(start)
    assert torch.allclose(policy.next_logits(start, None, memory, None), policy.forward_logits(start))
    later = environment.step(start[[0, 2]], torch.tensor([1, 0]))
    remembered = policy.next_logits(later, None, memory, torch.tensor([0, 2]))
    assert torch.allclose(remembered, policy.forward_logits(later), atol=1e-6)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (Assignments("AB", 3, order="left_to_right"), "requires conditions"),
        (Conditioned(Assignments("AB", 3), torch.zeros(1, 3)), "from left to right"),
        (Conditioned(Assignments("AB", 3, order="left_to_right"), torch.zeros(1, 4)), "inputs for each of 3 places"),
    ],
)
def test_other_environments_are_refused(environment, message):
    with pytest.raises(ValueError, match=message):
        TaggingPolicy(environment)
