"""al-loop's environments as gymnasium environments: gymnasium's checks, the final reward, and invalid arguments."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from torch import Tensor

from al_loop.actors.ppo.gymnasium_env import EpisodeReward, ObjectEnv, ObjectVectorEnv
from al_loop.environments.base import Environment
from al_loop.environments.fragments import Fragments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences


def length_reward(objects: Sequence[str]) -> Tensor:
    return torch.tensor([float(len(o)) for o in objects])


def environments() -> list[Environment]:
    return [
        Hypergrid(dimensions=2, height=4),
        Sequences(alphabet="ACGU", length=4),
        Fragments(max_fragments=3, max_atoms=20),
    ]


def allowed(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return np.array([generator.choice(np.flatnonzero(row)) if row.any() else 0 for row in mask])


@pytest.mark.parametrize("environment", environments(), ids=lambda e: type(e).__name__)
def test_gymnasium_finds_no_fault(environment):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(spec|render).*")
        check_env(ObjectEnv(environment, EpisodeReward(length_reward)), skip_render_check=True)


@pytest.mark.parametrize("environment", environments(), ids=lambda e: type(e).__name__)
def test_only_the_finished_object_is_paid(environment):
    reward = EpisodeReward(length_reward)
    env, generator = ObjectEnv(environment, reward), np.random.default_rng(0)
    seen, _ = env.reset()
    for _ in range(environment.max_steps):
        assert env.observation_space.contains(seen)
        seen, paid, finished, cut, infos = env.step(allowed(seen["action_mask"][None], generator)[0])
        assert not cut
        if finished:
            break
        assert paid == 0
        assert reward.n_calls == 0
    assert finished
    assert reward.n_calls == 1
    assert paid == len(infos["object"]) > 0
    assert not seen["action_mask"].any()


def test_a_batch_is_paid_once_for_each_object_and_stays_over():
    calls = []

    def log_reward(objects: Sequence[str]) -> Tensor:
        calls.append(list(objects))
        return length_reward(objects)

    environment, n = Hypergrid(dimensions=2, height=4), 32
    env = ObjectVectorEnv(environment, EpisodeReward(log_reward), n, AutoresetMode.DISABLED)
    generator = np.random.default_rng(1)
    (seen, _), total, ended = env.reset(), np.zeros(n), np.zeros(n, dtype=bool)
    for _ in range(environment.max_steps + 3):
        seen, paid, finished, cut, _ = env.step(allowed(seen["action_mask"], generator))
        assert not cut.any()
        assert not (finished & ended).any()
        total, ended = total + paid, ended | finished
    assert ended.all()
    names = environment.decode(env.states)
    assert total.tolist() == length_reward(names).tolist()
    assert sorted(name for call in calls for name in call) == sorted(names)
    assert env.reward.n_calls == n
    assert len(calls) < environment.max_steps + 1


def test_episodes_begin_anew_with_the_next_step():
    environment = Hypergrid(dimensions=1, height=3)
    env = ObjectVectorEnv(environment, EpisodeReward(length_reward), 2)
    env.reset()
    seen, paid, finished, _, infos = env.step(np.array([1, 0]))
    assert finished.tolist() == [True, False]
    assert infos["object"][0] == environment.decode(torch.tensor([[0, 1]]))[0]
    assert paid[0] > 0 == paid[1]
    seen, paid, finished, _, _ = env.step(np.array([0, 1]))
    assert seen["observations"].tolist() == [[0, 0], [1, 1]]
    assert paid[0] == 0 < paid[1]
    assert finished.tolist() == [False, True]


def test_an_action_that_is_not_allowed_changes_nothing_and_is_counted():
    environment = Sequences(alphabet="AC", length=3)
    env = ObjectEnv(environment, EpisodeReward(length_reward))
    seen, _ = env.reset()
    stop = environment.n_actions - 1
    assert not seen["action_mask"][stop]
    for step in range(environment.max_steps):
        after, paid, finished, cut, _ = env.step(np.int64(stop))
        assert (after["observations"] == seen["observations"]).all()
        assert paid == 0
        assert not finished
        assert cut == (step == environment.max_steps - 1)
    assert env.n_refused == environment.max_steps


def test_the_reward_is_log_r_with_a_floor_or_r_itself():
    def log_reward(objects: Sequence[str]) -> Tensor:
        return torch.tensor([0.0, 2.0, -torch.inf])

    names = ["a", "b", "c"]
    as_log, as_it_is = EpisodeReward(log_reward, floor=-7), EpisodeReward(log_reward, "reward", floor=-7)
    assert as_log(names).tolist() == [0, 2, -7]
    assert as_it_is(names) == pytest.approx(np.exp([0, 2, -7]))
    for reward in (as_log, as_it_is):
        assert reward.log_of(reward(names)).tolist() == pytest.approx([0, 2, -7])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_rewards_that_are_no_numbers_are_refused(value):
    with pytest.raises(ValueError, match="NaN"):
        EpisodeReward(lambda objects: torch.tensor([value]))(["a"])


def test_several_objectives_are_refused():
    with pytest.raises(ValueError, match="one log-reward for each"):
        EpisodeReward(lambda objects: torch.zeros(1, 2))(["a"])
