import numpy as np
import pytest
import torch

from al_loop.campaign.building import build_environment, build_features
from al_loop.config import BuildContext, Part, build, parse_config
from al_loop.surrogates._stacking import leave_one_out, stacking_weights
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.gp_ensemble import GPEnsemble
from al_loop.surrogates.testing import SurrogateContract


class TestGPEnsemble(SurrogateContract):
    def make(self) -> GPEnsemble:
        return GPEnsemble("tanimoto[0:20] + minmax[20:40]")


def data(n, seed=0):
    """Rows of which the first ten columns decide, and ten others do not."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.poisson(torch.full((n, 20), 0.7), generator=generator).double()
    X[:, [0, 10]] += 1
    y = X[:, :10] @ torch.randn(10, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return X, y[:, None]


def test_leave_one_out_is_what_fits_without_each_measurement_say():
    X, Y = data(30)
    model = ExactGP("tanimoto").fit(X, Y)
    log_densities = leave_one_out(model)
    R = model.L @ model.L.T * model.signal_variance
    for i in (0, 7, 29):
        rest = [j for j in range(30) if j != i]
        solved = torch.linalg.solve(R[rest][:, rest], torch.stack([Y[rest, 0] - model.mean, R[rest, i]], 1))
        mean = model.mean + R[i, rest] @ solved[:, 0]
        variance = R[i, i] - R[i, rest] @ solved[:, 1]
        expected = torch.distributions.Normal(mean, variance.sqrt()).log_prob(Y[i, 0])
        assert float(log_densities[i]) == pytest.approx(float(expected), abs=1e-6)


def test_weights_maximise_the_density_of_the_mixture():
    log_densities = torch.randn(60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2
    weights = stacking_weights(log_densities, pseudo_count=0)

    def density(w):
        return float((log_densities + w.log()).logsumexp(1).sum())

    rng = np.random.default_rng(0)
    others = torch.from_numpy(rng.dirichlet([1, 1, 1], 300))
    assert float(weights.sum()) == pytest.approx(1)
    assert density(weights) >= max(density(w) for w in others) - 1e-3


def test_the_weights_are_even_where_nothing_is_known():
    assert stacking_weights(torch.zeros(1, 4, dtype=torch.float64)).tolist() == pytest.approx([0.25] * 4)


def test_the_features_that_predict_get_the_weight():
    X, Y = data(80)
    surrogate = GPEnsemble("tanimoto[0:10] + tanimoto[10:20]")
    described = surrogate.describe(surrogate.fit(X, Y))
    weights = {name: value for name, value in described.items() if name.startswith("weight_")}
    assert "weight_1_tanimoto" not in weights  # of the columns that say nothing
    assert sum(weights.values()) == pytest.approx(1)


@pytest.mark.parametrize(("columns", "best"), [(slice(0, 10), 0), (slice(10, 20), 1)])
def test_it_predicts_about_as_well_as_the_best_of_its_members(columns, best):
    X, Y = data(120)
    if best == 1:
        X = torch.cat([X[:, 10:], X[:, :10]], 1)
    train, test = slice(0, 80), slice(80, 120)

    def log_density(surrogate):
        model = surrogate.fit(X[train], Y[train])
        mean, variance = model.mean_and_variance(X[test])
        return float(
            torch.distributions.Normal(mean, (variance + model.noise_variance).sqrt()).log_prob(Y[test, 0]).mean()
        )

    members = ["tanimoto[0:10]", "tanimoto[10:20]"]
    alone = [log_density(ExactGP(kernel)) for kernel in members]
    assert alone.index(max(alone)) == best
    assert log_density(GPEnsemble(kernels=members)) > max(alone) - 0.1


def test_mean_and_variance_are_those_of_the_mixture():
    X, Y = data(40)
    model = GPEnsemble(kernels=["tanimoto", "minmax"]).fit(X, Y)
    each = [member.mean_and_variance(X[:5]) for member in model.members]
    weights = model.weights
    mean = sum(w * m for w, (m, _) in zip(weights, each, strict=True))
    second = sum(w * (v + m**2) for w, (m, v) in zip(weights, each, strict=True))
    assert torch.allclose(model.mean_and_variance(X[:5])[0], mean)
    assert torch.allclose(model.mean_and_variance(X[:5])[1], second - mean**2)


def test_many_measurements_are_fitted_sparsely_and_weighted_by_exact_fits():
    X, Y = data(60)
    surrogate = GPEnsemble(kernels=["tanimoto[0:10]", "tanimoto[10:20]"], max_exact=40)
    model = surrogate.fit(X, Y)
    assert surrogate.explain(60).endswith("sparsely, more than 40 (surrogate.max_exact)")
    assert max(surrogate.describe(model)["weight_0_tanimoto"], 0.5) > 0.5
    assert model.mean_and_variance(X)[0].isfinite().all()


def test_the_joint_posterior_with_fixed_rows_is_that_of_the_mixture():
    X, Y = data(30)
    model = GPEnsemble(kernels=["tanimoto", "minmax"]).fit(X, Y)
    fast = model.cross_posterior(X[:3])
    mean, covariance = model.mean_and_covariance(torch.stack([torch.cat([x[None], X[:3]]) for x in X[5:9]]))
    quick = fast(X[5:9, None])
    assert torch.allclose(quick[0], mean[:, 0])
    assert torch.allclose(quick[1], covariance[:, 0, 0], atol=1e-5)
    assert torch.allclose(quick[2], covariance[:, 0, 1:], atol=1e-5)
    assert torch.allclose(fast.mean, mean[0, 1:])
    assert torch.allclose(fast.covariance, covariance[0, 1:, 1:], atol=1e-5)


def test_terms_of_the_features_are_the_members_beside_their_sum():
    surrogate = build("surrogate", Part(kind="gp_ensemble"), BuildContext(kernel="tanimoto[0:4] + matern52[4:6]"))
    assert surrogate.kernels == ("tanimoto[0:4]", "matern52[4:6]", "tanimoto[0:4] + matern52[4:6]")
    assert GPEnsemble("tanimoto").kernels == ("tanimoto", "minmax")
    with pytest.raises(Exception, match="nonsense"):
        GPEnsemble(kernels=["nonsense"])


def test_molecules_get_several_fingerprints_by_default():
    config = {"name": "m", "environment": "fragments", "oracle": "human", "surrogate": "gp_ensemble"}
    config = parse_config(config)
    features = build_features(config, build_environment(config))
    assert [part.kind for part in features.parts] == ["morgan", "morgan", "atom_pairs", "descriptors"]
    words = {**config.model_dump(mode="json"), "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 4}}
    config = parse_config({k: words[k] for k in ("name", "environment", "oracle", "surrogate")})
    assert build_features(config, build_environment(config)).kind == "one_hot"
