import pickle

import pytest
import torch
from botorch.models import SingleTaskGP

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.thompson import Thompson
from al_loop.errors import ConfigError
from al_loop.surrogates.base import SurrogateModel, as_surrogate_model
from al_loop.surrogates.gp import ExactGP
from tests.support.models import SumEnsemble

GENERATOR = torch.Generator().manual_seed(0)
COUNTS = torch.randint(0, 4, (12, 30), generator=GENERATOR).double()
WORDS = torch.eye(3).double()[torch.randint(0, 3, (12, 10), generator=GENERATOR)].flatten(1)
Y = COUNTS[:, :3].sum(-1, keepdim=True)
NEW = {
    "tanimoto": torch.randint(0, 4, (5, 30), generator=GENERATOR).double(),
    "hamming": torch.nn.functional.one_hot(torch.randint(0, 3, (5, 10), generator=GENERATOR), 3)
    .reshape(5, 30)
    .double(),
}
OLD = {"tanimoto": COUNTS, "hamming": WORDS}
MODELS = {name: ExactGP(kernel=name).fit(OLD[name], Y) for name in OLD}


def test_a_round_has_one_function_for_all_objects_calls_and_processes():
    X = NEW["tanimoto"].unsqueeze(1)
    acquisition = Thompson().build(MODELS["tanimoto"], AcquisitionContext(COUNTS, 0.0, NEW["tanimoto"][:2]))
    value = acquisition(X)
    assert value.dtype == torch.float64
    assert torch.allclose(acquisition(X[2:]), value[2:], atol=1e-5)
    assert torch.allclose(acquisition(X), value, atol=0)
    travelled = pickle.dumps(acquisition)
    assert len(travelled) < 100_000  # no features in it
    assert torch.allclose(pickle.loads(travelled)(X), value, atol=1e-9)
    again = Thompson().build(MODELS["tanimoto"], AcquisitionContext(COUNTS, 0.0, NEW["tanimoto"][:2]))
    assert torch.allclose(again(X), value, atol=1e-9)


def test_other_rounds_and_seeds_have_other_functions():
    X = NEW["tanimoto"].unsqueeze(1)
    model = MODELS["tanimoto"]
    first = Thompson().build(model, AcquisitionContext(COUNTS, 0.0))(X)
    assert not torch.allclose(Thompson().build(model, AcquisitionContext(COUNTS[:-1], 0.0))(X), first, atol=1e-3)
    assert not torch.allclose(Thompson(seed=1).build(model, AcquisitionContext(COUNTS, 0.0))(X), first, atol=1e-3)


def test_pending_objects_are_seldom_the_best_of_a_draw():
    model, X = MODELS["tanimoto"], NEW["tanimoto"]
    best = [
        Thompson(n_features=256, seed=s).build(model, AcquisitionContext(COUNTS, 0.0))(X.unsqueeze(1))
        for s in range(300)
    ]
    left = [
        Thompson(n_features=256, seed=s).build(model, AcquisitionContext(COUNTS, 0.0, X[:1]))(X.unsqueeze(1))
        for s in range(300)
    ]
    deviation = model.mean_and_variance(X[:1])[1].sqrt()
    assert torch.stack(left)[:, 0].std() < 0.6 * torch.stack(best)[:, 0].std()
    assert torch.stack(best)[:, 0].std().item() == pytest.approx(deviation.item(), rel=0.15)
    none = Thompson().build(model, AcquisitionContext(COUNTS, 0.0))(X.unsqueeze(1))
    assert torch.equal(Thompson().build(model, AcquisitionContext(COUNTS, 0.0, X[:0]))(X.unsqueeze(1)), none)


def test_a_draw_agrees_with_what_was_measured_without_noise():
    model = ExactGP(kernel="tanimoto", noise_ratio=1e-4, noise_spread=0.01).fit(COUNTS, Y)
    value = Thompson().build(model, AcquisitionContext(COUNTS, 0.0))(COUNTS.unsqueeze(1))
    assert torch.allclose(value, Y.squeeze(-1), atol=5 * model.noise_variance**0.5)


def test_an_ensemble_gives_one_of_its_members():
    X = NEW["tanimoto"].unsqueeze(1)
    ratios = []
    for seed in range(60):
        value = Thompson(seed=seed).build(as_surrogate_model(SumEnsemble()), AcquisitionContext(COUNTS, 0.0))(X)
        ratio = value / X.sum((-1, -2))
        assert torch.allclose(ratio, ratio[0])
        ratios.append(round(float(ratio[0])))
    assert {k: ratios.count(k) > 8 for k in (1, 2, 3)} == {1: True, 2: True, 3: True}


@pytest.mark.filterwarnings("ignore")
def test_a_botorch_gp_gives_a_function_near_its_data():
    stock = SingleTaskGP(COUNTS[:, :3] / 3, Y)
    acquisition = Thompson().build(as_surrogate_model(stock), AcquisitionContext(COUNTS[:, :3] / 3, 0.0))
    X = COUNTS[:, None, :3] / 3
    assert torch.equal(acquisition(X), acquisition(X))
    assert (acquisition(X) - Y.squeeze(-1)).abs().max() < 1.5
    assert torch.allclose(pickle.loads(pickle.dumps(acquisition))(X), acquisition(X))


class Unknown(SurrogateModel):
    """A model that does not support drawing functions."""

    def posterior(self, X, **options):
        raise NotImplementedError


def test_what_cannot_be_drawn_from_is_refused_with_the_remedy():
    with pytest.raises(ConfigError, match=r"Unknown does not support .*; use surrogate gp"):
        Thompson().build(Unknown(), AcquisitionContext(COUNTS, 0.0))
