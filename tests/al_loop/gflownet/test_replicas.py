"""Processes that share a learner's batches, against one process with the whole batch."""

import copy
import os
import signal
from dataclasses import replace
from operator import methodcaller

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.fragments import Fragments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.errors import ReplicaLost
from al_loop.gflownet import Conditioning, StateReward, Trainer, TrainingSettings
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.sampler import Sampler
from tests.support.replicas import ThreadReplicas

GRID = Hypergrid(2, 4)
# log Z stays where the first batch put it, since the sign of its tiny gradient depends on rounding
SETTINGS = TrainingSettings(batch_size=11, hidden=16, replay_size=3, lr=5e-3, lr_log_z=1e-9)


def at_the_edge(states):
    return (states[:, 0] == 3).float() - 0.5 * states[:, 1].float()


def first_letter(states):
    return states[:, 0].float()


def trained(environment, reward, settings, size, n_steps, prior=None):
    """Return a learner after some steps, whose draws come from its own weights."""
    learner = Learner(environment, settings, 0, None, prior, ThreadReplicas(size) if size > 1 else None)
    sampler = Sampler(environment, learner.sampling_policy, settings.conditioning, settings.backward)
    sampler.set_reward(reward)
    learner.start(reward)
    for step in range(n_steps):
        draw = sampler.draw(settings.batch_size, seed=step, epsilon=0.1, per_condition=settings.per_condition)
        learner.update(draw, seed=step)
    return learner


def gradients(learner):
    """Return the clipped gradients of the first step, which are in the moments of Adam, and log Z after it."""
    state = learner.state_dict()
    return [*(s["exp_avg"] / 0.1 for s in state["optimizer"]["state"].values()), state["log_z"]["level"]]


def assert_equal_but_for_rounding(alone, together):
    for a, b in zip(gradients(alone), gradients(together), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


CONDITIONED = Conditioned(Assignments("01", 3), torch.tensor([[0.0], [1.0]]))
CASES = {
    "trajectory_balance": (GRID, at_the_edge, {}),
    "detailed_balance": (GRID, at_the_edge, {}),
    "sub_trajectory_balance": (GRID, at_the_edge, {"forward_looking": True}),
    "flow_matching": (GRID, at_the_edge, {}),
    "log_partition_variance": (GRID, at_the_edge, {}),
    "modified_sub_trajectory_balance": (Sequences("AC", 3), first_letter, {}),
}


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("objective", CASES)
def test_a_step_of_several_processes_is_that_of_one(objective, size):
    environment, function, more = CASES[objective]
    settings = replace(SETTINGS, objective=objective, **more)
    reward = StateReward(function, is_partial=True)
    assert_equal_but_for_rounding(*(trained(environment, reward, settings, n, 1) for n in (1, size)))


@pytest.mark.parametrize(
    ("environment", "more"),
    [
        (CONDITIONED, {"objective": "log_partition_variance", "per_condition": 3}),
        (CONDITIONED, {}),
        (GRID, {"conditioning": Conditioning(beta=(0.5, 2.0)), "heads": 2, "ema": 0.9}),
        (GRID, {"conditioning": Conditioning((0.5, 2.0)), "objective": "log_partition_variance", "per_condition": 3}),
        (GRID, {"backward_loss": "likelihood"}),
        (Fragments(max_fragments=3), {"batch_size": 4, "hidden": 8, "layers": 1}),
    ],
    ids=["groups", "log z of starts", "temperature", "groups of temperatures", "likelihood", "fragments"],
)
def test_conditions_and_settings_are_those_of_one_process(environment, more):
    reward = StateReward(lambda states: 0.1 * states.float().sum(1))
    assert_equal_but_for_rounding(*(trained(environment, reward, replace(SETTINGS, **more), n, 1) for n in (1, 2)))


def test_a_reference_and_a_checkpoint_reach_all_processes():
    torch.manual_seed(1)
    prior = make_policy(GRID, 16, 2).state_dict()
    settings = replace(SETTINGS, objective="relative_trajectory_balance")
    alone, together = (trained(GRID, StateReward(at_the_edge), settings, n, 1, prior) for n in (1, 2))
    assert_equal_but_for_rounding(alone, together)
    state = alone.state_dict()
    together.load_state_dict(state)
    (other,) = together._replicas.call(methodcaller("state"))
    for name, weight in state["policy"].items():
        assert torch.equal(other["policy"][name], weight)


def test_all_processes_have_the_same_weights_in_every_run():
    runs = []
    for _ in range(2):
        learner = trained(GRID, StateReward(at_the_edge), SETTINGS, 3, 12)
        runs.append([*learner.policy.state_dict().values(), *gradients(learner)])
        for other in learner._replicas.call(methodcaller("state")):
            for name, weight in learner.policy.state_dict().items():
                assert torch.equal(other["policy"][name], weight)
    assert all(map(torch.equal, *runs))


def test_several_processes_learn_the_exact_distribution():
    settings = TrainingSettings(batch_size=48, hidden=32, lr=5e-3, replay_size=8)
    learner = trained(GRID, StateReward(at_the_edge), settings, 2, 150)
    states, p = terminal_distribution(GRID, learner.policy)
    target = at_the_edge(states).double().softmax(0)
    assert (p - target).abs().sum() < 0.06


class Energy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, states):
        return self.scale * at_the_edge(states)


