"""The contract of acquisitions, as tests: subclass AcquisitionContract in your own test file and run pytest."""

from __future__ import annotations

import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP
from botorch.models.ensemble import EnsembleModel
from botorch.models.model import Model, ModelList
from torch import Tensor

from al_loop.acquisitions.base import Acquisition, AcquisitionContext, score
from al_loop.surrogates.base import SurrogateModel, as_surrogate_model
from al_loop.surrogates.gp import ExactGP

#: positions and letters of the one-hot words on which acquisitions are tested
_LENGTH, _LETTERS = 6, 4


class DefaultModel(SurrogateModel):
    """A model that defines nothing but its posterior, so that every default of ``SurrogateModel`` is used."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.noise_variance = model.noise_variance

    def posterior(self, X: Tensor, *args: Any, **options: Any) -> Any:
        """Return the posterior of the model."""
        return self.model.posterior(X, *args, **options)

    def draw_function(self, n_features: int, seed: int) -> Any:
        """Draw from the model."""
        return self.model.draw_function(n_features, seed)


class _Sums(EnsembleModel):  # type: ignore[misc]  # BoTorch is untyped here
    """An ensemble of four random linear functions: its posteriors are not normal."""

    _num_outputs = 1

    def __init__(self, d: int) -> None:
        super().__init__()
        self.register_buffer("_weights", torch.randn(4, d, generator=torch.Generator().manual_seed(0)).double())

    def forward(self, X: Tensor) -> Tensor:
        """Return the members' predictions: ... x q x d -> ... x 4 x q x 1."""
        values: Tensor = (X @ self._weights.T).transpose(-1, -2).unsqueeze(-1)
        return values


class AcquisitionContract:
    """Base class for the tests of one acquisition.

    Subclass it under a name that starts with ``Test``, and implement ``make``::

        class TestMyAcquisition(AcquisitionContract):
            def make(self) -> Acquisition:
                return MyAcquisition()

    An acquisition with ``is_multi_objective`` is tested with two objectives.
    """

    #: whether a pending object lowers its own value, and no other one's by as much
    is_lowered_by_pending: ClassVar[bool] = True
    #: whether it works on models other than exact Gaussian processes
    supports_any_model: ClassVar[bool] = True

    def make(self) -> Acquisition:
        """Return a new acquisition, built from the same arguments each time."""
        raise NotImplementedError(f"{type(self).__name__} must implement make()")

    @property
    def n_objectives(self) -> int:
        """Return the number of objectives of the tests."""
        return 2 if self.make().is_multi_objective else 1

    def rows(self, n: int, seed: int) -> Tensor:
        """Return one-hot rows of n random words: n x 24."""
        letters = np.random.default_rng(seed).integers(0, _LETTERS, (n, _LENGTH))
        return torch.from_numpy(np.eye(_LETTERS)[letters]).flatten(1)

    def targets(self, X: Tensor) -> Tensor:
        """Return noisy targets of words: n x 24 -> n x n_objectives."""
        noise = torch.from_numpy(np.random.default_rng(5).normal(size=(len(X), 2)))
        both = torch.stack([X[:, ::_LETTERS].sum(-1), X[:, 1::_LETTERS].sum(-1)], dim=1) + 0.1 * noise
        return both[:, : self.n_objectives]

    def model(self, X: Tensor, Y: Tensor, kind: str = "gp") -> Any:
        """Return a model of the targets: ``gp``, ``defaults``, ``stock`` or ``ensemble``."""
        if kind == "stock":
            models = [SingleTaskGP(X, Y[:, i : i + 1]) for i in range(Y.shape[1])]  # as its hyperparameters begin
        elif kind == "ensemble":
            models = [_Sums(X.shape[1]) for _ in range(Y.shape[1])]
        else:
            models = [ExactGP("hamming").fit(X, Y[:, i : i + 1]) for i in range(Y.shape[1])]
        if kind == "defaults":
            models = [DefaultModel(model) for model in models]
        wrapped = [as_surrogate_model(model) for model in models]
        return ModelList(*wrapped) if self.make().is_multi_objective else wrapped[0]

    def values(self, X: Tensor, X_pending: Tensor | None = None, n: int = 20, kind: str = "gp") -> Tensor:
        """Return the values of objects after n measurements, computed in another process as it were."""
        X_baseline = self.rows(n, seed=0)
        Y = self.targets(X_baseline)
        context = AcquisitionContext(
            X_baseline, best_f=float(Y[:, 0].max()), X_pending=X_pending, X_candidates=self.rows(30, seed=1), Y=Y
        )
        with torch.no_grad():
            acquisition = self.make().build(self.model(X_baseline, Y, kind), context)
        return score(pickle.loads(pickle.dumps(acquisition)), X)

    def test_every_object_has_a_finite_value_of_its_own(self) -> None:
        X = torch.unique(self.rows(40, seed=2), dim=0)
        for X_pending in (None, self.rows(3, seed=3)):
            value = self.values(X, X_pending)
            assert value.shape == (len(X),)
            assert value.dtype == torch.float64
            assert value.isfinite().all()
            assert len(value.unique()) > 0.8 * len(X)

    def test_the_value_of_an_object_does_not_depend_on_the_others(self) -> None:
        X = self.rows(12, seed=2)
        assert torch.allclose(self.values(X[8:]), self.values(X)[8:], atol=1e-6)

    def test_the_same_data_give_the_same_values(self) -> None:
        X, X_pending = self.rows(12, seed=2), self.rows(3, seed=3)
        torch.manual_seed(1)
        value = self.values(X, X_pending)
        torch.manual_seed(2)
        assert torch.equal(self.values(X, X_pending), value)

    def test_no_pending_rows_are_as_none(self) -> None:
        X = self.rows(12, seed=2)
        assert torch.equal(self.values(X, X[:0]), self.values(X))

    def test_one_measurement_is_enough(self) -> None:
        X = self.rows(12, seed=2)
        for X_pending in (None, X[:2]):
            assert self.values(X, X_pending, n=1).isfinite().all()

    def test_a_pending_object_loses_most_of_all(self) -> None:
        if not self.is_lowered_by_pending:
            pytest.skip("its values need not fall where an object is pending")
        X = torch.unique(self.rows(30, seed=2), dim=0)
        loss = self.values(X) - self.values(X, X[:1])
        assert loss[0] > 0
        assert loss[0] >= loss.max() - 1e-9

    def test_settings_in_the_oracles_unit_are_transformed(self) -> None:
        class Halved:
            def forward(self, y: Any) -> Any:
                return np.asarray(y) / 2

            def inverse(self, z: Any) -> Any:
                return 2 * np.asarray(z)

        assert isinstance(self.make().in_unit_of(Halved(), 1.0), type(self.make()))

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("kind", ["defaults", "stock", "ensemble"])
    def test_it_works_on_any_model_with_and_without_pending_rows(self, kind: str) -> None:
        if not self.supports_any_model:
            pytest.skip("it works on exact Gaussian processes only")
        X = self.rows(4, seed=2)
        for X_pending in (None, self.rows(2, seed=3)):
            value = self.values(X, X_pending, n=8, kind=kind)
            assert value.shape == (4,)
            assert value.isfinite().all()
