"""Fitting by itself: units, noise, bounds, costs, what samplers are rewarded for."""

import math
import pickle

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP

from al_loop.acquisitions.base import score
from al_loop.acquisitions.knowledge_gradient import KnowledgeGradient
from al_loop.acquisitions.log_ei import LogEI
from al_loop.acquisitions.multi_fidelity_ei import MultiFidelityEI
from al_loop.acquisitions.pi import PI
from al_loop.acquisitions.qlognehvi import QLogNEHVI
from al_loop.config import plugins as parts
from al_loop.errors import CampaignError
from al_loop.features.one_hot import OneHot
from al_loop.modelling.constraints import Constraints
from al_loop.modelling.objectives import CampaignObjectives
from al_loop.modelling.reward import ObjectSpace
from al_loop.modelling.transforms import TRANSFORMS
from al_loop.surrogates.base import Surrogate
from al_loop.surrogates.ensemble import DeepEnsemble
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.multi_fidelity import MultiFidelityGP
from tests.support.fitting import (
    KNOWN,
    LEVELS,
    NEW,
    ONE,
    REFERENCE,
    TWO,
    bounded,
    fitter,
    observation,
    observed,
    pending,
    rows,
    values,
)


@pytest.mark.parametrize("surrogate", [ExactGP("hamming"), ExactGP("rbf"), DeepEnsemble(n_members=2)])
def test_a_model_that_was_fitted_on_another_device_comes_back_whole(surrogate):
    """``cpu:0`` goes the way of any other device."""
    here = fitter(surrogate=surrogate).fit(observed(), [], [1.0])
    there = fitter(surrogate=surrogate).on("cpu:0").fit(observed(), [], [1.0])
    for ours, theirs in zip(here.predict(rows(NEW)), there.predict(rows(NEW)), strict=True):
        assert np.array_equal(ours, theirs)
    assert torch.equal(here.scores(rows(NEW)), there.scores(rows(NEW)))


def test_a_factor_widens_any_model_and_is_recorded():
    plain, wide = (fitter().fit(observed(), [], [factor]) for factor in (1.0, 2.0))
    assert wide.predict(rows(NEW))[1] == pytest.approx(2 * plain.predict(rows(NEW))[1])
    assert wide.info["factors"] == [2.0]


def test_a_surrogate_may_return_any_botorch_model():
    class Stock(Surrogate):
        def fit(self, X, Y, Yvar=None):
            return SingleTaskGP(X, Y, Yvar)  # with the hyperparameters that it begins with

    waiting = [pending(NEW[0])]
    plain, wide = (fitter(surrogate=Stock()).fit(observed(), waiting, [factor]) for factor in (1.0, 2.0))
    assert wide.predict(rows(NEW))[1] == pytest.approx(2 * plain.predict(rows(NEW))[1], rel=1e-6)
    assert wide.info["factors"] == [2.0]
    assert plain.draw(rows(NEW), 3, 0).shape == (3, 16)
    assert plain.rescore(rows(NEW)[1:2], rows(NEW)).isfinite().all()


def test_what_is_pending_is_worth_less():
    free = fitter(acquisition=LogEI()).fit(observed(), [], [1.0])
    best = int(free.scores(rows(NEW)).argmax())
    conditioned = fitter(acquisition=LogEI()).fit(observed(), [pending(NEW[best])], [1.0])
    assert conditioned.scores(rows(NEW))[best] < free.scores(rows(NEW))[best]
    again = free.rescore(rows(NEW)[[best]], rows(NEW))
    assert torch.allclose(again, conditioned.scores(rows(NEW)), atol=1e-6)
    assert conditioned.pending == [NEW[best]]


def test_noise_that_is_not_stated_counts_as_the_usual():
    observations = [observation(w, values(w), noise=(0.1, 2.0, 0.1) if i % 2 else None) for i, w in enumerate(KNOWN)]
    every = [observation(w, values(w), noise=(0.1, 2.0, 0.1)) for w in KNOWN]
    one, other = (fitter().fit(a, [], [1.0]).predict(rows(NEW))[0] for a in (observations, every))
    assert one == pytest.approx(other)


def test_failures_teach_nothing_of_the_value():
    failed = [observation(word, failure="permanent") for word in NEW]
    with_failures = fitter().fit([*observed(), *failed], [], [1.0])
    assert with_failures.predict(rows(NEW))[0] == pytest.approx(
        fitter().fit(observed(), [], [1.0]).predict(rows(NEW))[0]
    )


