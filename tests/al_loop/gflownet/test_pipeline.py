"""Draws come from weights of a known age and are trained on in order, independently of who makes them."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.gflownet import Training
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.pipeline import InlineSampler, PipelineStats, SamplerGroup, pipeline, split
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.sampler import DrawRequest, Sampler, SearchJob
from al_loop.gflownet.searches.local_search import LocalSearch
from al_loop.seeding import derive_seed

ENVIRONMENT = Hypergrid(dimensions=2, height=6)
REWARD = StateReward(lambda states: -states.float().sum(1))


def training(**changes):
    return Training(**{"steps": 9, "batch_size": 8, "hidden": 16, "layers": 1, "replay_size": 4, **changes})


def new_sampler(settings):
    sampler = Sampler(ENVIRONMENT, make_policy(ENVIRONMENT, settings.hidden, settings.layers, 0, 1))
    sampler.set_reward(REWARD)
    return sampler


class OnTheWay:
    def __init__(self, group, future):
        self._group, self.future = group, future

    def result(self):
        draw = self.future.result()
        self._group.n_open -= 1
        return draw


class Scattered(SamplerGroup):
    """Many samplers in threads that finish in any order."""

    def __init__(self, settings, seed):
        self._settings, self._random = settings, random.Random(seed)
        self._pool = ThreadPoolExecutor(5)
        self.n_open = self.most_open = 0

    def set_reward(self, log_reward):
        raise AssertionError("not in a training")

    def set_weights(self, weights):
        self._weights = weights

    def begin(self, order):
        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)
        return OnTheWay(self, self._pool.submit(self._fill, order, self._weights, self.delay_s(order)))

    def delay_s(self, order):
        return self._random.random() * 0.02

    def first(self, waiting):
        while True:
            for i, draws in enumerate(waiting):
                if all(draw.future.done() for draw in draws):
                    return i
            time.sleep(0.001)

    def _fill(self, order, weights, delay_s):
        time.sleep(delay_s)
        sampler = new_sampler(self._settings)
        sampler.set_weights(weights)
        return sampler.fill(order)

    def close(self):
        self._pool.shutdown()


class OneStraggler(Scattered):
    """The second draw comes when seven others have come."""

    def __init__(self, settings):
        super().__init__(settings, seed=0)
        self._begun = []

    def begin(self, order):
        self._begun.append(super().begin(order))
        return self._begun[-1]

    def first(self, waiting):
        late = [i for i, (draw,) in enumerate(waiting) if draw is self._begun[1]]
        is_time = len(self._begun) - len(waiting) >= 7
        at = late[0] if late and is_time else next(i for i in range(len(waiting)) if i not in late)
        waiting[at][0].future.result()
        return at

    @property
    def straggler(self):
        return self._begun[1].future.result()


def run(settings, group, stats=None):
    learner = Learner(ENVIRONMENT, settings, seed=1)
    learner.start(REWARD)
    losses = list(pipeline(learner, group, seed=lambda *at: derive_seed(3, *at), stats=stats))
    return losses, learner.weights()


@pytest.mark.parametrize(("staleness", "shares"), [(0, 1), (0, 3), (2, 1), (3, 2), (20, 1)])
def test_it_does_not_matter_who_draws_and_who_is_first(staleness, shares):
    settings = training(staleness=staleness, shares=shares, searches=(LocalSearch(size=3),))
    losses, weights = run(settings, InlineSampler(new_sampler(settings)))
    for seed in (1, 2):
        group = Scattered(settings, seed)
        scattered, others = run(settings, group)
        group.close()
        assert scattered == losses
        assert all(torch.equal(weights[name], others[name]) for name in weights)
        most = min(staleness + 1, settings.steps)
        assert group.most_open <= most * (shares + 1)  # a search beside the shares of each draw


def test_by_arrival_nobody_waits_for_a_straggler_and_what_comes_too_late_is_kept_but_not_trained_on():
    settings = training(steps=12, staleness=3, order="arrival")
    group, stats = OneStraggler(settings), PipelineStats()
    learner = Learner(ENVIRONMENT, settings, seed=1)
    learner.start(REWARD)
    losses = list(pipeline(learner, group, seed=lambda *at: derive_seed(3, *at), stats=stats))
    group.close()
    assert len(losses) == len(stats.staleness) == 12
    assert stats.late == 1
    assert max(stats.staleness) <= 3
    assert group.most_open <= 4
    assert stats.trajectories == 13 * settings.batch_size
    assert set(map(str, group.straggler.keys)) <= set(learner.replay.objects)


@pytest.mark.parametrize("staleness", [0, 2, 5])
def test_every_draw_is_as_old_as_allowed_and_no_older(staleness):
    settings = training(staleness=staleness)
    stats = PipelineStats()
    run(settings, InlineSampler(new_sampler(settings)), stats)
    assert stats.staleness == [min(step, staleness) for step in range(settings.steps)]
    assert stats.trajectories == settings.steps * settings.batch_size
    assert stats.weight_bytes == (settings.steps + 1) * sum(
        p.nbytes for p in make_policy(ENVIRONMENT, 16, 1, 0, 1).state_dict().values()
    )
    assert stats.draw_bytes > 0


def test_stale_draws_train_as_well():
    settings = training(steps=150, staleness=8, batch_size=16, lr=0.01)
    losses, _ = run(settings, InlineSampler(new_sampler(settings)))
    assert sum(losses[-20:]) < 0.2 * sum(losses[:20])


def test_an_order_is_split_into_even_parts_with_searches_by_themselves():
    settings = training()
    learner = Learner(ENVIRONMENT, settings, seed=1)
    sampler = new_sampler(settings)
    learner.start(REWARD)
    learner.update(sampler.draw(8, seed=1), seed=1)
    job = SearchJob(LocalSearch(size=3), learner.replay.sample(3, torch.Generator().manual_seed(1)))
    parts = split(DrawRequest(10, seed=4, epsilon=0.5, jobs=(job,)), 3)
    assert [part.n for part in parts] == [4, 3, 3, 0]
    assert [len(part.jobs) for part in parts] == [0, 0, 0, 1]
    assert len({part.seed for part in parts}) == 4
    assert {part.epsilon for part in parts} == {0.5}
    assert len(split(DrawRequest(2, seed=4), 5)) == 2
    found = sampler.fill(parts[-1])
    assert len(found.trajectories) == 3 * job.search.rounds


@pytest.mark.parametrize(("n", "per_condition", "shares", "sizes"), [(8, 4, 8, [4, 4]), (10, 4, 2, [8, 2]),
                                                                     (9, 1, 2, [5, 4]), (3, 4, 2, [3])])  # fmt: skip
def test_trajectories_of_one_condition_stay_together(n, per_condition, shares, sizes):
    parts = split(DrawRequest(n, seed=0, per_condition=per_condition), shares)
    assert [part.n for part in parts] == sizes
