"""The policy on trees of fragments."""

from collections import defaultdict

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.gflownet._discovery import find_part
from al_loop.gflownet.action_choice import masked_log_softmax
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.policies.fragments import FragmentPolicy
from al_loop.gflownet.rollout import rollout
from tests.support.fragments import vocabulary


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return Fragments(max_fragments=3, min_fragments=1, vocabulary=vocabulary(tmp_path_factory.mktemp("vocabulary")))


@pytest.fixture(scope="module")
def drawn():
    environment = Fragments()
    return environment, rollout(environment, None, 300, generator=torch.Generator().manual_seed(3)).terminal


def test_backward_policy_does_not_depend_on_the_drawing(small):
    torch.manual_seed(1)
    policy = FragmentPolicy(small, 16, 2)
    states = terminal_states(small)
    states = states[torch.randperm(len(states), generator=torch.Generator().manual_seed(4))[:200]].clone()
    states[:, -1] = 0
    with torch.no_grad():
        log_pb = masked_log_softmax(policy.backward_logits(states), small.backward_mask(states)).exp()
    finished = torch.cat([states[:, :-1], torch.ones_like(states[:, :1])], 1)
    seen = defaultdict(set)
    for smiles, row in zip(small.decode(finished), log_pb, strict=True):
        seen[smiles].add(tuple(round(v, 4) for v in sorted(row.tolist())))
    assert all(len(v) == 1 for v in seen.values())


def test_sparse_log_probabilities_are_the_dense_ones(drawn):
    environment, _ = drawn
    torch.manual_seed(2)
    policy = FragmentPolicy(environment, 16, 2)
    trajectories = rollout(environment, None, 24, generator=torch.Generator().manual_seed(5))
    is_step = (trajectories.actions >= 0).flatten()
    states, actions = trajectories.states[:-1].flatten(0, 1)[is_step], trajectories.actions.flatten()[is_step]
    mask = environment.forward_mask(states)
    sparse = policy.forward_log_prob(states, mask, actions)
    dense = super(type(policy), policy).forward_log_prob(states, mask, actions)
    torch.testing.assert_close(sparse, dense)
    parameters = [p for name, p in policy.named_parameters() if not name.startswith(("back", "flow"))]
    for a, b in zip(
        torch.autograd.grad(sparse.sum(), parameters), torch.autograd.grad(dense.sum(), parameters), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_is_found_without_the_packages_that_configs_require():
    assert find_part("al_loop.gflownet.policies", "fragments") is FragmentPolicy
