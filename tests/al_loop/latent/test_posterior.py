"""The posterior's draws, its probabilities, and moves that leave the exact posterior unchanged."""

import pytest
import torch

from al_loop.gflownet.policies import make_policy
from al_loop.latent import EM, Mixture, fit
from al_loop.latent.observations import Observations
from al_loop.latent.posterior import improve

POINTS = [[1.0, 0.5], [-1.0, 0.2], [0.1, 0.1]]


@pytest.fixture(scope="module")
def result():
    return fit(Mixture(2, 2, sigma=1.0), POINTS * 10, EM(rounds=1, e_steps=5, hidden=8, layers=1), seed=1)


def test_draws_have_the_probabilities_of_the_codes(result):
    probabilities, codes = result.posterior.codes(POINTS)
    assert torch.allclose(probabilities.sum(1), torch.ones(3, dtype=torch.float64))
    draws = result.posterior.draw(POINTS, 4000, seed=2)
    for row, drawn in zip(probabilities, draws, strict=True):
        frequency = torch.stack([(drawn == code).all(1).double().mean() for code in codes])
        assert float((frequency - row).abs().max()) < 0.04


def test_equal_seeds_give_equal_draws(result):
    assert torch.equal(result.posterior.draw(POINTS, 5, seed=1), result.posterior.draw(POINTS, 5, seed=1))


def test_weighted_draws_have_the_means_of_the_exact_posterior(result):
    model = result.model
    z, weight = result.posterior.weighted(POINTS, 4000, seed=2)
    assert torch.allclose(weight.sum(1), torch.ones(3, dtype=torch.float64))
    exact = model.log_joints(model.read(POINTS)).detach().softmax(1)
    for row, drawn, w in zip(exact, z, weight, strict=True):
        mass = torch.stack([w[(drawn == code).all(1)].sum() for code in model.codes])
        assert float((mass - row).abs().max()) < 0.04


@pytest.mark.parametrize("undone", [0.25, 1.0])
def test_many_moves_draw_from_the_exact_posterior(result, undone):
    model = result.model
    drawn = result.posterior.draw(POINTS, 3000, seed=3, moves=20, undone=undone)
    exact = model.log_joints(model.read(POINTS)).detach().softmax(1)
    for row, z in zip(exact, drawn, strict=True):
        frequency = torch.stack([(z == code).all(1).double().mean() for code in model.codes])
        assert float((frequency - row).abs().max()) < 0.04


def test_the_report_of_the_exact_posterior_is_perfect():
    model = Mixture(groups=1, petals=2, sigma=0.7)
    x = model.read([[0.0, 0.0]])  # both petals are equally far
    observations = Observations(model, x)
    policy = make_policy(observations, 4, 1)
    for parameter in policy.parameters():
        torch.nn.init.zeros_(parameter)
    from al_loop.latent.posterior import evaluate

    report = evaluate(observations, policy, model, 50, torch.Generator().manual_seed(0))
    assert report.kl == pytest.approx(0, abs=1e-6)
    assert report.effective == pytest.approx(1, abs=1e-6)
    assert report.bound == pytest.approx(report.log_likelihood, abs=1e-6)
    assert report.importance == pytest.approx(report.log_likelihood, abs=1e-6)


def test_no_move_leaves_the_states(result):
    observations, policy = result.posterior._bind(POINTS)
    states = torch.cat([torch.arange(3)[:, None], torch.zeros(3, 2, dtype=torch.int64)], 1)
    generator = torch.Generator().manual_seed(0)
    assert improve(observations, policy, result.model, states, 0, 0.5, "learned", generator) is states


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
@pytest.mark.parametrize("method", ["draw", "weighted", "importance", "report"])
def test_numbers_of_draws_that_are_none_are_refused(result, method, n):
    with pytest.raises(ValueError, match="n: must be a whole number of at least 1, got"):
        getattr(result.posterior, method)(POINTS, n)


@pytest.mark.parametrize(("settings", "name"), [({"moves": -1}, "moves"), ({"moves": 1, "undone": 0.0}, "undone")])
def test_moves_out_of_range_are_refused(result, settings, name):
    with pytest.raises(ValueError, match=f"{name}: must be"):
        result.posterior.draw(POINTS, 2, **settings)


def test_a_tensor_that_is_no_observation_is_refused(result):
    with pytest.raises(ValueError, match="got the shape"):
        result.posterior.draw(torch.zeros(2, 3))


def test_importance_sampling_approaches_the_likelihood_from_below(result):
    estimate = result.posterior.importance(POINTS, 2000, seed=1)
    assert torch.allclose(estimate, result.model.log_likelihood(POINTS), atol=0.1)
    assert float(result.posterior.importance(POINTS, 1, seed=1).mean()) <= float(estimate.mean()) + 0.5


def test_the_divergence_is_that_of_as_many_observations_as_may_be_enumerated(result):
    n_codes = len(result.model.codes)
    some = result.posterior.report(POINTS, 2, n_pairs=2 * n_codes)
    assert some.kl == pytest.approx(result.posterior.report(POINTS[:2], 2).kl)
    assert some.is_kl_exact
    assert some.log_likelihood == pytest.approx(float(result.model.log_likelihood(POINTS).mean()))
    assert result.posterior.report(POINTS, 2, n_pairs=1).kl == pytest.approx(result.posterior.report(POINTS[:1], 2).kl)
    assert result.posterior.report(POINTS, 2, n_pairs=10**9) == result.posterior.report(POINTS, 2)
