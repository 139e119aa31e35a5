"""Hypervolume improvement, against BoTorch and brute force."""

import numpy as np
import pytest
import torch
from botorch.acquisition.multi_objective import ExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.monte_carlo import qNoisyExpectedHypervolumeImprovement
from botorch.sampling.list_sampler import ListSampler
from botorch.sampling.normal import IIDNormalSampler
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import infer_reference_point

from al_loop.acquisitions._baseline_samples import ever_on_the_front
from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.qlognehvi import QLogNEHVI, inferred
from al_loop.monitoring.metrics import non_dominated, reference_point
from al_loop.surrogates.gp import ExactGP

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 3, (40, 30), generator=GENERATOR).double()
NEW = torch.randint(0, 3, (60, 30), generator=GENERATOR).double()
WEIGHTS = torch.randn(30, 3, generator=GENERATOR).double()
NOISE = torch.randn(40, 3, generator=GENERATOR).double()
Y = X @ WEIGHTS + NOISE
MODELS = {m: ExactGP().fit(X, Y[:, :m]) for m in (2, 3)}


def values(kind, m, n_samples=256, X_pending=None, point=None, **arguments):
    acquisition = kind(n_samples=n_samples, **arguments)
    return acquisition.build(MODELS[m], AcquisitionContext(X, Y=Y[:, :m], reference_point=point, X_pending=X_pending))(
        NEW[:, None]
    )


@pytest.mark.parametrize("n_pending", [0, 3])
def test_hypervolume_improvement_is_botorchs(n_pending):
    m = 2  # with three the few samples that gain much decide theirs
    pending = NEW[-n_pending:] if n_pending else None
    n = 2048
    # equal seeds, or two quasi-random sequences, would make the objectives depend on one another
    sampler = ListSampler(*[IIDNormalSampler(torch.Size([n]), seed=11 * j) for j in range(m)])
    theirs = qNoisyExpectedHypervolumeImprovement(
        MODELS[m],
        ref_point=inferred(Y[:, :m]),
        X_baseline=X[ever_on_the_front(MODELS[m], X, 0)],
        sampler=sampler,
        X_pending=pending,
        prune_baseline=False,
        cache_root=False,
    )
    ours = values(QLogNEHVI, m, X_pending=pending)
    best = ours.topk(12).indices
    with torch.no_grad():
        expected = theirs(NEW[best, None])
    assert np.corrcoef(expected, ours[best].exp())[0, 1] > 0.9
    assert float(ours[best].exp().sum() / expected.sum()) == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("m", [2, 3])
def test_without_noise_it_is_the_analytic_improvement(m):
    model = ExactGP(noise_ratio=1e-4, noise_spread=0.01).fit(X, (X @ WEIGHTS)[:, :m])
    exact_Y = torch.cat([one.posterior(X).mean for one in model.models], dim=1)
    point = inferred(exact_Y)
    analytic = ExpectedHypervolumeImprovement(model, point, FastNondominatedPartitioning(point, exact_Y))
    ours = QLogNEHVI(n_samples=32).build(model, AcquisitionContext(X, Y=exact_Y, reference_point=point))(NEW[:, None])
    with torch.no_grad():
        expected = torch.cat([analytic(row) for row in NEW[:, None].split(10)])
    large = expected > 0.02 * expected.max()
    assert int(large.sum()) > 5
    assert ours[large].exp().numpy() == pytest.approx(expected[large].detach().numpy(), rel=0.05)


def volume(rows, point):
    """The area that points dominate, by going down from the one that is best in the first objective."""
    total, top = 0.0, point[1]
    for x, y in rows[(rows > point).all(1)][np.argsort(-rows[(rows > point).all(1)][:, 0])]:
        if y > top:
            total, top = total + (x - point[0]) * (y - top), y
    return total


def test_it_is_what_brute_force_finds():
    point, n = inferred(Y[:, :2]).numpy(), 12_000
    generator = torch.Generator().manual_seed(5)
    ours = values(QLogNEHVI, 2)
    asked = torch.cat([X, NEW[ours.argmax()][None]])
    draws = []
    for one in MODELS[2].models:
        posterior = one.posterior(asked)
        root = torch.linalg.cholesky(posterior.distribution.covariance_matrix)
        draws.append((posterior.mean + root @ torch.randn(41, n, generator=generator).double()).detach())
    gains = [volume(rows, point) - volume(rows[:-1], point) for rows in torch.stack(draws, -1).transpose(0, 1).numpy()]
    assert abs(float(ours.max().exp()) - np.mean(gains)) < 3 * np.std(gains) / n**0.5


@pytest.mark.parametrize("above", [50, 1e4])
def test_hopeless_objects_are_still_told_apart(above):
    point = Y[:, :2].max(0).values + above
    found = values(QLogNEHVI, 2, point=point)
    assert found.isfinite().all()
    assert len(found.unique()) == 60
    assert found.max() < -100


def test_what_is_pending_lowers_what_is_like_it():
    free = values(QLogNEHVI, 2)
    best = int(free.argmax())
    held = values(QLogNEHVI, 2, X_pending=NEW[best : best + 1])
    assert held[best] < free[best] - 1
    assert (held <= free + 0.1).all()


def test_chunks_do_not_matter(monkeypatch):
    at_once = values(QLogNEHVI, 3)
    monkeypatch.setattr("al_loop.acquisitions.qlognehvi._CHUNK", 1)
    assert torch.allclose(values(QLogNEHVI, 3), at_once, rtol=1e-9)


def test_the_reference_point_is_botorchs_where_the_front_has_a_range():
    raw = Y[:, :2].numpy() * [1, -1]
    point = reference_point(raw, ["maximise", "minimise"])
    front_Y = Y[:, :2][torch.from_numpy(non_dominated(Y[:, :2], ["maximise"] * 2))]
    expected = infer_reference_point(front_Y)
    assert point == pytest.approx((float(expected[0]), -float(expected[1])))
    assert inferred(Y[:, :2]).tolist() == pytest.approx(expected.tolist())


def test_a_front_of_one_object_has_a_reference_point_below_it():
    assert reference_point([[2.0, 3.0]], ["maximise", "minimise"]) == pytest.approx((1.8, 3.3))
    assert (inferred(torch.tensor([[2.0, 3.0], [1.0, 1.0]]).double()) < torch.tensor([2.0, 3.0])).all()
