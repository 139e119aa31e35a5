import math
import pickle

import numpy as np
import pytest
import torch

from al_loop.acquisitions.base import AcquisitionContext, score
from al_loop.acquisitions.log_ei import LogEI
from al_loop.acquisitions.max_value_entropy import MaxValueEntropy
from al_loop.acquisitions.multi_fidelity_ei import MultiFidelityEI
from al_loop.acquisitions.multi_fidelity_mes import MultiFidelityMES
from al_loop.acquisitions.ucb import UCB
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import Tanimoto
from al_loop.surrogates.multi_fidelity import MultiFidelityGP


def rows(n, seed=0, d=25):
    X = np.random.default_rng(seed).poisson(0.5, (n, d)).astype(float)
    X[:, 0] += 1
    return torch.from_numpy(X)


WEIGHTS = torch.randn(25, generator=torch.Generator().manual_seed(1)).double()
OTHER = torch.randn(25, generator=torch.Generator().manual_seed(2)).double()


def truth(X, fidelity):
    """The cheap one is of another scale, shifted, and only alike."""
    good = X @ WEIGHTS
    return good if fidelity == 1 else 30 + 4 * (good + 0.3 * (X @ OTHER))


def data(n_low=80, n_high=12, seed=0):
    X = rows(n_low + n_high, seed)
    f = torch.cat([torch.zeros(n_low), torch.ones(n_high)]).double()
    Y = torch.where(f == 1, truth(X, 1), truth(X, 0))
    return torch.cat([X, f[:, None]], dim=1), Y[:, None]


X, Y = data()
MODEL = MultiFidelityGP().fit(X, Y)
NEW = rows(30, seed=9)


def dense(asked, f_asked, model=MODEL, X=X, Y=Y, extra_noise=None):
    """Mean and covariance by plain matrices."""
    scales, constants = np.array(model.fidelity_scales.scales), np.array(model.fidelity_scales.constants)
    f = X[:, -1].long().numpy()
    s = model.signal_variance / scales[-1] ** 2
    r = model.fidelity_scales.noise_ratios[0]  # of the cheap fidelity no noise is stated, or next to none

    def prior(A, fa, B, fb):
        T = Tanimoto()(A, B).numpy()
        return s * scales[fa][:, None] * scales[fb][None] * model.kernel.rho ** np.abs(fa[:, None] - fb[None]) * T

    noise = s * scales[f] ** 2 * r + (0 if extra_noise is None else extra_noise)
    C = prior(X[:, :-1], f, X[:, :-1], f) + np.diag(noise)
    c = prior(asked, f_asked, X[:, :-1], f)
    mean = constants[f_asked] + c @ np.linalg.solve(C, Y[:, 0].numpy() - constants[f])
    return mean, prior(asked, f_asked, asked, f_asked) - c @ np.linalg.solve(C, c.T)


@pytest.mark.parametrize("fidelity", [0, 1])
def test_the_posterior_is_that_of_a_dense_solve_at_every_fidelity(fidelity):
    mean, covariance = dense(NEW, np.full(30, fidelity))
    view = MODEL.at(fidelity)
    posterior = view.posterior(NEW)
    scale = covariance.diagonal().max()
    assert posterior.mean[:, 0].detach().numpy() == pytest.approx(mean, abs=1e-6)
    assert posterior.distribution.covariance_matrix.detach().numpy() == pytest.approx(covariance, abs=1e-6 * scale)
    m, v = view.mean_and_variance(NEW)
    assert m.numpy() == pytest.approx(mean, abs=1e-6)
    assert v.numpy() == pytest.approx(covariance.diagonal(), abs=1e-6 * scale)


def test_constants_are_those_of_generalised_least_squares():
    f = X[:, -1].long().numpy()
    scales = np.array(MODEL.fidelity_scales.scales)
    R = MODEL.kernel(X, X).numpy() + MODEL.noise_variance / MODEL.signal_variance * np.eye(len(f))
    H = (f[:, None] == np.arange(2)) / scales[f][:, None]
    z = Y[:, 0].numpy() / scales[f]
    expected = np.linalg.solve(H.T @ np.linalg.solve(R, H), H.T @ np.linalg.solve(R, z))
    assert np.array(MODEL.fidelity_scales.constants) == pytest.approx(expected, rel=1e-6)


def test_cheap_answers_make_expensive_predictions_better():
    few_X, few_Y = X[80:], Y[80:]
    alone = ExactGP().fit(few_X[:, :-1], few_Y)
    asked = rows(300, seed=5)
    error = [float((m.mean_and_variance(asked)[0] - truth(asked, 1)).square().mean().sqrt()) for m in (alone, MODEL)]
    assert error[1] < 0.75 * error[0]
    z = (MODEL.mean_and_variance(asked)[0] - truth(asked, 1)) / MODEL.mean_and_variance(asked)[1].sqrt()
    assert 0.5 < float(z.square().mean()) < 2


