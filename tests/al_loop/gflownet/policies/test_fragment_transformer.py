"""The graph transformer on fragments: its invariances, its inputs, and the draws of a trained one."""

import json
import math
from collections import defaultdict

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.environments.fragments.vocabulary import describe_block
from al_loop.environments.sequence import Sequences
from al_loop.gflownet import Conditioning, Trainer, Training, train
from al_loop.gflownet.action_choice import masked_log_softmax
from al_loop.gflownet.exact_distribution import object_distribution, terminal_states
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.fragment_transformer import FragmentTransformerPolicy
from al_loop.gflownet.rollout import rollout

BLOCKS = [("c1ccccc1", [*range(6)]), ("C", [0, 0]), ("F", [0]), ("c1cncnc1", [0, 1, 3, 5])]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.json"
    path.write_text(json.dumps([describe_block(*block) for block in BLOCKS]), encoding="utf-8")
    return Fragments(max_fragments=3, min_fragments=1, vocabulary=str(path))


@pytest.fixture(scope="module")
def large():
    return Fragments(max_fragments=6)


def make(environment, seed=1, **settings):
    torch.manual_seed(seed)
    return FragmentTransformerPolicy(environment, **{"hidden": 16, "layers": 2, **settings})


def unfinished(environment, states):
    return torch.cat([states[:, :-1], torch.zeros_like(states[:, :1])], 1)


def test_backward_half_and_flow_do_not_depend_on_the_drawing(small):
    policy = make(small)
    finished = terminal_states(small)
    states = unfinished(small, finished)
    with torch.no_grad():
        log_pb = masked_log_softmax(policy.backward_logits(states), small.backward_mask(states)).exp()
        flow = policy.log_flow(states)
    seen = defaultdict(list)
    for smiles, row, value in zip(small.decode(finished), log_pb, flow.tolist(), strict=True):
        seen[smiles].append([*sorted(row.tolist()), value])
    assert max(len(rows) for rows in seen.values()) > 5
    for rows in seen.values():
        torch.testing.assert_close(torch.tensor(rows), torch.tensor(rows[:1]).expand(len(rows), -1))
    assert len({round(rows[0][-1], 4) for rows in seen.values()}) > 10


def test_the_backward_half_of_large_molecules_does_not_depend_on_the_root(large):
    policy = make(large)
    ends = rollout(large, None, 32, generator=torch.Generator().manual_seed(0)).terminal
    again = large.encode(large.decode(ends))
    assert not torch.equal(ends, again)
    with torch.no_grad():
        a, b = policy.log_flow(unfinished(large, ends)), policy.log_flow(unfinished(large, again))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_forward_half_tells_ortho_from_para_whatever_the_order(small):
    policy = make(small)
    ring, fluorine = (next(i for i, b in enumerate(small.blocks, 1) if b.smiles == s) for s in ("c1ccccc1", "F"))
    sites = [(0, 1), (1, 0), (0, 3), (3, 0)]  # of the ring: twice ortho, twice para
    states = torch.tensor([[ring, fluorine, fluorine, 0, 0, 0, 0, a, b, 0, 0, 0, 0] for a, b in sites])
    names = small.decode(torch.cat([states[:, :-1], torch.ones_like(states[:, :1])], 1))
    assert names[0] == names[1] != names[2] == names[3]
    with torch.no_grad():
        x, pooled = policy._labelled(states, None)
        stop = policy.forward_logits(states)[:, -1]
    for a, b in ((0, 1), (2, 3)):
        torch.testing.assert_close(stop[a], stop[b])
        torch.testing.assert_close(pooled[a], pooled[b])
        torch.testing.assert_close(x[a], x[b][[0, 2, 1]])
    assert (pooled[0] - pooled[2]).abs().max() > 1e-2


def test_distances_are_bonds_in_the_tree(large):
    policy = make(large)
    parent = torch.tensor([[0, 0, 0, 1, 3, 2]])
    expected = [[0, 1, 1, 2, 3, 2], [0, 0, 2, 1, 2, 3], [0, 0, 0, 3, 4, 1], [0, 0, 0, 0, 1, 4], [0, 0, 0, 0, 0, 5]]
    got = policy._distances(parent)[0]
    for row, values in enumerate(expected):
        assert got[row, row:-1].tolist() == values[row:]
    assert torch.equal(got, got.T)
    assert (got[-1] == 6).all()


def test_sparse_log_probabilities_are_the_dense_ones(large):
    policy = make(large, heads=2)
    trajectories = rollout(large, None, 24, generator=torch.Generator().manual_seed(5))
    is_step = (trajectories.actions >= 0).flatten()
    states, actions = trajectories.states[:-1].flatten(0, 1)[is_step], trajectories.actions.flatten()[is_step]
    mask = large.forward_mask(states)
    sparse = policy.forward_log_prob(states, mask, actions)
    log_p = masked_log_softmax(policy.forward_logits(states), mask)
    torch.testing.assert_close(sparse, log_p.gather(1, actions[:, None])[:, 0])


def halogens(objects):
    return torch.tensor([0.3 * o.count("F") - 0.2 * o.count("n") for o in objects])


@pytest.mark.slow
def test_molecules_are_sampled_in_proportion_to_the_reward(small):
    training = Training(steps=180, batch_size=48, replay_size=8, lr=5e-3)
    learner, _ = train(small, halogens, training, policy=make(small, seed=0, hidden=32))
    p = object_distribution(small, learner.policy)
    reward = halogens(list(p)).double().exp()
    assert (torch.tensor(list(p.values())) - reward / reward.sum()).abs().sum() < 0.2
    assert float(learner.log_z) == pytest.approx(math.log(reward.sum()), abs=0.1)


def test_gradients_reach_every_parameter(small):
    policy = make(small, n_conditions=1, heads=2)
    settings = {"objective": "sub_trajectory_balance", "conditioning": Conditioning(beta=(1.0, 4.0)), "heads": 2}
    trainer = Trainer(small, halogens, Training(batch_size=32, **settings), policy=policy)
    for _ in range(2):
        assert math.isfinite(trainer.step())
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_what_it_is_told_changes_the_first_block(small):
    policy = make(small, n_conditions=1)
    told = Context(torch.tensor([[-1.0], [1.0]]))
    states = small.initial(2)
    mask = small.forward_mask(states)
    a, b = masked_log_softmax(policy.forward_logits(states, told), mask)[:, mask[0]]
    assert (a - b).abs().max() > 1e-3
    assert (policy.log_flow(states, told).diff()).abs() > 1e-4


def test_what_it_cannot_read_is_refused(small):
    with pytest.raises(ValueError, match="trees of fragments, not 'sequence'"):
        make(Sequences("AC", 3))
    with pytest.raises(ValueError, match=r"multiples of attention_heads \(4\)"):
        make(small, hidden=20)