def test_what_breaks_a_bound_does_not_set_the_best():
    free = fitter(acquisition=LogEI()).fit(observed(), [], [1.0])
    bounded_models = fitter(bounded((2, None, 1.0)), LogEI()).fit(observed(), [], [1.0])
    within = [values(w)[1] for w in KNOWN if values(w)[2] <= 1]
    best = [float(b.transforms[0].inverse(b.acquisition.best_f.numpy())) for b in (bounded_models, free)]
    assert best == pytest.approx([-min(within), -min(values(w)[1] for w in KNOWN)])
    many_u = [i for i, w in enumerate(NEW) if w.count("U") >= 3]
    few_u = [i for i, w in enumerate(NEW) if w.count("U") == 0]
    worth = bounded_models.side_terms.log_weight(rows(NEW))
    assert worth[many_u].max() < worth[few_u].min()


def test_the_knowledge_gradient_is_over_what_keeps_the_bounds():
    observations = [observation(w, (0.0, values(w)[1], float("C" in w))) for w in KNOWN]
    among = fitter(bounded((2, None, 0.0)), KnowledgeGradient()).fit(observations, [], [1.0]).acquisition.X_set
    measured = rows([a.object for a in observations if "C" in a.object])
    assert 2 < len(among) < len(KNOWN) + len(REFERENCE) - len(measured)
    assert not (among[:, None] == measured).all(dim=-1).any()


@pytest.mark.parametrize("kind", ["qlognei", "max_value_entropy"])
def test_nothing_is_compared_with_what_breaks_a_bound(kind):
    """Words with C are the best of all, but for the bound; they say nothing of how good the others are."""
    acquisition = parts.find("acquisition", kind)()
    observations = [observation(w, (0.0, -10.0 * w.count("A") - 500.0 * ("C" in w), float("C" in w))) for w in KNOWN]
    among = [a for a in observations if "C" not in a.object]
    assert 2 < len(among) < len(observations) - 2
    bounded_models = fitter(bounded((2, None, 0.0)), acquisition).fit(observations, [], [1.0])
    fine = torch.tensor([i for i, w in enumerate(NEW) if "C" not in w])
    scores = score(bounded_models.acquisition, rows(NEW)[fine])
    assert float(scores.max() - scores.min()) > 0.1
    # with the others it would be next to impossible to be better
    alone = fitter(ONE, acquisition).fit(observations, [], [1.0])
    assert float(scores.max()) > float(score(alone.acquisition, rows(NEW)[fine]).max()) + 1.0


@pytest.mark.parametrize("unit", [1e-11, 1.0, 1e9])
@pytest.mark.parametrize("kind", ["ucb", "log_ei", "pi", "qlogei", "qlognei", "thompson", "max_value_entropy"])
def test_the_oracles_unit_changes_nothing(kind, unit):
    def scores(unit):
        observations = [observation(w, tuple(unit * v for v in values(w))) for w in KNOWN]
        in_unit = fitter(bounded((2, None, 1.5 * unit)), parts.find("acquisition", kind)())
        return in_unit.fit(observations, [], [1.0]).reward(NEW)

    assert torch.allclose(scores(unit), scores(1.0), atol=1e-3)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_margin_is_in_the_oracles_unit(transform):
    models = fitter(acquisition=PI(margin=4.0), transform=transform).fit(observed(), [], [1.0])
    fitted = models.transforms[0]
    asked_for = fitted.inverse(models.acquisition.best_f.numpy())
    assert float(asked_for) == pytest.approx(4.0 - min(values(w)[1] for w in KNOWN))
    plain = fitter(acquisition=PI(), transform=transform).fit(observed(), [], [1.0])
    assert float(fitted.inverse(plain.acquisition.best_f.numpy())) == pytest.approx(-min(values(w)[1] for w in KNOWN))


def test_a_constant_objective_leaves_the_others_to_decide():
    observations = [observation(w, (7.0, values(w)[1])) for w in KNOWN]
    both = fitter(CampaignObjectives((0, 1), ("flat", "energy"), ("maximise", "minimise")), QLogNEHVI())
    mean, variance = both.fit(observations, [], [1.0, 1.0]).mean_and_variance(rows(NEW))
    alone, _ = fitter().fit(observations, [], [1.0]).mean_and_variance(rows(NEW))
    assert np.corrcoef(mean, alone)[0, 1] > 0.99
    assert float(variance.max()) < 10


