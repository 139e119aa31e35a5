import pickle

import pytest
import torch
from botorch.models.model import ModelList

from al_loop.acquisitions._baseline_samples import ever_on_the_front
from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.parego import ParEGO
from al_loop.acquisitions.qlognehvi import QLogNEHVI
from al_loop.monitoring.metrics import non_dominated
from al_loop.surrogates.ensemble import DeepEnsemble
from al_loop.surrogates.gp import ExactGP

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 3, (40, 30), generator=GENERATOR).double()
NEW = torch.randint(0, 3, (60, 30), generator=GENERATOR).double()
WEIGHTS = torch.randn(30, 3, generator=GENERATOR).double()
NOISE = torch.randn(40, 3, generator=GENERATOR).double()
Y = X @ WEIGHTS + NOISE
MODELS = {m: ExactGP().fit(X, Y[:, :m]) for m in (2, 3)}


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


def test_one_objective_is_not_weighed():
    with pytest.raises(ValueError, match="several objectives"):
        QLogNEHVI().build(MODELS[2], AcquisitionContext(X, 0.0))
    assert isinstance(MODELS[2], ModelList)
