"""Hypervolume improvement and random scalarisations, against BoTorch and brute force."""

import math
import pickle

import numpy as np
import pytest
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.multi_objective import ExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.monte_carlo import qNoisyExpectedHypervolumeImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.models.model import ModelList
from botorch.sampling.list_sampler import ListSampler
from botorch.sampling.normal import IIDNormalSampler
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import Hypervolume, infer_reference_point
from botorch.utils.multi_objective.scalarization import get_chebyshev_scalarization

from al_loop.acquisitions._baseline_samples import ever_on_the_front
from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.parego import ParEGO
from al_loop.acquisitions.qlognehvi import QLogNEHVI, inferred
from al_loop.monitoring.metrics import hypervolume, non_dominated, reference_point
from al_loop.surrogates.ensemble import DeepEnsemble
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


@pytest.mark.parametrize("kind", [QLogNEHVI, ParEGO])
def test_what_is_remembered_is_of_the_same_belief(kind):
    acquisition = kind(n_samples=16)
    for model, rows in ((MODELS[2], X), (MODELS[2], X[:20]), (ExactGP().fit(X[:20], Y[:20, 1:]), X[:20])):
        again = acquisition.build(model, AcquisitionContext(rows, Y=Y[: len(rows), :2]))
        fresh = kind(n_samples=16).build(model, AcquisitionContext(rows, Y=Y[: len(rows), :2]))
        assert torch.equal(again(NEW[:, None]), fresh(NEW[:, None]))
    assert pickle.loads(pickle.dumps(acquisition)).n_samples == 16


def test_only_what_can_be_on_the_front_is_kept():
    kept = ever_on_the_front(MODELS[2], X, 0)
    best = torch.from_numpy(
        non_dominated(torch.cat([m.posterior(X).mean for m in MODELS[2].models], 1).detach(), ["maximise"] * 2)
    )
    assert kept[best].all()
    assert int(kept.sum()) < len(X)


@pytest.mark.parametrize("kind", [QLogNEHVI, ParEGO])
def test_models_that_are_no_gaussian_processes_will_do(kind):
    model = DeepEnsemble(n_members=3, hidden=8, max_epochs=3).fit(X, Y[:, :2])
    found = kind(n_samples=16).build(model, AcquisitionContext(X, Y=Y[:, :2]))(NEW[:4, None])
    assert found.shape == (4,)
    assert found.isfinite().all()


@pytest.mark.parametrize("kind", [QLogNEHVI, ParEGO])
def test_values_are_the_same_again_and_after_pickling(kind):
    acquisition = kind().build(MODELS[2], AcquisitionContext(X, Y=Y[:, :2], X_pending=NEW[:2]))
    copy = pickle.loads(pickle.dumps(acquisition))
    assert torch.equal(copy(NEW[:, None]), acquisition(NEW[:, None]))


def test_the_scalarisation_is_botorchs_augmented_chebyshev():
    scalarisation = ParEGO().build(MODELS[3], AcquisitionContext(X, Y=Y)).scalarisation
    theirs = get_chebyshev_scalarization(scalarisation.weights, Y, alpha=0.05)
    assert torch.allclose(scalarisation(Y), theirs(Y), atol=1e-12)


@pytest.mark.parametrize(("m", "n_pending"), [(2, 0), (2, 3), (3, 3)])
def test_parego_is_botorchs_noisy_improvement_of_the_scalarisation(m, n_pending):
    pending = NEW[-n_pending:] if n_pending else None
    acquisition = ParEGO(n_samples=512).build(MODELS[m], AcquisitionContext(X[:8], Y=Y[:8, :m], X_pending=pending))
    weights = acquisition.scalarisation.weights
    theirs = qLogNoisyExpectedImprovement(
        MODELS[m],
        X[:8],
        sampler=ListSampler(*[IIDNormalSampler(torch.Size([8192]), seed=7 * j) for j in range(m)]),
        objective=GenericMCObjective(get_chebyshev_scalarization(weights, Y[:8, :m], alpha=0.05)),
        X_pending=pending,
        prune_baseline=False,
        cache_root=False,
    )
    found = acquisition(NEW[:, None])
    best = found.topk(5).indices
    with torch.no_grad():
        expected = theirs(NEW[best, None])
    assert found[best].exp().numpy() == pytest.approx(
        expected.exp().numpy(), rel=0.2, abs=0.05 * float(expected.exp().max())
    )


def test_each_pick_is_weighed_anew():
    one = ParEGO().build(MODELS[2], AcquisitionContext(X, Y=Y[:, :2]))
    other = ParEGO().build(MODELS[2], AcquisitionContext(X, Y=Y[:, :2], X_pending=NEW[:1]))
    assert not torch.allclose(one.scalarisation.weights, other.scalarisation.weights)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_hypervolume_and_front_are_those_of_brute_force(m):
    rng = np.random.default_rng(m)
    points = rng.uniform(size=(12, m))
    goals = ["maximise" if j % 2 else "minimise" for j in range(m)]
    raw = np.where([goal == "maximise" for goal in goals], points, 1 - points)
    reference = [0.0 if goal == "maximise" else 1.0 for goal in goals]
    darts = rng.uniform(size=(200_000, m))
    hit = np.zeros(len(darts), dtype=bool)
    for point in points:
        hit |= (darts <= point).all(1)
    assert hypervolume(raw, goals, reference) == pytest.approx(hit.mean(), abs=0.005)
    exact = Hypervolume(torch.zeros(m).double()).compute(torch.from_numpy(points[non_dominated(raw, goals)]))
    assert hypervolume(raw, goals, reference) == pytest.approx(exact)
    dominated = [any((q >= p).all() and (q > p).any() for q in points) for p in points]
    assert non_dominated(raw, goals).tolist() == [not d for d in dominated]


def test_what_is_not_finite_or_below_the_reference_has_no_volume():
    goals = ["maximise", "maximise"]
    assert hypervolume([[math.nan, 1.0], [-1.0, 5.0]], goals, (0.0, 0.0)) == 0.0
    assert hypervolume([[2.0, 3.0], [2.0, 3.0], [1.0, 1.0]], goals, (0.0, 0.0)) == 6.0
    assert non_dominated([[math.nan, 1.0], [0.0, 0.0]], goals).tolist() == [False, True]


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


def test_one_objective_is_not_weighed():
    with pytest.raises(ValueError, match="several objectives"):
        QLogNEHVI().build(MODELS[2], AcquisitionContext(X, 0.0))
    assert isinstance(MODELS[2], ModelList)
