import math
from dataclasses import replace

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.gflownet import Training
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.trainer import Trainer, train

BETAS = Conditioning(beta=(0.5, 4.0))
WEIGHTS = Conditioning(objectives=2)
GRID = Hypergrid(2, 6)


def test_conditions_cover_their_range():
    both = Conditioning(beta=(0.5, 8.0), objectives=3)
    values = both.sample(4000, torch.Generator().manual_seed(0))
    assert values.shape == (4000, both.n_values) == (4000, 4)
    torch.testing.assert_close(values[:, 1:].sum(1), torch.ones(4000))
    assert values[:, 0].min() < -0.99
    assert values[:, 0].max() > 0.99
    assert values[:, 1:].mean(0).sub(1 / 3).abs().max() < 0.02


def test_fixed_conditions_are_what_apply_understands():
    log_reward = torch.tensor([1.0, -2.0])
    for beta in (0.5, 1.0, 3.3, 4.0):
        torch.testing.assert_close(BETAS.apply(log_reward, BETAS.fixed(2, beta)), beta * log_reward)
    two = torch.tensor([[math.log(2), math.log(4)]])
    values = WEIGHTS.fixed(1, weights=[3, 1])
    assert WEIGHTS.apply(two, values).item() == pytest.approx(math.log(0.75 * 2 + 0.25 * 4))
    only_second = WEIGHTS.apply(two, WEIGHTS.fixed(1, weights=[0, 1]))
    assert only_second.item() == pytest.approx(math.log(4))
    assert torch.equal(Conditioning().apply(log_reward, torch.zeros(2, 0)), log_reward)


@pytest.mark.parametrize(
    ("conditioning", "what", "reason"),
    [
        (BETAS, {"beta": 5.0}, "outside the trained range, 0.5 to 4.0"),
        (BETAS, {"weights": [1.0]}, "beta is required"),
        (WEIGHTS, {"beta": 1.0, "weights": [1, 1]}, "beta cannot be used"),
        (WEIGHTS, {"weights": [1, 1, 1]}, "expected 2 finite, non-negative numbers"),
        (WEIGHTS, {"weights": [0, 0]}, "expected 2 finite, non-negative numbers"),
        (WEIGHTS, {"weights": [math.inf, 1]}, "expected 2 finite, non-negative numbers"),
        (WEIGHTS, {"weights": [math.nan, 1]}, "expected 2 finite, non-negative numbers"),
        (BETAS, {"beta": 1.0, "weights": [1, 2]}, "weights cannot be used"),
        (Conditioning(), {"weights": [1, 2]}, "weights cannot be used"),
    ],
)
def test_conditions_that_were_not_trained_are_refused(conditioning, what, reason):
    with pytest.raises(ValueError, match=reason):
        conditioning.fixed(3, **what)


@pytest.mark.parametrize(
    "settings",
    [
        *({"beta": beta} for beta in ((2.0, 1.0), (0.0, 1.0), (1.0, math.inf), (1.0, 2.0, 3.0), 3.0, (1.0, 1.0))),
        {"objectives": 0},
        {"objectives": 1.5},
        {"scalarisation": "max"},
    ],
)
def test_impossible_conditionings_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Conditioning(**settings)


@pytest.mark.parametrize("scalarisation", ["sum", "product", "chebyshev"])
def test_an_objective_without_weight_does_not_count_even_where_it_is_minus_infinity(scalarisation):
    assert scalarised(scalarisation, [[0.0, -torch.inf]], [1, 0]).tolist() == [0]
    expected = math.log(0.75) if scalarisation == "sum" else -torch.inf
    assert scalarised(scalarisation, [[0.0, -torch.inf]], [3, 1]).item() == pytest.approx(expected)


def scalarised(scalarisation, log_rewards, weights):
    conditioning = Conditioning(objectives=2, scalarisation=scalarisation)
    log_reward = torch.tensor(log_rewards)
    return conditioning.apply(log_reward, conditioning.fixed(len(log_reward), weights=weights))


def test_scalarisations_are_what_their_formulas_say():
    row = [[-1.0, -2.0]]
    assert scalarised("product", row, [3, 1]).item() == pytest.approx(-0.75 - 0.5)
    assert scalarised("chebyshev", row, [3, 1]).item() == pytest.approx(-1 + 0.05 * (-1 - 2 / 3))
    assert scalarised("chebyshev", row, [1, 3]).item() == pytest.approx(-2 + 0.05 * (-1 / 3 - 2))
    for scalarisation in ("product", "chebyshev"):  # a preference for one objective alone is for that alone
        first = scalarised(scalarisation, [[-1.0, -9.0], [-1.0, 0.0], [-2.0, 0.0]], [1, 0])
        assert first[0] == first[1] > first[2]


