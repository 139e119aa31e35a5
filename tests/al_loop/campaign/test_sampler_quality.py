"""Estimates of a sampler's quality against the truth of a small space."""

import pytest
import torch

from al_loop.campaign.sampler_quality import sampler_quality
from al_loop.environments.hypergrid import Hypergrid
from al_loop.gflownet import Conditioning, Trainer, TrainingSettings
from al_loop.gflownet.pipeline import InlineSampler

GRID = Hypergrid(2, 4)
OBJECTS = [f"{x},{y}" for x in range(4) for y in range(4)]


def log_reward(objects):
    return torch.tensor([1.5 * (o[0] == "3") - 0.5 * int(o[2]) for o in objects])


def quality(n_steps, measured=OBJECTS, **settings):
    training = TrainingSettings(batch_size=64, hidden=32, lr=5e-3, replay_size=0, **settings)
    reward = log_reward
    if training.conditioning.objectives > 1:
        reward = lambda objects: torch.stack([log_reward(objects)] * 2, 1)  # noqa: E731
    trainer = Trainer(GRID, reward, training)
    for _ in range(n_steps):
        trainer.step()
    return sampler_quality(GRID, trainer.learner, InlineSampler(trainer.sampler), reward, measured, 1)


def test_a_trained_sampler_is_near_the_bound_and_an_untrained_one_is_not():
    log_z = float(log_reward(OBJECTS).logsumexp(0))
    trained, untrained = quality(150), quality(0)
    assert trained["elbo"] == pytest.approx(log_z, abs=0.05)
    assert trained["effective_share"] > 0.95
    assert trained["reward_correlation"] > 0.9
    assert untrained["elbo"] < log_z - 0.2
    assert untrained["effective_share"] < 0.8
    assert untrained["reward_correlation"] < 0.8


def test_objects_outside_the_space_are_left_out():
    assert "reward_correlation" not in quality(0, ["9,9", "1,1", "2,2"])
    assert "reward_correlation" in quality(0, ["9,9", "1,1", "2,2", "3,0"])


def test_a_draw_without_any_reward_has_no_bound():
    def nothing(objects):
        return torch.full((len(objects),), -torch.inf)

    trainer = Trainer(GRID, nothing, TrainingSettings(batch_size=8, hidden=8))
    assert sampler_quality(GRID, trainer.learner, InlineSampler(trainer.sampler), nothing, OBJECTS, 1) == {}


@pytest.mark.parametrize(
    "settings",
    [{"conditioning": Conditioning(objectives=2)}, {"heads": 2}, {"objective": "flow_matching"}],
    ids=["preferences", "heads", "no backward policy"],
)
def test_a_sampler_without_a_single_target_has_no_estimates(settings):
    assert quality(0, **settings) == {}
