"""Random scalarisations, against BoTorch."""

import pytest
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.sampling.list_sampler import ListSampler
from botorch.sampling.normal import IIDNormalSampler
from botorch.utils.multi_objective.scalarization import get_chebyshev_scalarization

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.parego import ParEGO
from al_loop.surrogates.gp import ExactGP

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 3, (40, 30), generator=GENERATOR).double()
NEW = torch.randint(0, 3, (60, 30), generator=GENERATOR).double()
WEIGHTS = torch.randn(30, 3, generator=GENERATOR).double()
NOISE = torch.randn(40, 3, generator=GENERATOR).double()
Y = X @ WEIGHTS + NOISE
MODELS = {m: ExactGP().fit(X, Y[:, :m]) for m in (2, 3)}


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
