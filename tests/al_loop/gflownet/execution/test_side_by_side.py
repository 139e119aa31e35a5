"""Trainings side by side are the trainings that each seed has alone."""

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.execution.choice import Execution
from al_loop.gflownet.execution.side_by_side import SideBySide

REWARD = StateReward(lambda states: (states * torch.arange(states.shape[1])).sum(1).float() / 5)
SEEDS = (3, 14, 15)


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        (Hypergrid(2, 5), {}),
        (Hypergrid(2, 5), {"objective": "sub_trajectory_balance", "clip_norm": 0.5}),
        (Hypergrid(2, 5), {"objective": "log_partition_variance", "epsilon": 0.0}),
        (Sequences("AC", 4, 2, "prepend_append"), {"objective": "detailed_balance"}),
        (Sets(6, 3, 1), {"objective": "flow_matching"}),
        (Assignments("01", 4), {"backward_loss": "likelihood"}),
    ],
)
def test_each_training_is_that_of_its_seed_alone(environment, options):
    training = Training(batch_size=6, hidden=16, layers=1, replay_size=0, execution=Execution(), **options)
    together = SideBySide(environment, REWARD, training, SEEDS)
    alone = [Trainer(environment, REWARD, training, seed=seed) for seed in SEEDS]
    for _ in range(4):
        assert together.step() == pytest.approx([trainer.step() for trainer in alone], rel=1e-3, abs=1e-4)
    for policy, trainer in zip(together.policies(), alone, strict=True):
        for a, b in zip(policy.parameters(), trainer.policy.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(together.log_z, torch.stack([t.learner.log_z for t in alone]), rtol=1e-3, atol=1e-4)


def test_unsupported_settings_are_named():
    with pytest.raises(ValueError, match="replay_size, ema"):
        SideBySide(Hypergrid(2, 4), REWARD, Training(ema=0.9), SEEDS)
    with pytest.raises(ValueError, match="the given epochs, forward_looking"):
        SideBySide(
            Hypergrid(2, 4),
            REWARD,
            Training(replay_size=0, epochs=2, forward_looking=True, objective="detailed_balance"),
            SEEDS,
        )
    with pytest.raises(ValueError, match="log_reward: expected a StateReward, got function"):
        SideBySide(Hypergrid(2, 4), lambda objects: torch.zeros(len(objects)), Training(replay_size=0), SEEDS)
    with pytest.raises(ValueError, match="at least one"):
        SideBySide(Hypergrid(2, 4), REWARD, Training(replay_size=0), ())