def test_the_ratio_of_scales_is_found_although_the_expensive_answers_are_the_best_only():
    X = rows(150, seed=3)
    best = truth(X, 0).topk(12).indices
    both = torch.cat([torch.cat([X, torch.zeros(150, 1)], 1), torch.cat([X[best], torch.ones(12, 1)], 1)])
    Y = torch.cat([truth(X, 0), truth(X[best], 1)])[:, None]
    model = MultiFidelityGP().fit(both, Y)
    asked = rows(300, seed=5)
    z = (model.mean_and_variance(asked)[0] - truth(asked, 1)) / model.mean_and_variance(asked)[1].sqrt()
    assert np.corrcoef(model.mean_and_variance(asked)[0], truth(asked, 1))[0, 1] > 0.7
    assert float(z.square().mean()) < 4


@pytest.mark.slow
def test_unrelated_fidelities_are_found_to_be_unrelated():
    X = rows(160)
    f = (torch.arange(160) % 2).double()
    Y = torch.where(f == 1, X @ WEIGHTS, X @ OTHER)[:, None]
    unrelated = MultiFidelityGP().fit(torch.cat([X, f[:, None]], 1), Y).kernel.rho
    related = torch.where(f == 1, X @ WEIGHTS, 3 * (X @ WEIGHTS) + 5)[:, None]
    assert unrelated < 0.6
    assert MultiFidelityGP().fit(torch.cat([X, f[:, None]], 1), related).kernel.rho > 0.9


@pytest.mark.parametrize("n_high", [0, 1, 2])
def test_few_or_no_expensive_answers_will_do(n_high):
    X, Y = data(30, n_high)
    mean, variance = MultiFidelityGP().fit(X, Y).mean_and_variance(NEW)
    assert mean.isfinite().all()
    assert (variance > 0).all()


def test_known_noise_is_added():
    Yvar = torch.full_like(Y, 1e-8)
    Yvar[80:] = 4.0
    model = MultiFidelityGP().fit(X, Y, Yvar)
    mean, _ = dense(NEW, np.ones(30, dtype=int), model, extra_noise=Yvar[:, 0].numpy())
    assert model.mean_and_variance(NEW)[0].numpy() == pytest.approx(mean, rel=1e-3, abs=1e-3)
    assert model.noise_variance > 4.0  # of an answer at the target
    assert model.at(0).noise_variance < 4.0
    assert model.rescaled(2.0).at(0).noise_variance == pytest.approx(4 * model.at(0).noise_variance)


@pytest.mark.parametrize("value", [0.1, 1e9])
def test_equal_answers_leave_something_unknown(value):
    """Rounding is no variance to learn from."""
    _, variance = MultiFidelityGP().fit(X, torch.full((len(X), 1), value).double()).mean_and_variance(NEW)
    assert (variance > 1e-9).all()


def test_a_pending_object_at_a_low_fidelity_lowers_the_variance_as_if_it_had_been_measured():
    pending = torch.cat([NEW[:1], torch.zeros(1, 1)], dim=1)
    held = MODEL.condition_on_pending(pending)
    before, after = MODEL.mean_and_variance(NEW)[1], held.mean_and_variance(NEW)[1]
    assert after[0] < before[0]
    at_target = MODEL.condition_on_pending(NEW[:1]).mean_and_variance(NEW)[1]
    assert at_target[0] < after[0]
    mean = dense(NEW[:1], np.zeros(1, dtype=int))[0]
    again_X, again_Y = torch.cat([X, pending]), torch.cat([Y, torch.tensor([mean])])
    _, covariance = dense(NEW, np.ones(30, dtype=int), MODEL, again_X, again_Y)
    assert after.numpy() == pytest.approx(covariance.diagonal(), rel=1e-5)
    assert torch.allclose(held.mean_and_variance(NEW)[0], MODEL.mean_and_variance(NEW)[0], atol=1e-6)
    assert torch.allclose(held.at(0).mean_and_variance(NEW)[0], MODEL.at(0).mean_and_variance(NEW)[0], atol=1e-6)


def test_every_acquisition_of_the_target_takes_the_model():
    pending = torch.cat([NEW[:2], torch.tensor([[0.0], [1.0]])], dim=1)
    for acquisition in (UCB(), LogEI(), MaxValueEntropy()):
        built = acquisition.build(MODEL, AcquisitionContext(X[80:, :-1], 1.0, None, NEW))
        assert score(built, NEW).isfinite().all()
    assert score(UCB().build(MODEL, AcquisitionContext(X, 1.0, pending)), NEW).shape == (30,)


