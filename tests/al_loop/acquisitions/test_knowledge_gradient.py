import pickle

import pytest
import torch

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.knowledge_gradient import KnowledgeGradient, log_gain
from al_loop.surrogates.base import SurrogateModel
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import Tanimoto

X = torch.randint(0, 4, (12, 30), generator=torch.Generator().manual_seed(0)).double()
Y = X[:, :3].sum(-1, keepdim=True)
Xs = torch.randint(0, 4, (6, 30), generator=torch.Generator().manual_seed(1)).double()
MORE = torch.randint(0, 4, (20, 30), generator=torch.Generator().manual_seed(2)).double()
BEST = float(Y.max())
MODEL = ExactGP(kernel="tanimoto").fit(X, Y)
Z = torch.linspace(-9, 9, 36_001, dtype=torch.float64)
DENSITY = (-0.5 * Z * Z).exp() / (2 * torch.pi) ** 0.5


def built(pending=None, **options):
    return KnowledgeGradient(**options).build(MODEL, AcquisitionContext(X, BEST, pending, MORE))


def test_it_is_the_gain_of_a_dense_gp_that_is_given_each_possible_answer():
    s, noise = MODEL.signal_variance, MODEL.noise_variance
    T = Tanimoto()
    values = []
    for x in Xs:
        data, others = torch.cat([X, x[None]]), torch.cat([X, MORE, x[None]])
        R = s * T(data, data) + noise * torch.eye(13)
        mean, variance = MODEL.mean_and_variance(x[None])
        answers = mean + (variance + noise).sqrt() * Z[::20]
        targets = torch.cat([Y.expand(-1, len(answers)), answers[None]]) - MODEL.mean
        means = MODEL.mean + s * T(others, data) @ torch.linalg.solve(R, targets)  # others x answers
        now = MODEL.mean_and_variance(others)[0].max()
        values.append(torch.trapezoid((means.max(0).values - now) * DENSITY[::20], Z[::20]))
    value = built()(Xs.unsqueeze(1))
    assert value.dtype == torch.float64
    assert torch.allclose(value.exp(), torch.stack(values), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_the_closed_form_is_the_integral(n):
    generator = torch.Generator().manual_seed(n)
    a, b = (torch.randn(50, n, generator=generator, dtype=torch.float64) for _ in range(2))
    b[:5] = 0.3  # parallel: nothing to gain
    a[5:10, -1], b[5:10, -1] = a[5:10, 0], b[5:10, 0]  # a line twice
    heights = (a[:, None] + b[:, None] * Z[:, None]).max(-1).values
    expected = torch.trapezoid((heights - a.max(-1).values[:, None]) * DENSITY, Z)
    assert torch.allclose(log_gain(a, b).exp(), expected, atol=1e-6)
    assert (log_gain(a, b)[:5] == -float("inf")).all()


def test_tiny_gains_are_kept_apart():
    a = torch.tensor([[0.0, -50.0], [0.0, -60.0]]).double()
    b = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).double()
    value = log_gain(a, b)
    assert value.isfinite().all()
    assert value[1] < value[0] < -1000


def test_pending_objects_lower_the_value_near_them():
    before, after = built()(Xs.unsqueeze(1)), built(Xs[:2])(Xs.unsqueeze(1))
    assert (before - after)[:2].min() > 0.3
    assert (before - after)[:2].min() > (before - after)[2:].max()
    assert torch.equal(built(Xs[:0])(Xs.unsqueeze(1)), before)


def test_a_smaller_set_is_the_most_promising_part():
    few = built(n_set=8)
    assert len(few.X_set) == 8
    mean, variance = MODEL.mean_and_variance(torch.cat([X, MORE]))
    least = (mean + 2 * variance.sqrt()).sort(descending=True).values[7]
    mean, variance = MODEL.mean_and_variance(few.X_set)
    assert (mean + 2 * variance.sqrt()).min().item() == pytest.approx(least.item())
    assert len(KnowledgeGradient().build(MODEL, AcquisitionContext(X, BEST)).X_set) == 12


def test_it_travels_to_other_processes():
    acquisition = built(Xs[:2])
    assert torch.equal(pickle.loads(pickle.dumps(acquisition))(Xs.unsqueeze(1)), acquisition(Xs.unsqueeze(1)))


def test_other_models_give_the_same_from_their_joint_posterior():
    class Plain(SurrogateModel):
        """The same GP, without what the fast way needs."""

        noise_variance = MODEL.noise_variance

        def posterior(self, X, **options):
            return MODEL.posterior(X, **options)

    plain = KnowledgeGradient().build(Plain(), AcquisitionContext(X, BEST, None, MORE))
    assert torch.allclose(plain(Xs.unsqueeze(1)), built()(Xs.unsqueeze(1)), atol=1e-4)
    pending = KnowledgeGradient().build(Plain(), AcquisitionContext(X, BEST, Xs[:2], MORE))
    assert torch.allclose(pending(Xs.unsqueeze(1)), built(Xs[:2])(Xs.unsqueeze(1)), atol=1e-4)
