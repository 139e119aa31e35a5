"""Rewards: which log-rewards can be trained on, and which rewards report an uncertainty."""

import pytest
import torch

from al_loop.environments.sequence import Sequences
from al_loop.gflownet import TrainingSettings, train
from al_loop.gflownet.action_choice import masked_log_softmax
from al_loop.gflownet.reward import Reward, check_log_reward, check_losses


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


@pytest.mark.parametrize("wrap", [lambda r: r, lambda r: r[:, None], lambda r: r.double(), lambda r: r.long()])
def test_a_column_of_log_rewards_is_learned_as_a_row_of_them(wrap):
    environment = Sequences("AC", 2)

    def reward(objects):
        return wrap(torch.tensor([3.0 * (o == "AA") for o in objects]))

    training = TrainingSettings(steps=3, batch_size=8, hidden=8)
    _, sampler = train(environment, reward, training)
    _, usual = train(environment, lambda o: reward(o).flatten().float(), training)
    assert sampler.draw(32, seed=0).log_reward.shape == (32,)
    assert sampler.draw(32, seed=0).objects == usual.draw(32, seed=0).objects


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda n: torch.zeros(n, 2), r"got the shape \(\d+, 2\); several objectives"),
        (lambda n: torch.zeros(n, 1, 1), "got shape"),
        (lambda n: torch.zeros(1, n), "got shape"),
        (lambda n: torch.zeros(n - 1), "got shape"),
        (lambda n: torch.tensor(0.0), "got shape"),
        (lambda n: [0.0] * n, "got list"),
        (lambda n: torch.zeros(n, dtype=torch.bool), "torch.bool"),
        (lambda n: torch.zeros(n, dtype=torch.complex64), "complex"),
        (lambda n: torch.full((n,), torch.nan), "NaN"),
        (lambda n: torch.full((n,), -torch.inf), "every log-reward is -inf"),
    ],
)
def test_log_rewards_that_cannot_be_learned_are_refused(returned, message):
    training = TrainingSettings(steps=1, batch_size=4, hidden=8)
    with pytest.raises(ValueError, match=message):
        train(Sequences("AC", 2), lambda objects: returned(len(objects)), training)


def test_a_loss_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="no gradient step"):
        check_losses(torch.tensor([1.0, torch.inf]))


def test_masks_and_logits_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(2, 4\)"):
        masked_log_softmax(torch.zeros(2, 3), torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="boolean mask"):
        masked_log_softmax(torch.zeros(2, 3), torch.ones(2, 3))
