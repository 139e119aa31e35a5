"""Training against the truth of spaces that can be enumerated, and against itself after a stop."""

import io
import math
from dataclasses import replace

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.gflownet import Training
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.objectives.base import Objective
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.sampler import Draw, Sampler
from al_loop.gflownet.trainer import train
from al_loop.seeding import derive_seed
from tests.support.fragments import vocabulary


def distance(environment, log_reward, policy):
    """L1 between the exact distribution of a policy and R/Z; and log Z."""
    p = object_distribution(environment, policy)
    reward = log_reward(list(p)).double().exp()
    return float((torch.tensor(list(p.values())) - reward / reward.sum()).abs().sum()), math.log(reward.sum())


def corners(objects):
    """The reward of Bengio et al. 2021 with R0 = 0.1, which has four modes."""
    x = torch.tensor([[int(v) for v in o.split(",")] for o in objects])
    away = (x / 7 - 0.5).abs()
    return (0.1 + 0.5 * (away > 0.25).all(1) + 2 * ((away > 0.3) & (away < 0.4)).all(1)).log()


def letters(objects):
    return torch.tensor([0.8 * o.count("A") - 0.5 * o.count("CC") for o in objects])


def halogens(objects):
    return torch.tensor([0.3 * o.count("F") - 0.2 * o.count("n") for o in objects])


@pytest.fixture(scope="module")
def fragments(tmp_path_factory):
    blocks = [("c1ccccc1", [*range(6)]), ("C", [0, 0]), ("F", [0]), ("c1cncnc1", [0, 1, 3, 5])]
    path = vocabulary(tmp_path_factory.mktemp("vocabulary"), blocks)
    return Fragments(max_fragments=3, min_fragments=1, vocabulary=path)


class WithoutBackward(Objective):
    """Trajectory balance that forgets P_B."""

    def __call__(self, terms):
        return (terms.log_z + terms.log_pf.sum(0) - terms.log_reward).square()


def check(trained, sampler, environment, log_reward, bound):
    l1, log_z = distance(environment, log_reward, trained.policy)
    assert l1 < bound
    assert float(trained.log_z) == pytest.approx(log_z, abs=0.1)
    # what is really drawn, by seed
    n = 20_000
    drawn = sampler.draw(n, seed=1).objects
    exact = object_distribution(environment, None)
    reward = log_reward(list(exact)).double().exp()
    counts = dict.fromkeys(exact, 0)
    for item in drawn:
        counts[item] += 1
    variation = 0.5 * (torch.tensor(list(counts.values())) / n - reward / reward.sum()).abs().sum()
    # a perfect sampler's own noise is about sqrt(2 k / (pi n)) / 2
    assert variation < bound / 2 + 1.2 * math.sqrt(2 * len(exact) / (math.pi * n)) / 2


GRID = Training(steps=200, batch_size=64, hidden=64, lr=3e-3)
WORDS = Training(steps=300, batch_size=64, hidden=64, lr=2e-3)
TREES = Training(steps=180, batch_size=48, replay_size=8, hidden=32, lr=5e-3)


def test_hypergrid_is_sampled_in_proportion_to_the_reward():
    environment = Hypergrid(2, 8)
    check(*train(environment, corners, GRID), environment, corners, 0.06)


def test_words_are_sampled_in_proportion_to_the_reward():
    environment = Sequences("ACGU", 5, 3)
    check(*train(environment, letters, WORDS), environment, letters, 0.08)


@pytest.mark.slow
def test_molecules_are_sampled_in_proportion_to_the_reward(fragments):
    check(*train(fragments, halogens, TREES), fragments, halogens, 0.2)


def test_the_bound_on_the_grid_tells_a_loss_without_pb():
    trained, _ = train(Hypergrid(2, 8), corners, replace(GRID, objective=WithoutBackward()))
    assert distance(Hypergrid(2, 8), corners, trained.policy)[0] > 3 * 0.06


def test_the_bound_on_words_tells_a_wrong_temperature():
    trained, _ = train(Sequences("ACGU", 5, 3), lambda objects: 1.2 * letters(objects), WORDS)
    assert distance(Sequences("ACGU", 5, 3), letters, trained.policy)[0] > 1.5 * 0.08


@pytest.mark.slow
def test_the_bound_on_molecules_tells_a_missing_multiplicity(fragments, monkeypatch):
    monkeypatch.setattr(fragments, "log_multiplicity", lambda states: torch.zeros(len(states)))
    trained, _ = train(fragments, halogens, TREES)
    assert distance(fragments, halogens, trained.policy)[0] > 2 * 0.2


SHORT = Training(steps=12, batch_size=8, replay_size=4, replay_capacity=20, hidden=16)


def steps(learner, environment, numbers):
    sampler = Sampler(environment, learner.policy)
    sampler.set_reward(letters)
    for k in numbers:
        draw = sampler.draw(SHORT.batch_size, seed=derive_seed("draw", k), epsilon=0.1)
        learner.update(draw, seed=derive_seed("replay", k))


