import pytest
import torch

from al_loop.config import BuildContext, Part, build
from al_loop.surrogates._gp_model import ExactGPModel
from al_loop.surrogates.auto import Auto
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.testing import SurrogateContract
from al_loop.surrogates.variational import SparseGP, SparseGPModel


class TestAutoOfFewMeasurements(SurrogateContract):
    def make(self) -> Auto:
        return Auto(kernel="tanimoto")


class TestAutoOfManyMeasurements(SurrogateContract):
    def make(self) -> Auto:
        return Auto(kernel="tanimoto", max_exact=0, n_inducing=48)


def rows(n: int) -> torch.Tensor:
    return torch.rand(n, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("n", "kind", "alone"), [(12, ExactGPModel, ExactGP), (13, SparseGPModel, SparseGP)])
def test_the_amount_of_data_decides(n, kind, alone):
    X = rows(n)
    surrogate = Auto(kernel="rbf", max_exact=12, n_inducing=6)
    model = surrogate.fit(X, X[:, :1])
    settings = {"n_inducing": 6} if alone is SparseGP else {}
    same = alone("rbf", **settings).fit(X, X[:, :1])
    assert type(model) is kind
    assert torch.equal(model.mean_and_variance(X)[1], same.mean_and_variance(X)[1])
    assert surrogate.describe(model)["is_exact"] == (n == 12)


def test_it_says_what_it_chose_and_why():
    surrogate = Auto(kernel="rbf", max_exact=1000, n_inducing=256)
    assert surrogate.explain(1) == "surrogate gp: 1 measurement, up to 1,000 are fitted exactly"
    assert surrogate.explain(1000) == "surrogate gp: 1,000 measurements, up to 1,000 are fitted exactly"
    assert surrogate.explain(1001).startswith("surrogate variational on 256 inducing rows: 1,001 measurements")
    assert "surrogate.max_exact" in surrogate.explain(1001)


@pytest.mark.parametrize("kind", ["gp", "gp_ensemble", "variational", "auto", "ensemble", "deep_kernel"])
def test_a_config_builds_every_surrogate(kind):
    surrogate = build("surrogate", Part(kind=kind), BuildContext(kernel="tanimoto"))
    X = rows(4).round()
    assert surrogate.fit(X, X[:, :1]).mean_and_variance(X)[0].shape == (4,)
