"""The contract of surrogates, as tests: subclass SurrogateContract in your own test file and run pytest."""

from __future__ import annotations

import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from botorch.models.model import ModelList
from botorch.sampling.normal import SobolQMCNormalSampler
from torch import Tensor

from al_loop.surrogates.base import Surrogate, as_surrogate_model


def _fit(surrogate: Surrogate, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Any:
    """Fit a model as the campaign does, whatever BoTorch model the surrogate returns."""
    return as_surrogate_model(surrogate.fit(X, Y, Yvar))


class SurrogateContract:
    """Base class for the tests of one surrogate, as campaigns, rewards and acquisitions use it.

    Subclass it under a name that starts with ``Test``, and implement ``make``::

        class TestMySurrogate(SurrogateContract):
            def make(self) -> Surrogate:
                return MySurrogate()
    """

    #: number of features
    d: ClassVar[int] = 40

    def make(self) -> Surrogate:
        """Return a new surrogate, small enough to be fitted to 60 rows in a second."""
        raise NotImplementedError(f"{type(self).__name__} must implement make()")

    @pytest.fixture
    def surrogate(self) -> Surrogate:
        """Return the surrogate under test."""
        return self.make()

    def rows(self, n: int, seed: int = 0) -> Tensor:
        """Return n x d feature rows: by default counts, without empty rows."""
        X = np.random.default_rng(seed).poisson(0.4, (n, self.d)).astype(float)
        X[:, 0] += 1
        return torch.from_numpy(X)

    def strange_rows(self, n: int) -> Tensor:
        """Return rows that are dissimilar to all of ``rows``."""
        return torch.roll(3 * self.rows(n, seed=6), self.d // 2, dims=1)

    def truth(self, X: Tensor) -> Tensor:
        """Return a linear function of the rows, far from standardised: n x d -> n x 1."""
        weights = torch.from_numpy(np.random.default_rng(99).normal(size=self.d))
        return 100 + 20 * (X @ weights).unsqueeze(-1)

    def fitted(self, surrogate: Surrogate, n: int = 60) -> tuple[Any, Tensor, Tensor]:
        """Return a model, and the data that it was fitted to."""
        X = self.rows(n)
        Y = self.truth(X)
        return _fit(surrogate, X, Y), X, Y

    def test_rescaling_multiplies_the_deviations_alone(self, surrogate: Surrogate) -> None:
        model, _, _ = self.fitted(surrogate)
        asked = self.rows(9, seed=3)
        mean, variance = model.mean_and_variance(asked)
        wider_mean, wider = model.rescaled(2.0).mean_and_variance(asked)
        assert torch.allclose(wider_mean, mean)
        assert torch.allclose(wider, 4 * variance, rtol=1e-3)
        assert model.rescaled(2.0).noise_variance == pytest.approx(4 * model.noise_variance)
        assert torch.equal(model.mean_and_variance(asked)[1], variance)

    def test_stated_noise_is_part_of_an_answer(self, surrogate: Surrogate) -> None:
        X = self.rows(60)
        Y = self.truth(X)
        stated = 0.3 * Y.std() ** 2
        Y = Y + stated.sqrt() * torch.from_numpy(np.random.default_rng(5).normal(size=(60, 1)))
        model: Any = _fit(surrogate, X, Y, torch.full_like(Y, float(stated)))
        assert model.noise_variance >= 0.99 * float(stated)
        assert model.noise_variance < 4 * float(stated)

    @pytest.mark.parametrize("n", [1, 2, 3, 5])
    def test_few_measurements_are_enough(self, surrogate: Surrogate, n: int) -> None:
        model, X, Y = self.fitted(surrogate, n)
        mean, variance = model.mean_and_variance(torch.cat([X, self.rows(4, seed=1)]))
        assert mean.isfinite().all()
        assert (variance > 0).all()
        assert variance.isfinite().all()
        reach = 10 * (float(Y.std()) if n > 1 else 1.0)
        assert ((mean - Y.mean()).abs() < reach).all()

    def test_equal_targets_are_predicted(self, surrogate: Surrogate) -> None:
        X = self.rows(20)
        mean, variance = _fit(surrogate, X, torch.full((20, 1), -7.3, dtype=torch.float64)).mean_and_variance(X)
        assert torch.allclose(mean, torch.tensor(-7.3).double(), atol=0.5)
        assert (variance > 0).all()

    def test_rows_may_be_measured_several_times(self, surrogate: Surrogate) -> None:
        X = self.rows(10)
        Y = self.truth(X)
        model = _fit(surrogate, X.repeat(3, 1), torch.cat([Y, Y + 1, Y - 1]))
        mean, variance = model.mean_and_variance(X.repeat(2, 1))
        assert torch.allclose(mean[:10], mean[10:])
        assert (variance > 0).all()
        joint = model.posterior(X[:1].repeat(3, 1).unsqueeze(0))
        assert torch.allclose(joint.mean.flatten(), mean[:1].expand(3))

    def test_the_same_data_give_the_same_model(self, surrogate: Surrogate) -> None:
        torch.manual_seed(1)
        model, _, _ = self.fitted(surrogate)
        torch.manual_seed(2)
        again, _, _ = self.fitted(surrogate)
        Xs = self.rows(9, seed=3)
        for ours, theirs in zip(model.mean_and_variance(Xs), again.mean_and_variance(Xs), strict=True):
            assert torch.equal(ours, theirs)

    def test_fitting_leaves_the_global_generator_alone(self, surrogate: Surrogate) -> None:
        torch.manual_seed(1)
        expected = torch.rand(3)
        torch.manual_seed(1)
        self.fitted(surrogate)
        assert torch.equal(torch.rand(3), expected)

    def test_posteriors_have_the_shapes_of_their_batches(self, surrogate: Surrogate) -> None:
        model, _, _ = self.fitted(surrogate)
        Xs = self.rows(12, seed=4)
        mean, variance = model.mean_and_variance(Xs)
        for shape in ((12, 1), (4, 3), (12,), (2, 3, 2)):
            posterior = model.posterior(Xs.reshape(*shape, -1))
            assert posterior.mean.shape == posterior.variance.shape == (*shape, 1)
            assert torch.allclose(posterior.mean.flatten(), mean, rtol=1e-5)
            assert torch.allclose(posterior.variance.flatten(), variance, rtol=1e-3, atol=1e-6 * float(variance.max()))
        assert model.posterior(Xs[:0].unsqueeze(1)).mean.shape == (0, 1, 1)
        assert model.mean_and_variance(Xs[:0])[0].shape == (0,)

    def test_samples_have_the_moments_of_the_posterior(self, surrogate: Surrogate) -> None:
        model, _, _ = self.fitted(surrogate)
        X = self.rows(6, seed=5).reshape(3, 2, -1)
        posterior = model.posterior(X)
        sampler = SobolQMCNormalSampler(torch.Size([4096]), seed=1)
        samples = sampler(posterior)
        assert samples.shape == (4096, 3, 2, 1)
        deviation = posterior.variance.sqrt()
        assert ((samples.mean(0) - posterior.mean).abs() < 0.05 * deviation).all()
        assert torch.allclose(samples.std(0), deviation, rtol=0.1)

    def test_noise_is_added_where_it_is_asked_for(self, surrogate: Surrogate) -> None:
        model, X, _ = self.fitted(surrogate)
        X = X[:5].unsqueeze(1)
        added = model.posterior(X, observation_noise=True).variance - model.posterior(X).variance
        assert (added > 0).all()
        assert torch.allclose(added, torch.tensor(model.noise_variance).double().expand_as(added))

    def test_what_is_like_nothing_measured_is_less_certain(self, surrogate: Surrogate) -> None:
        model, X, _ = self.fitted(surrogate)
        near = model.mean_and_variance(X)[1].median()
        assert model.mean_and_variance(self.strange_rows(60))[1].median() > near

    def test_what_was_not_shown_is_predicted(self, surrogate: Surrogate) -> None:
        X = self.rows(400)
        Y = self.truth(X)
        mean, variance = _fit(surrogate, X[:300], Y[:300]).mean_and_variance(X[300:])
        truth = Y[300:].squeeze(-1)
        assert np.corrcoef(mean, truth)[0, 1] > 0.7
        assert ((mean - truth).abs() < 3 * (variance.sqrt() + 0.1 * truth.std())).double().mean() > 0.8

    def test_noisier_measurements_are_believed_less(self, surrogate: Surrogate) -> None:
        X = self.rows(150)
        Y = self.truth(X)
        is_wrong = torch.arange(150) % 3 == 0
        wrong = torch.where(
            is_wrong[:, None], Y + 200 * torch.from_numpy(np.random.default_rng(1).normal(size=(150, 1))), Y
        )
        Yvar = torch.where(is_wrong[:, None], 200.0**2, 1e-4).double()
        Xs = self.rows(100, seed=7)

        def error(model: Any) -> float:
            return float((model.mean_and_variance(Xs)[0] - self.truth(Xs).squeeze(-1)).square().mean())

        assert error(_fit(surrogate, X, wrong, Yvar)) < error(_fit(surrogate, X, wrong))

    def test_several_targets_are_several_models(self, surrogate: Surrogate) -> None:
        X = self.rows(20)
        Y = self.truth(X)
        both = _fit(surrogate, X, torch.cat([Y, -2 * Y], dim=1))
        assert isinstance(both, ModelList)
        assert both.posterior(X[:4].unsqueeze(1)).mean.shape == (4, 1, 2)
        alone = _fit(surrogate, X, Y)
        first = both.posterior(X[:4].unsqueeze(1)).mean[..., 0]
        # hyperparameters that are optimised together end within the optimiser's tolerance, which depends on the CPU
        assert torch.allclose(first, alone.posterior(X[:4].unsqueeze(1)).mean[..., 0], rtol=2e-4)
        names = set(surrogate.describe(alone))
        assert {name.rpartition("_")[0] for name in surrogate.describe(both)} == names

    def test_a_model_survives_pickling(self, surrogate: Surrogate) -> None:
        model, X, _ = self.fitted(surrogate)
        again = pickle.loads(pickle.dumps(model))
        for ours, theirs in zip(again.mean_and_variance(X), model.mean_and_variance(X), strict=True):
            assert torch.equal(ours, theirs)

    def test_the_description_is_of_finite_numbers(self, surrogate: Surrogate) -> None:
        model, _, _ = self.fitted(surrogate)
        described = surrogate.describe(model)
        assert described
        assert all(np.isfinite(value) for value in described.values())

    def test_pending_rows_keep_the_mean_and_lower_the_variance(self, surrogate: Surrogate) -> None:
        model, _, _ = self.fitted(surrogate)
        Xs, X_pending = self.rows(20, seed=8), self.rows(3, seed=9)
        believed = model.condition_on_pending(X_pending)
        mean, variance = model.mean_and_variance(Xs)
        new_mean, new_variance = believed.mean_and_variance(Xs)
        assert torch.allclose(new_mean, mean, rtol=1e-6)
        assert (new_variance <= variance * (1 + 1e-6)).all()
        assert (believed.mean_and_variance(X_pending)[1] < 0.999 * model.mean_and_variance(X_pending)[1]).all()

    def test_the_view_with_pending_rows_is_the_joint_posterior(self, surrogate: Surrogate) -> None:
        model, _, _ = self.fitted(surrogate)
        Xs, X_pending = self.rows(8, seed=8), self.rows(3, seed=9)
        view = model.jointly_with(X_pending)
        for q in (1, 2):
            X = Xs.reshape(-1, q, self.d)
            joint, copied = view.posterior(X), model.posterior(torch.cat([X, X_pending.expand(len(X), -1, -1)], dim=1))
            assert torch.allclose(joint.mean, copied.mean, rtol=1e-6)
            ours, theirs = joint.distribution.covariance_matrix, copied.distribution.covariance_matrix
            assert torch.allclose(ours, theirs, atol=1e-6 * float(theirs.max()))

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(
        "kind", ["ucb", "log_ei", "qlogei", "qlognei", "pi", "thompson", "knowledge_gradient", "max_value_entropy"]
    )
    def test_acquisitions_work_on_it_with_and_without_pending_rows(self, surrogate: Surrogate, kind: str) -> None:
        from al_loop.acquisitions.base import AcquisitionContext
        from al_loop.config.plugins import find

        model, X, Y = self.fitted(surrogate)
        Xs = self.rows(30, seed=10)
        for X_pending in (None, Xs[:2]):
            with torch.no_grad():
                context = AcquisitionContext(X, float(Y.max()), X_pending, Xs)
                values = find("acquisition", kind)().build(model, context)(Xs.unsqueeze(1))
            assert values.shape == (30,)
            assert values.isfinite().all()
            assert values.std() > 0

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("kind", ["qlognehvi", "parego"])
    def test_multi_objective_acquisitions_work_on_it(self, surrogate: Surrogate, kind: str) -> None:
        from al_loop.acquisitions.base import AcquisitionContext
        from al_loop.config.plugins import find

        X, Xs = self.rows(20), self.rows(6, seed=10)
        Y = torch.cat([self.truth(X), X[:, :1]], dim=1)
        model = _fit(surrogate, X, Y)
        for X_pending in (None, Xs[:2]):
            with torch.no_grad():
                context = AcquisitionContext(X, X_pending=X_pending, Y=Y)
                values = find("acquisition", kind)(n_samples=8).build(model, context)(Xs.unsqueeze(1))
            assert values.shape == (6,)
            assert values.isfinite().all()

    @pytest.mark.parametrize(
        ("X", "Y", "words"),
        [
            (torch.ones(2, 3), torch.ones(3, 1), "n x d"),
            (torch.ones(2, 3), torch.ones(2), "n x m"),
            (torch.ones(0, 3), torch.ones(0, 1), "n >= 1"),
            (torch.ones(2, 3), torch.tensor([[1.0], [float("nan")]]), "finite"),
        ],
    )
    def test_unusable_data_are_refused(self, surrogate: Surrogate, X: Tensor, Y: Tensor, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            _fit(surrogate, X, Y)

    def test_negative_noise_is_refused(self, surrogate: Surrogate) -> None:
        X = self.rows(3)
        Y = self.truth(X)
        with pytest.raises(ValueError, match="Yvar"):
            _fit(surrogate, X, Y, -torch.ones_like(Y))