def test_the_squared_correlation_is_that_of_the_joint_posterior():
    both = torch.cat([NEW, NEW])
    _, covariance = dense(both, np.repeat([0, 1], 30))
    scales = np.array(MODEL.fidelity_scales.scales)
    noise = MODEL.noise_variance / scales[1] ** 2 * scales[0] ** 2
    for i in range(3):
        joint, asked = covariance[i, 30 + i], covariance[i, i] + noise
        expected = joint**2 / (asked * covariance[30 + i, 30 + i])
        assert float(MODEL.correlation(NEW[i : i + 1], 0)) == pytest.approx(expected, rel=1e-5)
        own = covariance[30 + i, 30 + i]
        assert float(MODEL.correlation(NEW[i : i + 1], 1)) == pytest.approx(
            own / (own + MODEL.noise_variance), rel=1e-5
        )


def test_information_at_the_target_is_max_value_entropys_and_below_it_less():
    acquisition = MultiFidelityMES()
    built = acquisition.build(MODEL, AcquisitionContext(X[80:, :-1], 0.0, None, NEW))
    values = acquisition.per_cost(MODEL, built, [1.0, 1.0], NEW)
    assert torch.allclose(values[:, 1], score(built, NEW), atol=1e-9)
    assert (values[:, 0] < values[:, 1]).all()
    cheaper = acquisition.per_cost(MODEL, built, [0.01, 1.0], NEW)
    assert torch.allclose(cheaper[:, 0], values[:, 0] - math.log(0.01))
    assert (cheaper[:, 0] > cheaper[:, 1]).all()


def test_information_bounds_the_mutual_information_from_below():
    """By numerical integration: y at the low fidelity given f <= m at the target is an extended skew normal."""
    acquisition = MultiFidelityMES(n_samples=1)
    built = acquisition.build(MODEL, AcquisitionContext(X[80:, :-1], 0.0, None, NEW))
    found = acquisition.per_cost(MODEL, built, [1.0, 1.0], NEW)[:, 0].exp()
    m = float(built.maxima)
    mean, variance = MODEL.mean_and_variance(NEW)
    from scipy.stats import norm

    z = np.linspace(-9, 9, 20_001)
    for i in range(5):
        rho = float(MODEL.correlation(NEW[i : i + 1], 0)) ** 0.5
        gamma = (m - float(mean[i])) / float(variance[i]) ** 0.5
        density = norm.pdf(z) * norm.cdf((gamma - rho * z) / math.sqrt(1 - rho**2)) / norm.cdf(gamma)
        entropy = -np.trapezoid(density * np.log(density.clip(1e-300)), z)
        exact = 0.5 * math.log(2 * math.pi * math.e) - entropy
        assert float(found[i]) <= exact * 1.01 + 1e-9
        assert float(found[i]) == pytest.approx(exact, rel=0.35)


def test_improvement_is_shared_by_the_squared_correlation():
    acquisition = MultiFidelityEI()
    built = acquisition.build(MODEL, AcquisitionContext(X[80:, :-1], 1.0))
    values = acquisition.per_cost(MODEL, built, [0.1, 2.0], NEW)
    target = score(built, NEW)
    assert torch.allclose(values[:, 0], target + MODEL.correlation(NEW, 0).log() - math.log(0.1))
    assert torch.allclose(values[:, 1], target + MODEL.correlation(NEW, 1).log() - math.log(2.0))


def test_the_model_pickles_and_rescales():
    copy = pickle.loads(pickle.dumps(MODEL))
    assert torch.equal(copy.mean_and_variance(NEW)[0], MODEL.mean_and_variance(NEW)[0])
    assert torch.allclose(MODEL.rescaled(2.0).mean_and_variance(NEW)[1], 4 * MODEL.mean_and_variance(NEW)[1])
    assert torch.allclose(
        MODEL.rescaled(2.0).at(0).mean_and_variance(NEW)[1], 4 * MODEL.at(0).mean_and_variance(NEW)[1]
    )


def test_what_is_no_fidelity_is_refused():
    for wrong in (2.0, -1.0, 0.5):
        bad = X.clone()
        bad[0, -1] = wrong
        with pytest.raises(ValueError, match="index of one of 2 fidelities"):
            MultiFidelityGP().fit(bad, Y)


def test_the_same_data_give_the_same_model():
    again = MultiFidelityGP().fit(X, Y)
    assert torch.equal(again.alpha, MODEL.alpha)
    described = MultiFidelityGP().describe(MODEL)
    assert described["correlation"] == MODEL.kernel.rho
    assert described["scale_1"] == 1.0
