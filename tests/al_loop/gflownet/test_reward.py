"""Rewards: which log-rewards can be trained on, and which rewards report an uncertainty."""

import pytest
import torch

from al_loop.gflownet.reward import Reward, check_log_reward


class Constant(Reward):
    def __call__(self, objects):
        return torch.zeros(len(objects))


def test_a_reward_need_not_know_its_uncertainty():
    assert Constant().uncertainty(["A"]) is None


@pytest.mark.parametrize("values", [[0.0, 1.0], [0.0, -torch.inf], [[0.0, -1.0], [2.0, -torch.inf]]])
def test_good_log_rewards_pass(values):
    check_log_reward(torch.tensor(values), 2)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.0], r"each of 2 objects, got shape \(1,\)"),
        ([0.0, torch.nan], "NaN or"),
        ([0.0, torch.inf], r"NaN or \+inf"),
        ([-torch.inf, -torch.inf], "every log-reward is -inf"),
    ],
)
def test_bad_log_rewards_are_refused(values, reason):
    with pytest.raises(ValueError, match=reason):
        check_log_reward(torch.tensor(values), 2)