@pytest.mark.parametrize("stop", [0, 1, 7])
def test_going_on_after_a_stop_gives_the_same_bits(stop):
    environment = Sequences("ACGU", 5, 3)
    through = Learner(environment, SHORT, seed=3)
    steps(through, environment, range(12))
    first = Learner(environment, SHORT, seed=3)
    steps(first, environment, range(stop))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = Learner(environment, SHORT, seed=99)
    second.load_state_dict(torch.load(file, weights_only=True))
    steps(second, environment, range(stop, 12))
    for (name, a), b in zip(through.weights().items(), second.weights().values(), strict=True):
        assert torch.equal(a, b), name
    assert torch.equal(through.log_z, second.log_z)
    assert through.replay.objects == second.replay.objects


def test_a_saved_state_does_not_change_when_training_goes_on():
    environment = Sequences("ACGU", 5, 3)
    learner = Learner(environment, SHORT, seed=3)
    steps(learner, environment, range(2))
    state = learner.state_dict()
    kept = io.BytesIO()
    torch.save(state, kept)
    steps(learner, environment, range(2, 5))
    kept.seek(0)
    before = torch.load(kept, weights_only=True)
    assert all(torch.equal(state["policy"][k], before["policy"][k]) for k in before["policy"])
    moments, saved = state["optimizer"]["state"], before["optimizer"]["state"]
    assert all(torch.equal(moments[k]["exp_avg"], saved[k]["exp_avg"]) for k in saved)


def test_training_is_the_same_for_the_same_seed_and_leaves_the_global_generator_alone():
    environment = Sequences("ACGU", 5, 3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a, _ = train(environment, letters, SHORT, seed=1)
    assert torch.equal(torch.rand(3), expected)
    b, _ = train(environment, letters, SHORT, seed=1)
    c, _ = train(environment, letters, SHORT, seed=2)
    assert all(torch.equal(x, y) for x, y in zip(a.weights().values(), b.weights().values(), strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a.weights().values(), c.weights().values(), strict=True))


def test_on_step_is_told_each_loss():
    seen = []
    train(Sequences("ACGU", 5, 3), letters, SHORT, on_step=lambda step, loss: seen.append((step, loss)))
    assert [step for step, _ in seen] == [*range(12)]
    assert all(math.isfinite(loss) for _, loss in seen)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.0, math.nan, 1.0], "NaN"),
        ([0.0, math.inf, 1.0], r"\+inf"),
        ([-math.inf] * 3, "every log-reward is -inf"),
    ],
)
def test_bad_rewards_are_refused_and_change_nothing(values, reason):
    environment = Hypergrid(2, 3)
    learner = Learner(environment, SHORT, seed=0)
    before = learner.weights()
    with pytest.raises(ValueError, match=reason):
        learner.update(draw_with(environment, values), seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), learner.weights().values(), strict=True))
    assert len(learner.replay) == 0


def draw_with(environment, values):
    trajectories = rollout(environment, None, len(values), generator=torch.Generator().manual_seed(0))
    return Draw(trajectories, torch.tensor(values), environment.decode(trajectories.terminal))


def test_some_rewards_of_zero_train_with_finite_weights():
    environment = Hypergrid(2, 3)
    learner = Learner(environment, SHORT, seed=0)
    for seed in range(3):
        assert math.isfinite(learner.update(draw_with(environment, [0.0, -math.inf, 1.0]), seed=seed))
    assert all(torch.isfinite(w).all() for w in learner.weights().values())


def test_log_reward_of_the_wrong_length_is_refused():
    environment = Hypergrid(2, 3)
    with pytest.raises(ValueError, match=r"each of 8 objects.*, got shape \(2,\)"):
        train(environment, lambda objects: torch.zeros(2), SHORT)


def test_start_scores_the_replay_anew():
    environment = Sequences("ACGU", 5, 3)
    learner = Learner(environment, SHORT, seed=0)
    steps(learner, environment, range(3))
    learner.start(lambda objects: -letters(objects))
    values = letters(learner.replay.objects)
    assert torch.equal(values, values.sort().values)


def test_a_state_that_does_not_fit_leaves_the_learner_as_it_was():
    environment = Sequences("AB", 3)
    small, large = (Learner(environment, Training(hidden=hidden), seed=1) for hidden in (8, 16))
    before = large.weights()
    with pytest.raises(RuntimeError):
        large.load_state_dict(small.state_dict())
    assert all(torch.equal(before[name], value) for name, value in large.weights().items())


def test_a_restored_learner_has_the_learning_rates_and_the_average_of_its_own_settings():
    environment = Sequences("AB", 3)
    old = Learner(environment, Training(hidden=8, lr=0.5), seed=1)
    new = Learner(environment, Training(hidden=8, lr=0.25, ema=0.9), seed=2)
    new.load_state_dict(old.state_dict())
    assert new.state_dict()["optimizer"]["param_groups"][0]["lr"] == 0.25
    assert all(torch.equal(old.weights()[name], value) for name, value in new.weights().items())
