"""The policy on trees of patterns: what it distinguishes, and that it fits any vocabulary."""

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.blocks import BlockPolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.trainer import Trainer
from tests.support.patterns import MOLECULES, write_vocabulary


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return Fragments(max_fragments=4, max_atoms=16, vocabulary=write_vocabulary(tmp_path_factory.mktemp("patterns")))


def test_it_is_the_default_policy_of_patterns_and_refuses_other_blocks(environment):
    assert isinstance(make_policy(environment, 16, 1), BlockPolicy)
    with pytest.raises(ValueError, match="requires environment: fragments with a vocabulary of patterns"):
        BlockPolicy(Fragments())


def test_its_weights_fit_another_vocabulary(environment, tmp_path):
    other = Fragments(vocabulary=write_vocabulary(tmp_path, MOLECULES[3:9]))
    assert len(other.blocks) != len(environment.blocks)
    policy, on_other = BlockPolicy(environment, 16, 1), BlockPolicy(other, 16, 1)
    torch.nn.init.zeros_(policy.frequency)  # frequencies are of the files
    on_other.load_trainable_state(policy.trainable_state())
    shared = {b.smiles for b in other.blocks} & {b.smiles for b in environment.blocks}
    assert shared

    def preference(space, weights):
        logits = weights.forward_logits(space.initial(1))[0]
        entries = space.tables(torch.device("cpu"))
        return {
            (space.blocks[int(b) - 1].smiles, int(s)): x.item()
            for b, s, x in zip(entries.entry_block, entries.entry_site, logits, strict=True)
        }

    here, there = preference(environment, policy), preference(other, on_other)
    assert all(there[key] == pytest.approx(here[key], abs=1e-5) for key in there if key[0] in shared)


def test_each_entry_and_each_configuration_has_its_own_logit(environment):
    logits = BlockPolicy(environment, 16, 1).forward_logits(environment.initial(1))[0]
    assert len(logits.unique()) == environment.n_entries


def test_a_roll_out_and_a_state_by_itself_have_the_same_logits(environment):
    policy = BlockPolicy(environment, 16, 2, n_conditions=2, heads=3)
    states = rollout(environment, None, 8, generator=torch.Generator().manual_seed(0)).states[2]
    context = Context(torch.rand(8, 2), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]))
    whole = policy.forward_logits(states, context)
    memory = policy.start_from(states)
    assert torch.allclose(policy.next_logits(states, context, memory, None), whole, atol=1e-6)
    assert torch.allclose(policy.forward_logits(states[3:4], context.rows(torch.tensor([3]))), whole[3:4], atol=1e-5)
    assert policy.forward_logits(environment.initial(2), context.rows(torch.tensor([0, 1]))).isfinite().all()
    assert policy.log_flow(states, context).shape == (8,)


def test_molecules_are_drawn_in_proportion_to_the_reward(tmp_path):
    environment = Fragments(max_fragments=3, max_atoms=11, vocabulary=write_vocabulary(tmp_path))

    def log_reward(objects):
        return torch.tensor([float(name.count("F")) for name in objects])

    torch.manual_seed(0)
    settings = TrainingSettings(batch_size=48, hidden=32, layers=2, lr=1e-2, replay_size=0, epsilon=0.1)
    trainer = Trainer(environment, log_reward, settings)
    for _ in range(120):
        trainer.step()
    drawn = object_distribution(environment, trainer.policy)
    names = list(drawn)
    target = log_reward(names).double().softmax(0)
    off = (torch.tensor([drawn[name] for name in names]) - target).abs().sum() / 2
    assert off < 0.15