def test_chebyshevs_alone_prefers_the_middle_of_a_front_that_is_not_convex():
    front = [[0.0, -4.0], [-2.5, -2.5], [-4.0, 0.0]]
    assert scalarised("chebyshev", front, [1, 1]).argmax() == 1
    for weight in torch.linspace(0, 1, 21).tolist():
        for scalarisation in ("sum", "product"):
            assert scalarised(scalarisation, front, [weight, 1 - weight]).argmax() != 1


def test_only_the_sum_of_exponentials_shuns_the_middle_of_a_front_that_is_convex():
    front = [[0.0, -8.0], [-2.0, -2.0], [-8.0, 0.0]]
    assert scalarised("product", front, [1, 1]).argmax() == 1
    assert scalarised("chebyshev", front, [1, 1]).argmax() == 1
    assert scalarised("sum", front, [1, 1]).argmin() == 1


def base(states):
    return torch.where(states[:, 0] >= 3, 1.0, 0.0) + 0.3 * (states[:, 1] == 5)


def two(states):
    return 0.4 * states[:, :2].float() - 2.0  # at most 0, which is the ideal


class At(torch.nn.Module):
    """A conditioned policy at one condition."""

    def __init__(self, policy, values):
        super().__init__()
        self.policy, self.values = policy, values

    def forward_logits(self, states):
        return self.policy.forward_logits(states, Context(self.values.expand(len(states), -1)))


def l1(policy, values, log_reward, environment=GRID):
    states, p = terminal_distribution(environment, At(policy, values))
    target = log_reward(states).double().exp()
    return float((p - target / target.sum()).abs().sum())


@pytest.mark.slow
def test_one_network_samples_at_every_temperature():
    settings = Training(steps=500, batch_size=64, hidden=64, lr=3e-3, conditioning=BETAS, replay_size=8)
    learner, sampler = train(GRID, StateReward(base), settings)
    for beta in (0.5, 1.0, 2.0, 4.0):
        assert l1(learner.policy, BETAS.fixed(1, beta), lambda states, b=beta: b * base(states)) < 0.12
    assert l1(learner.policy, BETAS.fixed(1, 0.5), lambda states: 4 * base(states)) > 0.5
    high, low = (sampler.draw(2000, seed=1, beta=b).log_reward.mean() for b in (4.0, 0.5))
    assert high > low + 0.2
    torch.testing.assert_close(sampler.draw(5, seed=1, beta=2.0).values, torch.full((5, 1), 1 / 3))


@pytest.mark.slow
@pytest.mark.parametrize("scalarisation", ["sum", "chebyshev"])
def test_one_network_samples_for_every_preference(scalarisation):
    conditioning = Conditioning(objectives=2, scalarisation=scalarisation)
    settings = Training(steps=500, batch_size=64, hidden=64, lr=3e-3, conditioning=conditioning, replay_size=8)
    learner, sampler = train(GRID, StateReward(two), settings)
    for w in ([1, 0], [0.7, 0.3], [0.5, 0.5], [0, 1]):
        values = conditioning.fixed(1, weights=w)
        assert l1(learner.policy, values, lambda s, v=values: conditioning.apply(two(s), v.expand(len(s), -1))) < 0.15
    for preferred, weights in enumerate(([1, 0], [0, 1])):
        mean = sampler.draw(2000, seed=1, weights=weights).log_reward.mean(0)
        assert mean[preferred] > mean[1 - preferred] + 0.2


@pytest.mark.parametrize("objective", ["log_partition_variance", "flow_matching"])
def test_objectives_without_a_log_z_sample_at_every_temperature(objective):
    grid, settings = Hypergrid(2, 4), Training(steps=400, batch_size=48, hidden=32, lr=5e-3, per_condition=8)
    learner, _ = train(grid, StateReward(base), replace(settings, conditioning=BETAS, objective=objective))
    for beta in (0.5, 2.0, 4.0):
        assert l1(learner.policy, BETAS.fixed(1, beta), lambda states, b=beta: b * base(states), grid) < 0.15