def test_what_a_fidelity_costs_is_no_matter_of_the_object():
    calls = [{"cost": 1.0, "fidelity": "rough"}, {"cost": 50.0, "fidelity": "exact"}]
    observations = [observation(w, values(w), **calls[i % 2]) for i, w in enumerate(KNOWN)]
    cheap_and_dear = fitter(ONE, MultiFidelityEI(), MultiFidelityGP("hamming"), fidelities=LEVELS, cost=1.0)
    assert cheap_and_dear.fit(observations, [], [1.0]).side_terms.log_cost_factor(rows(NEW)).abs().max() < 1e-6


@pytest.mark.parametrize("has_preferences", [True, False])
def test_several_objectives_pay_the_sampler_for_each_or_for_the_acquisition(has_preferences):
    models = fitter(TWO, QLogNEHVI(), preferences=has_preferences).fit(observed(), [], [1.0, 1.0])
    paid = models.reward(NEW)
    assert paid.shape == ((16, 2) if has_preferences else (16,))
    if has_preferences:
        assert np.corrcoef(paid[:, 0], [w.count("G") for w in NEW])[0, 1] > 0.5
        assert np.corrcoef(paid[:, 1], [values(w)[1] for w in NEW])[0, 1] < -0.5
    assert models.scores(rows(NEW)).shape == (16,)
    assert models.predict(rows(NEW))[0].shape == (16, 2)


def test_the_reward_travels_to_other_processes_with_all_that_it_knows():
    objectives = CampaignObjectives((0, 1), ("count", "energy"), ("maximise", "minimise"), bounds=((2, None, 2.0),))
    observations = [*observed(cost=2.0), *(observation(w, failure="permanent", cost=9.0) for w in REFERENCE)]
    models = fitter(objectives, QLogNEHVI(), feasibility=1.0, cost=1.0).fit(observations, [], [1.0, 1.0])
    copy = pickle.loads(pickle.dumps(models.reward))
    assert torch.equal(copy(NEW), models.reward(NEW))
    assert torch.equal(copy.uncertainty(NEW), models.reward.uncertainty(NEW))


def test_an_ensemble_is_recalibrated_too():
    surrogate = DeepEnsemble(n_members=3, hidden=8, max_epochs=2, encoder="mlp")
    plain, wide = (fitter(surrogate=surrogate).fit(observed(), [], [f]) for f in (1.0, 1.5))
    assert wide.predict(rows(NEW))[1] == pytest.approx(1.5 * plain.predict(rows(NEW))[1], rel=1e-3)


class Picky(OneHot):
    """Cannot describe words that begin with G."""

    def compute(self, objects):
        if any(word.startswith("G") for word in objects):
            raise ValueError("no word may begin with G")
        return super().compute(objects)


def test_objects_without_features_teach_nothing_and_end_nothing():
    features = Picky("ACGU", 6)
    one = fitter()
    one._space = ObjectSpace(features, Constraints(), [w for w in REFERENCE if w[0] != "G"])
    assert any(w[0] == "G" for w in KNOWN)
    models = one.fit(observed(), [pending("GGGGGG")], [1.0])
    assert set(models.info["left_out"]) == {w for w in [*KNOWN, "GGGGGG"] if w[0] == "G"}
    assert models.info["left_out"]["GGGGGG"] == "no word may begin with G"
    rewards = models.reward(["GAAAAA", "AAAAAA"])
    assert rewards[0] < rewards[1]
    assert models.reward.uncertainty(["GAAAAA", "AAAAAA"])[0] == 0


def test_each_objective_learns_from_the_answers_that_have_it():
    observations = [
        observation(w, (values(w)[0] if i % 3 else math.nan, values(w)[1] if i % 2 else math.nan, 0.0))
        for i, w in enumerate(KNOWN)
    ]
    models = fitter(TWO, QLogNEHVI()).fit(observations, [], [1.0, 1.0])
    assert [len(model.train_targets) for model in models.models] == [16, 12]
    assert models.scores(rows(NEW)).isfinite().all()
    apart = [observation(w, (values(w)[0], math.nan, 0.0)) for w in KNOWN[:8]]
    apart += [observation(w, (math.nan, values(w)[1], 0.0)) for w in KNOWN[8:]]
    assert fitter(TWO, QLogNEHVI()).fit(apart, [], [1.0, 1.0]).scores(rows(NEW)).isfinite().all()
    with pytest.raises(CampaignError, match="has a value of energy"):
        fitter(TWO, QLogNEHVI()).fit(apart[:8], [], [1.0, 1.0])
