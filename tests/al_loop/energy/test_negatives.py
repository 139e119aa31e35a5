"""Negatives: weights and moves that are exact whatever the sampler."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from al_loop.energy.negatives import fresh, moved, n_undone
from al_loop.environments.assignment import Assignments
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.rollout import rollout

SPACE = Assignments("01", 4)


@pytest.fixture
def policy() -> MLPPolicy:
    torch.manual_seed(1)
    return MLPPolicy(SPACE, 8, 1)


def score(states: Tensor) -> Tensor:
    return states.float() @ torch.tensor([1.0, -0.5, 0.3, 0.8]) + 0.7 * states[:, 0] * states[:, 3]


def shares(states: Tensor, weights: Tensor) -> Tensor:
    index = states @ torch.tensor([8, 4, 2, 1])
    return torch.zeros(16).index_add(0, index, weights)


def truth() -> Tensor:
    states, _ = terminal_distribution(SPACE, None)
    return shares(states, score(states).softmax(0))


def test_weighted_draws_of_an_untrained_sampler_follow_the_energy(policy: MLPPolicy) -> None:
    drawn = rollout(SPACE, policy, 20_000, generator=torch.Generator().manual_seed(0))
    corrected = fresh(SPACE, policy, score, drawn, backward="learned", is_corrected=True)
    plain = fresh(SPACE, policy, score, drawn, backward="learned", is_corrected=False)
    assert float((shares(corrected.states, corrected.weights) - truth()).abs().sum()) < 0.06
    assert float((shares(plain.states, plain.weights) - truth()).abs().sum()) > 0.3
    assert 0.1 < corrected.share < 0.9
    assert float(corrected.weights.sum()) == pytest.approx(1)


@pytest.mark.parametrize("k", [1, 4])
def test_accepted_moves_keep_the_distribution_of_the_energy(policy: MLPPolicy, k: int) -> None:
    states, _ = terminal_distribution(SPACE, None)
    generator = torch.Generator().manual_seed(2)
    start = states[score(states).softmax(0).multinomial(20_000, replacement=True, generator=generator)]
    arguments = {"generator": generator, "backward": "learned"}
    corrected = moved(SPACE, policy, score, start, k, is_corrected=True, **arguments)  # type: ignore[arg-type]
    plain = moved(SPACE, policy, score, start, k, is_corrected=False, **arguments)  # type: ignore[arg-type]
    assert float((shares(corrected.states, corrected.weights) - truth()).abs().sum()) < 0.05
    assert float((shares(plain.states, plain.weights) - truth()).abs().sum()) > 0.08
    assert 0 < corrected.share < 1


def test_moves_grow_from_one_step_to_all() -> None:
    lengths = [n_undone(step, 100, 0.5, 16) for step in range(100)]
    assert lengths[0] == 1
    assert lengths == sorted(lengths)
    assert lengths[48] < 16
    assert lengths[50:] == [16] * 50
    assert n_undone(0, 100, 0.0, 16) == 16
