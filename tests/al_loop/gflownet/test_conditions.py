"""The conditions of trajectories: groups and floors, against their definition."""

import pytest
import torch

from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.conditions import Conditions

N = 12


def made(conditioning, has_starts, seed=0):
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(3, (N, 1), generator=generator) if has_starts else torch.zeros(N, 0, dtype=torch.int64)
    values = conditioning.sample(N, generator, 2)
    shape = (N, conditioning.objectives) if conditioning.objectives > 1 else (N,)
    return Conditions(starts, values, conditioning), 60 * torch.randn(shape, generator=generator)


@pytest.mark.parametrize("has_starts", [True, False])
@pytest.mark.parametrize(
    "conditioning",
    [
        Conditioning(),
        Conditioning(beta=(0.1, 50.0)),
        Conditioning(objectives=2),
        Conditioning(beta=(0.5, 2.0), objectives=3, scalarisation="chebyshev"),
    ],
)
def test_the_floor_is_that_of_the_best_object_under_the_same_condition(conditioning, has_starts):
    conditions, log_reward = made(conditioning, has_starts)
    expected = []
    for i in range(N):
        same_start = [j for j in range(N) if torch.equal(conditions.starts[i], conditions.starts[j])]
        values = conditions.values[i].expand(N, -1)
        under_this = conditioning.apply(log_reward, values)
        expected.append(max(under_this[i], under_this[same_start].max() - 20.0))
    assert conditions.floored(log_reward, 20.0).equal(torch.stack(expected))


def test_a_condition_without_a_reward_takes_the_floor_of_the_batch():
    starts = torch.tensor([[0], [0], [1]])
    conditions = Conditions(starts, torch.zeros(3, 0), Conditioning())
    log_reward = torch.tensor([3.0, -torch.inf, -torch.inf])
    assert conditions.floored(log_reward, 10.0).tolist() == [3.0, -7.0, -7.0]


def test_many_pairs_of_objects_and_conditions_are_computed_in_parts(monkeypatch):
    conditions, log_reward = made(Conditioning(objectives=2), True)
    whole = conditions.floored(log_reward, 5.0)
    monkeypatch.setattr("al_loop.gflownet.conditions._MAX_PAIRS", 3 * N)
    assert conditions.floored(log_reward, 5.0).equal(whole)


@pytest.mark.parametrize("has_starts", [True, False])
@pytest.mark.parametrize("conditioning", [Conditioning(), Conditioning(beta=(0.5, 2.0), objectives=2)])
def test_a_group_is_a_start_with_a_temperature_and_preferences(conditioning, has_starts):
    conditions, _ = made(conditioning, has_starts)
    keys = [tuple(map(float, [*s, *v])) for s, v in zip(conditions.starts, conditions.values, strict=True)]
    group = conditions.group
    if not has_starts and not conditioning.n_values:
        assert group is None
        return
    assert group.max() + 1 == len(set(keys)) <= N
    for i in range(N):
        assert [bool(same) for same in group == group[i]] == [key == keys[i] for key in keys]