def test_log_z_is_that_of_the_condition():
    grid, settings = Hypergrid(2, 4), Training(steps=150, batch_size=48, hidden=32, lr=5e-3, conditioning=BETAS)
    learner, _ = train(grid, StateReward(base), settings)
    states, _ = terminal_distribution(grid, None)
    for beta in (0.5, 4.0):
        expected = float((beta * base(states)).logsumexp(0))
        assert float(learner.log_z_of(grid.initial(1), BETAS.fixed(1, beta))) == pytest.approx(expected, abs=0.15)


def test_draws_have_successive_trajectories_of_one_condition():
    trainer = Trainer(GRID, StateReward(base), Training(conditioning=BETAS, per_condition=3, hidden=8))
    values = trainer.sampler.draw(8, seed=0, per_condition=3).values[:, 0].tolist()
    assert values[0] == values[1] == values[2] != values[3]
    assert values[3] == values[5] != values[6] == values[7]
    halves = trainer.sampler.draw(12, seed=0, per_condition=3).split(2, 3)
    assert [len(set(half.values[:, 0].tolist())) for half in halves] == [2, 2]


def test_objectives_without_a_log_z_for_each_condition_are_refused():
    settings = Training(objective="log_partition_variance", conditioning=BETAS)
    with pytest.raises(ValueError, match="no log Z, which a conditioned reward requires"):
        Trainer(GRID, StateReward(base), settings)


def test_log_rewards_of_another_number_of_objectives_are_refused():
    settings = Training(conditioning=Conditioning(objectives=3), hidden=8)
    with pytest.raises(ValueError, match="x 3, one column for each objective"):
        Trainer(GRID, StateReward(two), settings).step()


def test_a_reward_of_objects_may_be_conditioned_too():
    environment = Sequences("AC", 3)
    trainer = Trainer(
        environment,
        lambda objects: torch.tensor([[float(o.count("A")), float(o.count("C"))] for o in objects]),
        Training(conditioning=Conditioning((1.0, 2.0), 2), batch_size=8, hidden=8, replay_size=4),
    )
    for _ in range(3):
        assert math.isfinite(trainer.step())
    assert trainer.sampler.draw(4, seed=0, beta=1.5, weights=[1, 3]).log_reward.shape == (4, 2)


@pytest.mark.parametrize(
    ("objective", "options"),
    [("modified_sub_trajectory_balance", {}), ("detailed_balance", {"forward_looking": True})],
)
def test_rewards_of_unfinished_objects_are_conditioned_and_have_the_floor(objective, options):
    grid = Hypergrid(2, 3)
    table = torch.rand(3, 3, generator=torch.Generator().manual_seed(0)) * 2
    table[0, 1] = -math.inf
    reward = StateReward(lambda states: table[states[:, 0], states[:, 1]], is_partial=True)
    conditioning = Conditioning(beta=(0.25, 2.0))
    training = Training(
        steps=500, batch_size=32, hidden=32, lr=5e-3, objective=objective, conditioning=conditioning, replay_size=0,
        epsilon=0.2, floor=4.0, **options,
    )  # fmt: skip
    learner, _ = train(grid, reward, training)
    best = float(table.max())
    for beta in (0.25, 2.0):
        lowest = beta * best - 4.0

        def floored(states, beta=beta, lowest=lowest):
            return (beta * reward.function(states)).clamp(min=lowest)

        assert l1(learner.policy, conditioning.fixed(1, beta), floored, grid) < 0.15


def test_preferences_apply_to_the_reward_of_stopping():
    training = Training(
        steps=2, batch_size=4, objective="modified_sub_trajectory_balance", conditioning=WEIGHTS, replay_size=0
    )
    learner, _ = train(GRID, StateReward(lambda states: states[:, :2].float(), is_partial=True), training)
    with pytest.raises(ValueError, match="values: expected 1 x 2, as from"):
        _ = learner.log_z
    assert learner.log_z_of(GRID.initial(1), WEIGHTS.fixed(1, weights=[1, 0])).shape == (1,)


@pytest.mark.parametrize("conditioning", [BETAS, Conditioning()])
def test_an_objective_without_log_z_says_that_it_knows_none_of_a_condition(conditioning):
    training = Training(
        steps=1, batch_size=8, objective="log_partition_variance", conditioning=conditioning, per_condition=4
    )
    learner, _ = train(GRID, StateReward(lambda states: states[:, 0].float()), training)
    if not conditioning.n_values:
        assert learner.log_z_of(GRID.initial(1)) == learner.log_z
        return
    with pytest.raises(ValueError, match="LogPartitionVariance learns no log Z of a condition"):
        learner.log_z_of(GRID.initial(1), BETAS.fixed(1, 1.0))
