"""Scores of which workers do the slow part equal those of one process, to the bit."""

import pytest
import torch

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.ucb import UCB
from al_loop.config import Part
from al_loop.config.reward_settings import Reward as Settings
from al_loop.environments.fragments import Fragments
from al_loop.features.circular import Circular
from al_loop.features.joined import Joined
from al_loop.features.morgan import Morgan
from al_loop.gflownet.parallel_scoring import ParallelScorer
from al_loop.gflownet.pipeline import InlineSampler
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.sampler import DrawRequest
from al_loop.gflownet.scoring import InlineScorer
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.trainer import Trainer
from al_loop.modelling.constraints import Constraints, PropertyBound
from al_loop.modelling.reward import AcquisitionReward, ObjectSpace
from al_loop.properties.logp import LogP
from al_loop.surrogates.gp import ExactGP
from tests.support.scoring import CountingWorkers

ENVIRONMENT = Fragments(max_fragments=3)


def n_carbons(objects):
    return torch.tensor([0.1 * smiles.lower().count("c") for smiles in objects])


def failing(objects):
    raise ValueError("the reward has failed")


def drawn(n, seed=0):
    return rollout(ENVIRONMENT, None, n, generator=torch.Generator().manual_seed(seed)).terminal


def acquisition_reward(features):
    smiles = ENVIRONMENT.decode(drawn(40, seed=9))
    X, Y = features(smiles), n_carbons(smiles).double()[:, None]
    model = ExactGP(kernel=features.kernel).fit(X, Y)
    space = ObjectSpace(features, Constraints([PropertyBound(LogP(), None, 2.0)]), smiles[:20])
    return AcquisitionReward([UCB().build(model, AcquisitionContext(X))], [model], space, Settings())


@pytest.fixture
def workers():
    made = CountingWorkers(ENVIRONMENT)
    yield made
    made.close()


@pytest.mark.parametrize(
    "features",
    [Morgan, Circular, lambda: Joined([Part(kind="morgan"), Part(kind="circular")])],
    ids=["morgan", "circular", "joined"],
)
def test_a_campaigns_reward_is_the_same_and_its_slow_part_is_done_elsewhere(features, workers):
    here, there = InlineScorer(ENVIRONMENT), ParallelScorer(ENVIRONMENT, workers)
    reward = acquisition_reward(features())
    here.set_reward(acquisition_reward(features()))
    there.set_reward(reward)
    for seed in (1, 2, 1):
        expected, scores = here.begin(drawn(50, seed)).result(), there.begin(drawn(50, seed)).result()
        assert scores.objects == expected.objects
        assert torch.equal(scores.log_reward, expected.log_reward)
        assert all(reward.space.features.knows(name) for name in scores.objects)
    assert workers.n_prepared == workers.n_decoded


def test_no_object_is_decoded_or_scored_twice_even_while_it_is_being_decoded(workers):
    scorer = ParallelScorer(ENVIRONMENT, workers)
    scorer.set_reward(n_carbons)
    states = torch.cat([drawn(40), drawn(40)])
    pending = [scorer.begin(states), scorer.begin(states)]
    objects = [p.result().objects for p in pending]
    assert objects[0] == objects[1] == ENVIRONMENT.decode(states)
    assert scorer.decode(ENVIRONMENT.encode(objects[0])) == objects[0]
    scorer.begin(states).result()
    assert workers.n_decoded == workers.n_prepared == len(set(objects[0]))


def test_known_objects_are_prepared_for_a_new_reward_without_decoding_them(workers):
    scorer = ParallelScorer(ENVIRONMENT, workers)
    scorer.set_reward(n_carbons)
    states = drawn(40)
    first = scorer.begin(states).result()
    n_decoded = workers.n_decoded
    scorer.set_reward(acquisition_reward(Morgan()))
    scores = scorer.begin(states).result()
    assert scores.objects == first.objects
    assert workers.n_decoded == n_decoded
    assert workers.n_prepared == 2 * n_decoded


def test_scores_that_began_with_an_earlier_reward_are_those_of_that_reward(workers):
    scorer = ParallelScorer(ENVIRONMENT, workers)
    scorer.set_reward(n_carbons)
    pending = scorer.begin(drawn(20))
    scorer.set_reward(acquisition_reward(Morgan()))
    later = scorer.begin(drawn(20))
    scores = pending.result()
    assert torch.equal(scores.log_reward, n_carbons(scores.objects))
    assert torch.equal(later.result().log_reward, acquisition_reward(Morgan())(scores.objects))


def test_candidates_are_prepared_with_the_names_that_they_are_decoded_to(workers):
    scorer, reward = ParallelScorer(ENVIRONMENT, workers), acquisition_reward(Morgan())
    scorer.set_reward(reward)
    names = scorer.decode(drawn(30, seed=4))
    assert names == ENVIRONMENT.decode(drawn(30, seed=4))
    assert all(reward.space.features.knows(name) for name in names)
    assert all(reward.space.constraints.knows(name) for name in names)


def test_a_function_that_cannot_be_sent_is_evaluated_here(workers):
    scorer = ParallelScorer(ENVIRONMENT, workers)
    scorer.set_reward(lambda objects: n_carbons(objects) + 1)
    scores = scorer.begin(drawn(20)).result()
    assert torch.equal(scores.log_reward, n_carbons(scores.objects) + 1)
    assert workers.n_prepared == 0 < workers.n_decoded


def test_an_error_of_the_reward_is_raised_and_its_objects_can_be_tried_again(workers):
    scorer = ParallelScorer(ENVIRONMENT, workers)
    scorer.set_reward(failing)
    with pytest.raises(ValueError, match="the reward has failed"):
        scorer.begin(drawn(20)).result()
    scorer.set_reward(n_carbons)
    scores = scorer.begin(drawn(20)).result()
    assert torch.equal(scores.log_reward, n_carbons(scores.objects))


def test_a_reward_of_states_needs_no_workers(workers):
    scorer = ParallelScorer(ENVIRONMENT, workers)
    scorer.set_reward(StateReward(lambda states: states[:, 0].float()))
    assert scorer.begin(drawn(5)).result().objects is None
    assert workers.n_tasks == 0


def test_training_gives_the_same_weights(workers):
    def trained(scorer):
        training = TrainingSettings(batch_size=8, hidden=8, layers=1, replay_size=4)
        trainer = Trainer(ENVIRONMENT, n_carbons, training, scorer=scorer)
        return [trainer.step() for _ in range(3)]

    assert trained(ParallelScorer(ENVIRONMENT, workers)) == trained(None)


def test_a_sampler_draws_again_while_workers_score(workers):
    training = TrainingSettings(batch_size=8, hidden=8, layers=1)
    trainer = Trainer(ENVIRONMENT, n_carbons, training, scorer=ParallelScorer(ENVIRONMENT, workers))
    samplers = InlineSampler(trainer.sampler)
    pending = [samplers.begin(DrawRequest(20, seed)) for seed in (1, 2)]
    draws = [trainer.sampler.draw(20, seed=seed) for seed in (1, 2)]
    for one, other in zip(pending, draws, strict=True):
        assert one.result().objects == other.objects
    samplers.close()
    assert workers.is_closed
