"""Proximal policy optimisation on small spaces with known rewards, in a Ray of its own."""

from __future__ import annotations

import math
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from al_loop.actors.ppo.training import PPOSettings, PPOTraining
from al_loop.campaign.building import build_environment
from al_loop.config import CampaignConfig, parse_config
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.rollout import rollout
from tests.support.local_ray import start_ray

pytestmark = pytest.mark.slow

SEQUENCE = {"kind": "sequence", "alphabet": "ACGU", "length": 5}
ORACLE = {"target": "math:sqrt"}  # never asked
GRID = {"kind": "hypergrid", "dimensions": 2, "height": 8}


class NoFeatures:
    """Points of a grid have none by default, and none are needed here."""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A local Ray with a home of its own, where RLlib puts its folders, too."""
    import ray

    home = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # short: AF_UNIX paths have 107 characters at most
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("HOME", str(home))
        start_ray(
            num_cpus=1,
            object_store_memory=100_000_000,
            _temp_dir=str(home / "t"),
        )
        try:
            yield
        finally:
            ray.shutdown()
            shutil.rmtree(home, ignore_errors=True)


def config_of(environment: dict[str, Any], **sampler: Any) -> CampaignConfig:
    settings = {"steps": 3, "batch_size": 16, "hidden": 16, "layers": 1, "lr": 5e-3, **sampler}
    parts = {"environment": environment, "oracle": ORACLE, "sampler": settings}
    if environment is GRID:
        parts["features"] = {"target": f"{__name__}:NoFeatures"}
    return parse_config({"name": "t", **parts})


def guanines(objects: Sequence[str]) -> Tensor:
    return torch.tensor([2.0 * name.count("G") for name in objects])


def corner(objects: Sequence[str]) -> Tensor:
    """Points far from the origin."""
    return torch.tensor([sum(float(x) for x in name.split(",")) for name in objects])


def at_random(config: CampaignConfig, n: int) -> list[str]:
    environment = build_environment(config)
    drawn = rollout(environment, None, n, generator=torch.Generator().manual_seed(0))
    return environment.decode(drawn.terminal)


def train(training: PPOTraining, number: int = 0, log_reward: Any = guanines) -> list[float]:
    return [step.loss for step in training.train(number, log_reward, [])]


@pytest.mark.parametrize(
    ("environment", "log_reward", "most"), [(SEQUENCE, guanines, 10.0), (GRID, corner, 14.0)], ids=["sequence", "grid"]
)
def test_it_learns_to_draw_what_is_paid_best(environment, log_reward, most):
    config = config_of(environment, steps=40, batch_size=32, hidden=32)
    training = PPOTraining(config, seed=0)
    train(training, log_reward=log_reward)
    drawn, random = training.draw(200, seed=1), at_random(config, 200)
    assert log_reward(drawn).mean() > (most + log_reward(random).mean()) / 2
    assert log_reward(training.best_seen()[:1]).item() == most
    facts = training.info()
    assert facts["paid_last"] > facts["paid_first"]
    training.close()


def test_r_itself_can_be_paid():
    config = config_of(SEQUENCE, steps=30, batch_size=32, hidden=32)
    training = PPOTraining(config, seed=0, settings=PPOSettings(paid="reward"))
    train(training)
    assert guanines(training.draw(100, seed=1)).mean() > 1.5 * guanines(at_random(config, 100)).mean()
    assert guanines(training.best_seen()[:1]).item() == 10
    training.close()


@pytest.mark.parametrize(
    "environment",
    [SEQUENCE, GRID, {"kind": "fragments", "max_fragments": 3, "max_atoms": 20}],
    ids=["sequence", "grid", "fragments"],
)
def test_rewards_are_asked_as_often_as_a_gflownet_asks_and_masks_hold(environment):
    asked: list[str] = []

    def log_reward(objects: Sequence[str]) -> Tensor:
        asked.extend(objects)
        return torch.tensor([float(len(name)) for name in objects])

    training = PPOTraining(config_of(environment, batch_size=8, updates=2), seed=0)
    steps = list(training.train(0, log_reward, []))
    assert [step.number for step in steps] == [0, 1, 2]
    assert all(math.isfinite(step.loss) for step in steps)
    assert len(asked) == training.info()["reward_calls"] == 3 * 8 * 2
    assert training.info()["refused"] == 0
    assert set(training.best_seen()) == set(asked)
    training.close()


def test_every_place_of_the_batch_gives_one_episode_whatever_its_length():
    """Long objects are as frequent in what is learned from as in what the policy draws."""
    config = config_of(GRID, steps=1, batch_size=256, lr=1e-9)
    seen: list[str] = []

    def log_reward(objects: Sequence[str]) -> Tensor:
        seen.extend(objects)
        return corner(objects)

    training = PPOTraining(config, seed=0)
    train(training, log_reward=log_reward)
    drawn = training.draw(2000, seed=3)
    # the mean of the 256 is within four standard errors of that of the policy, which has hardly moved
    spread = corner(drawn).std() / math.sqrt(256)
    assert abs(corner(seen).mean() - corner(drawn).mean()) < 4 * spread
    training.close()


def test_the_same_seed_gives_the_same_objects_and_another_gives_others():
    results = []
    for seed in (5, 5, 6):
        torch.rand(seed)  # the global generators do not matter
        training = PPOTraining(config_of(SEQUENCE), seed=seed)
        results.append((train(training), training.draw(40, seed=7), training.best_seen()))
        training.close()
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_draws_depend_on_their_seed_alone():
    training = PPOTraining(config_of(SEQUENCE), seed=0)
    first = training.draw(300, seed=1)
    assert len(first) == 300
    assert training.draw(300, seed=2) != first
    assert training.draw(300, seed=1) == first
    training.close()


def test_global_generators_are_left_as_they_were():
    import random

    import numpy as np

    training = PPOTraining(config_of(SEQUENCE), seed=0)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), float(torch.rand(1))
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    train(training)
    assert (random.random(), np.random.rand(), float(torch.rand(1))) == expected
    training.close()


def test_it_goes_on_from_its_state_bit_for_bit():
    config = config_of(SEQUENCE)
    whole, other = PPOTraining(config, seed=0), PPOTraining(config, seed=0)
    train(whole, 0)
    saved = whole.state()
    train(whole, 1, lambda objects: -guanines(objects))
    other.load(saved)
    assert other.best_seen()
    train(other, 1, lambda objects: -guanines(objects))
    assert other.draw(50, seed=3) == whole.draw(50, seed=3)
    assert other.best_seen() == whole.best_seen()
    for a, b in zip(whole.policy.parameters(), other.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    whole.close()
    other.close()


def test_the_state_of_another_sampler_is_refused():
    import io

    buffer = io.BytesIO()
    torch.save({"policy": {}}, buffer)
    training = PPOTraining(config_of(SEQUENCE), seed=0)
    with pytest.raises(ValueError, match="another kind"):
        training.load(buffer.getvalue())
    with pytest.raises(pickle.UnpicklingError):
        training.load(b"damaged")


def test_a_new_reward_gives_what_was_met_a_new_order():
    training = PPOTraining(config_of(SEQUENCE, replay_capacity=50), seed=0)
    train(training, 0)
    n_best = guanines(training.best_seen()[:1]).item()
    train(training, 1, lambda objects: -guanines(objects))
    met = guanines(training.best_seen())
    assert met[0] < n_best
    assert (met[:-1] <= met[1:]).all()
    training.close()


def test_minus_infinity_is_learned_from_too():
    def log_reward(objects: Sequence[str]) -> Tensor:
        return torch.tensor([-math.inf if "A" in name else 0.0 for name in objects])

    training = PPOTraining(config_of(SEQUENCE, steps=30, batch_size=32), seed=0)
    assert all(map(math.isfinite, train(training, log_reward=log_reward)))
    drawn = training.draw(200, seed=0)
    assert sum("A" in name for name in drawn) < 100 < sum("A" in name for name in at_random(training._config, 200))
    training.close()


def test_an_error_of_the_reward_comes_through():
    def broken(objects: Sequence[str]) -> Tensor:
        raise ZeroDivisionError("of the reward")

    training = PPOTraining(config_of(SEQUENCE), seed=0)
    with pytest.raises(ZeroDivisionError, match="of the reward"):
        train(training, log_reward=broken)
    training.close()


def test_a_warning_of_the_reward_comes_through():
    def doubtful(objects: Sequence[str]) -> Tensor:
        warnings.warn("the reward is doubtful", stacklevel=1)
        return guanines(objects)

    training = PPOTraining(config_of(SEQUENCE, steps=1), seed=0)
    with pytest.warns(UserWarning, match="doubtful"):
        train(training, log_reward=doubtful)
    training.close()


def test_several_objectives_and_searches_are_refused_at_once():
    config = config_of(SEQUENCE, searches=[{"kind": "local_search"}])
    with pytest.raises(ConfigError, match="searches"):
        PPOTraining(config, seed=0)
    several = parse_config(
        {
            "name": "t",
            "environment": SEQUENCE,
            "oracle": ORACLE,
            "optimise": ["a", "b"],
            "acquisition": {"kind": "qlognehvi"},
        }
    )
    with pytest.raises(ConfigError, match="preferences"):
        PPOTraining(several, seed=0)


class NoFlow(Policy):
    """A policy that knows no flow of states."""

    def __init__(self, environment: Environment, hidden: int, layers: int, n_conditions: int, heads: int) -> None:
        super().__init__()

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return torch.zeros(len(states), 1)

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return torch.zeros(len(states), 1)


def test_a_policy_without_values_of_states_is_refused():
    config = config_of(SEQUENCE, policy={"target": f"{__name__}:NoFlow"})
    with pytest.raises(ConfigError, match=r"sampler\.policy.*log_flow"):
        PPOTraining(config, seed=0)


def test_alone_it_starts_ray_says_nothing_and_leaves_nothing(tmp_path):
    program = """
import torch, ray
from al_loop.actors.ppo.training import PPOTraining
from al_loop.config import parse_config
config = parse_config({"name": "t", "environment": {"kind": "sequence", "alphabet": "AC", "length": 3},
    "oracle": {"kind": "rna"}, "sampler": {"steps": 2, "batch_size": 4, "hidden": 8}})
training = PPOTraining(config, seed=0)
assert not ray.is_initialized()
steps = list(training.train(0, lambda objects: torch.zeros(len(objects)), []))
assert len(steps) == 2 and ray.is_initialized()
training.close()
assert not ray.is_initialized()
"""
    home = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    try:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        environment |= {"HOME": str(home), "RAY_AUTH_MODE": "disabled"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == done.stderr == ""
        assert not list(home.glob("ray_results/*"))
    finally:
        shutil.rmtree(home, ignore_errors=True)