def test_weights_of_a_live_reward_reach_all_processes():
    results = []
    for size in (1, 2):
        energy = Energy()
        settings = replace(SETTINGS, objective="detailed_balance", forward_looking=True)
        learner = Learner(GRID, settings, 0, replicas=ThreadReplicas(size) if size > 1 else None)
        sampler = Sampler(GRID, learner.policy)
        reward = StateReward(energy, is_partial=True, is_live=True)
        sampler.set_reward(reward)
        learner.start(reward)
        energy.scale.data += 0.5
        learner.update(sampler.draw(8, seed=0), seed=0)
        results.append(learner)
    assert_equal_but_for_rounding(*results)


def test_losses_that_are_not_finite_are_refused_by_all():
    learner = trained(GRID, StateReward(at_the_edge), SETTINGS, 2, 1)
    learner.policy.trunk[0].weight.data.fill_(torch.nan)
    before = copy.deepcopy(learner.policy.state_dict())
    sampler = Sampler(GRID, make_policy(GRID, 16, 2))
    sampler.set_reward(StateReward(at_the_edge))
    with pytest.raises(ValueError, match="a loss is infinite or NaN"):
        learner.update(sampler.draw(8, seed=0), seed=0)
    assert learner.policy.trunk[1].weight.equal(before["trunk.1.weight"])


def test_more_processes_than_trajectories_are_refused():
    with pytest.raises(ValueError, match="3 processes cannot share a batch of 2"):
        Learner(GRID, replace(SETTINGS, batch_size=2), 0, replicas=ThreadReplicas(3))


def test_a_process_that_dies_ends_the_training_with_its_cause_and_a_restart_goes_on():
    alone = Trainer(GRID, StateReward(at_the_edge), SETTINGS)
    trainer = Trainer(GRID, StateReward(at_the_edge), SETTINGS, replicas=2)
    for _ in range(2):
        assert trainer.step() == pytest.approx(alone.step(), rel=1e-3)
    state = trainer.state_dict()
    (pid,) = trainer.learner._replicas.call(_pid)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ReplicaLost, match="process 1 of the learner died \\(killed by SIGKILL\\)"):
        trainer.step()
    with pytest.raises(ReplicaLost, match="start the training again"):
        trainer.step()
    trainer.close()
    resumed = Trainer(GRID, StateReward(at_the_edge), SETTINGS)
    resumed.load_state_dict(state)
    assert resumed.step() == pytest.approx(alone.step(), rel=1e-2)


def _pid(worker):
    return os.getpid()
