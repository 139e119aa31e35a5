"""Any surrogate that returns a stock BoTorch model: the contract, and models whose posteriors are not normal."""

import pytest
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.mlls import ExactMarginalLogLikelihood

from al_loop.surrogates.base import Surrogate, fit_each_target
from al_loop.surrogates.testing import SurrogateContract

pytestmark = pytest.mark.filterwarnings("ignore")


class StockGP(Surrogate):
    """BoTorch's own Gaussian process: a surrogate as a user writes it."""

    def fit(self, X, Y, Yvar=None):
        return fit_each_target(self._fit_one, X, Y, Yvar)

    def _fit_one(self, X, y, yvar):
        model = SingleTaskGP(X, y[:, None], None if yvar is None else yvar[:, None])
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return model


class TestStockGP(SurrogateContract):
    d = 4

    def make(self):
        return StockGP()
