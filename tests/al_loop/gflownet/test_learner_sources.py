"""What a learner trains on besides fresh draws."""

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.gflownet.learner_sources import LearnerSources
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.searches.genetic import Genetic
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.trainer import Trainer


def of_objects(objects):
    return torch.tensor([0.1 * smiles.count("N") for smiles in objects])


def of_states(states):
    return 0.1 * (states[:, 0] % 7).float()


@pytest.fixture
def trainer():
    training = TrainingSettings(batch_size=8, hidden=8, layers=1, replay_size=4)
    return Trainer(Fragments(max_fragments=3), of_objects, training)


def test_the_replay_follows_a_reward_of_states_and_back(trainer):
    trainer.step()
    learner = trainer.learner
    objects = learner.best_objects
    trainer.set_reward(StateReward(of_states))
    assert all(isinstance(key, int) for key in learner.replay.keys)
    assert set(learner.best_objects) == set(objects)
    trainer.step()
    drawn = learner.best_objects
    trainer.set_reward(of_objects)
    assert set(learner.replay.objects) == set(learner.best_objects) == set(drawn)
    assert learner.replay.state_dict()["log_reward"].tolist() == of_objects(learner.replay.objects).tolist()


def test_states_of_one_molecule_are_one_object_of_the_replay(trainer):
    trainer.set_reward(StateReward(of_states))
    for _ in range(12):
        trainer.step()
    objects = trainer.learner.best_objects
    assert len(set(objects)) == len(objects)


def test_a_measured_object_is_known_by_its_identity(trainer):
    learner, reward = trainer.learner, StateReward(of_states)
    assert learner.remember(["Cc1ccccc1", "not a molecule", "c1(C)ccccc1"], reward) == 2
    assert len(learner.measured) == 1


def test_seeds_are_in_the_replay_from_which_searches_start(trainer):
    seeds = ["CC(=O)Nc1ccccc1", "not a molecule"]
    learner = trainer.learner
    learner.start_from(seeds, of_objects)
    assert learner.best_objects == seeds[:1]
    (entries,) = [job.parents for job in LearnerSources.jobs(searching(learner), 0)]
    assert set(entries.keys) == {"CC(=O)Nc1ccccc1"}


def searching(learner):
    """The sources of a learner that runs a genetic search."""
    training = TrainingSettings(batch_size=8, searches=(Genetic(size=2),))
    sources = LearnerSources(Fragments(max_fragments=3), training, torch.device("cpu"))
    sources.load_state_dict(learner.state_dict())
    return sources
