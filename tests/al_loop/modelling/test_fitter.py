"""The belief by itself: units, pending objects, noise, what samplers are paid for."""

import inspect
import math
import pickle

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP

from al_loop.acquisitions.knowledge_gradient import KnowledgeGradient
from al_loop.acquisitions.log_ei import LogEI
from al_loop.acquisitions.multi_fidelity_ei import MultiFidelityEI
from al_loop.acquisitions.pi import PI
from al_loop.acquisitions.qlognehvi import QLogNEHVI
from al_loop.acquisitions.ucb import UCB
from al_loop.config import plugins as parts
from al_loop.features.one_hot import OneHot
from al_loop.modelling.fitter import Asked, BatchLimits, ModelFitter
from al_loop.modelling.objectives import Wanted
from al_loop.modelling.reward import Constraints, score
from al_loop.modelling.transforms import TRANSFORMS
from al_loop.surrogates.base import Surrogate
from al_loop.surrogates.ensemble import DeepEnsemble
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.multi_fidelity import MultiFidelityGP

RNG = np.random.default_rng(0)
WORDS = ["".join(RNG.choice(list("ACGU"), 6)) for _ in range(60)]
KNOWN, NEW, REFERENCE = WORDS[:24], WORDS[24:40], WORDS[40:]
ONE = Wanted((1,), ("energy",), ("minimise",))
TWO = Wanted((0, 1), ("count", "energy"), ("maximise", "minimise"))


def values(word):
    return (float(word.count("G")), -100.0 - 5.0 * word.count("C") + word.count("A"), float(word.count("U")))


def asked(words=KNOWN, **facts):
    return [Asked(word, values(word), **facts) for word in words]


def believer(wanted=ONE, acquisition=None, surrogate=None, transform="none", **arguments):
    features = OneHot("ACGU", 6)
    return ModelFitter(
        surrogate or ExactGP("hamming"),
        acquisition or UCB(),
        features,
        Constraints(),
        wanted,
        TRANSFORMS[transform],
        REFERENCE,
        4.0,
        5.0,
        **arguments,
    )


def rows(words):
    return OneHot("ACGU", 6)(words)


@pytest.mark.parametrize("transform", ["none", "yeo_johnson", "rank"])
def test_predictions_are_in_the_oracles_unit_and_direction(transform):
    belief = believer(transform=transform).believe(asked(), [], [1.0])
    mean, std = belief.predict(rows(NEW))
    truth = np.array([values(word)[1] for word in NEW])
    assert mean.shape == (16, 1)
    assert np.corrcoef(mean[:, 0], truth)[0, 1] > 0.8
    assert np.abs(mean[:, 0] - truth).mean() < 4
    assert (std > 0).all()
    # lower is better: the lowest has the largest score
    assert np.corrcoef(mean[:, 0], belief.scores(rows(NEW)).numpy())[0, 1] < 0


@pytest.mark.parametrize("surrogate", [ExactGP("hamming"), ExactGP("rbf"), DeepEnsemble(n_members=2)])
def test_a_model_that_was_fitted_on_another_device_comes_back_whole(surrogate):
    """``cpu:0`` goes the way of any other device."""
    here = believer(surrogate=surrogate).believe(asked(), [], [1.0])
    there = believer(surrogate=surrogate).on("cpu:0").believe(asked(), [], [1.0])
    for ours, theirs in zip(here.predict(rows(NEW)), there.predict(rows(NEW)), strict=True):
        assert np.array_equal(ours, theirs)
    assert torch.equal(here.scores(rows(NEW)), there.scores(rows(NEW)))


def test_the_deviation_is_that_of_an_answer():
    belief = believer().believe(asked(), [], [1.0])
    model = belief.models[0]
    scale = np.std([values(word)[1] for word in KNOWN])
    expected = scale * (model.mean_and_variance(rows(NEW))[1] + model.noise_variance).sqrt().numpy()
    assert belief.predict(rows(NEW))[1][:, 0] == pytest.approx(expected)
    draws = belief.joint_samples(rows(NEW), seed=0)
    assert draws.shape == (512, 16, 1)
    latent = scale * model.mean_and_variance(rows(NEW))[1].sqrt().numpy()
    assert draws[..., 0].std(0) == pytest.approx(latent, rel=0.2)


def test_a_factor_widens_any_model_and_is_recorded():
    plain, wide = (believer().believe(asked(), [], [factor]) for factor in (1.0, 2.0))
    assert wide.predict(rows(NEW))[1] == pytest.approx(2 * plain.predict(rows(NEW))[1])
    assert wide.facts["factors"] == [2.0]


def test_a_surrogate_may_return_any_botorch_model():
    class Stock(Surrogate):
        def fit(self, X, Y, Yvar=None):
            return SingleTaskGP(X, Y, Yvar)  # with the hyperparameters that it begins with

    pending = [Asked(NEW[0], None)]
    plain, wide = (believer(surrogate=Stock()).believe(asked(), pending, [factor]) for factor in (1.0, 2.0))
    assert wide.predict(rows(NEW))[1] == pytest.approx(2 * plain.predict(rows(NEW))[1], rel=1e-6)
    assert wide.facts["factors"] == [2.0]
    assert plain.draw(rows(NEW), 3, 0).shape == (3, 16)
    assert plain.rescore(rows(NEW)[1:2], rows(NEW)).isfinite().all()


def test_what_is_pending_is_worth_less():
    free = believer(acquisition=LogEI()).believe(asked(), [], [1.0])
    best = int(free.scores(rows(NEW)).argmax())
    held = believer(acquisition=LogEI()).believe(asked(), [Asked(NEW[best], None)], [1.0])
    assert held.scores(rows(NEW))[best] < free.scores(rows(NEW))[best]
    again = free.rescore(rows(NEW)[[best]], rows(NEW))
    assert torch.allclose(again, held.scores(rows(NEW)), atol=1e-6)
    assert held.pending == [NEW[best]]


def test_noise_that_is_not_stated_counts_as_the_usual():
    told = [Asked(w, values(w), noise=(0.1, 2.0, 0.1) if i % 2 else None) for i, w in enumerate(KNOWN)]
    every = [Asked(w, values(w), noise=(0.1, 2.0, 0.1)) for w in KNOWN]
    one, other = (believer().believe(a, [], [1.0]).predict(rows(NEW))[0] for a in (told, every))
    assert one == pytest.approx(other)


def test_failures_teach_nothing_of_the_value():
    failed = [Asked(word, None, failure="permanent") for word in NEW]
    with_failures = believer().believe([*asked(), *failed], [], [1.0])
    assert with_failures.predict(rows(NEW))[0] == pytest.approx(
        believer().believe(asked(), [], [1.0]).predict(rows(NEW))[0]
    )


def test_what_breaks_a_bound_does_not_set_the_best():
    bounded = Wanted((1,), ("energy",), ("minimise",), bounds=((2, None, 1.0),))
    free = believer(acquisition=LogEI()).believe(asked(), [], [1.0])
    held = believer(bounded, LogEI()).believe(asked(), [], [1.0])
    within = [values(w)[1] for w in KNOWN if values(w)[2] <= 1]
    best = [float(b.transforms[0].inverse(b.acquisition.best_f.numpy())) for b in (held, free)]
    assert best == pytest.approx([-min(within), -min(values(w)[1] for w in KNOWN)])
    many_u = [i for i, w in enumerate(NEW) if w.count("U") >= 3]
    few_u = [i for i, w in enumerate(NEW) if w.count("U") == 0]
    worth = held.prospects.log_weight(rows(NEW))
    assert worth[many_u].max() < worth[few_u].min()


def test_the_knowledge_gradient_is_over_what_keeps_the_bounds():
    bounded = Wanted((1,), ("energy",), ("minimise",), bounds=((2, None, 0.0),))
    told = [Asked(w, (0.0, values(w)[1], float("C" in w))) for w in KNOWN]
    among = believer(bounded, KnowledgeGradient()).believe(told, [], [1.0]).acquisition.X_set
    measured = rows([a.object for a in told if "C" in a.object])
    assert 2 < len(among) < len(KNOWN) + len(REFERENCE) - len(measured)
    assert not (among[:, None] == measured).all(dim=-1).any()


@pytest.mark.parametrize("kind", ["qlognei", "max_value_entropy"])
def test_nothing_is_compared_with_what_breaks_a_bound(kind):
    """Words with C are the best of all, but for the bound; they say nothing of how good the others are."""
    bounded = Wanted((1,), ("energy",), ("minimise",), bounds=((2, None, 0.0),))
    acquisition = parts.find("acquisition", kind)()
    told = [Asked(w, (0.0, -10.0 * w.count("A") - 500.0 * ("C" in w), float("C" in w))) for w in KNOWN]
    among = [a for a in told if "C" not in a.object]
    assert 2 < len(among) < len(told) - 2
    held = believer(bounded, acquisition).believe(told, [], [1.0])
    fine = torch.tensor([i for i, w in enumerate(NEW) if "C" not in w])
    scores = score(held.acquisition, rows(NEW)[fine])
    assert float(scores.max() - scores.min()) > 0.1
    # with the others it would be next to impossible to be better
    alone = believer(ONE, acquisition).believe(told, [], [1.0])
    assert float(scores.max()) > float(score(alone.acquisition, rows(NEW)[fine]).max()) + 1.0


@pytest.mark.parametrize("wanted", [ONE, Wanted((1,), ("energy",), ("minimise",), bounds=((0, 1.5, None),))])
def test_draws_and_forecasts_know_of_answers_and_bounds(wanted):
    words = [*KNOWN, *REFERENCE]
    told = [Asked(w, values(w)) if w.count("C") < 2 else Asked(w, None, failure="permanent") for w in words]
    belief = believer(wanted, feasibility=1.0).believe(told, [], [1.0])
    expected = belief.prospects.log_success(rows(NEW)).exp().numpy()
    counts = belief.successes(rows(NEW), 4000, seed=3)
    assert counts.mean(axis=0) == pytest.approx(expected, abs=0.05)
    best = np.bincount(belief.draw(rows(NEW), 2000, seed=1).argmax(dim=1).numpy(), minlength=len(NEW)) / 2000
    free = believer(ONE).believe([a for a in told if a.values], [], [1.0])
    free_best = np.bincount(free.draw(rows(NEW), 2000, seed=1).argmax(dim=1).numpy(), minlength=len(NEW)) / 2000
    assert (best * expected).sum() > (free_best * expected).sum() + 0.03
    assert belief.successes(rows([]), 4, seed=0).shape == (4, 0)


@pytest.mark.parametrize("unit", [1e-11, 1.0, 1e9])
@pytest.mark.parametrize("kind", ["ucb", "log_ei", "pi", "qlogei", "qlognei", "thompson", "max_value_entropy"])
def test_the_oracles_unit_changes_nothing(kind, unit):
    def scores(unit):
        told = [Asked(w, tuple(unit * v for v in values(w))) for w in KNOWN]
        bounded = Wanted((1,), ("energy",), ("minimise",), bounds=((2, None, 1.5 * unit),))
        return believer(bounded, parts.find("acquisition", kind)()).believe(told, [], [1.0]).reward(NEW)

    assert torch.allclose(scores(unit), scores(1.0), atol=1e-3)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_margin_is_in_the_oracles_unit(transform):
    belief = believer(acquisition=PI(margin=4.0), transform=transform).believe(asked(), [], [1.0])
    fitted = belief.transforms[0]
    asked_for = fitted.inverse(belief.acquisition.best_f.numpy())
    assert float(asked_for) == pytest.approx(4.0 - min(values(w)[1] for w in KNOWN))
    plain = believer(acquisition=PI(), transform=transform).believe(asked(), [], [1.0])
    assert float(fitted.inverse(plain.acquisition.best_f.numpy())) == pytest.approx(-min(values(w)[1] for w in KNOWN))


def test_a_constant_objective_leaves_the_others_to_decide():
    told = [Asked(w, (7.0, values(w)[1])) for w in KNOWN]
    both = believer(Wanted((0, 1), ("flat", "energy"), ("maximise", "minimise")), QLogNEHVI())
    mean, variance = both.believe(told, [], [1.0, 1.0]).mean_and_variance(rows(NEW))
    alone, _ = believer().believe(told, [], [1.0]).mean_and_variance(rows(NEW))
    assert np.corrcoef(mean, alone)[0, 1] > 0.99
    assert float(variance.max()) < 10


def test_what_a_fidelity_costs_is_no_matter_of_the_object():
    told = [Asked(w, values(w), cost=50.0 if i % 2 else 1.0, fidelity=i % 2) for i, w in enumerate(KNOWN)]
    believing = believer(ONE, MultiFidelityEI(), MultiFidelityGP("hamming"), cost=1.0, n_fidelities=2)
    assert believing.believe(told, [], [1.0]).prospects.log_cost_factor(rows(NEW)).abs().max() < 1e-6


@pytest.mark.parametrize("has_preferences", [True, False])
def test_several_objectives_pay_the_sampler_for_each_or_for_the_acquisition(has_preferences):
    belief = believer(TWO, QLogNEHVI(), has_preferences=has_preferences).believe(asked(), [], [1.0, 1.0])
    paid = belief.reward(NEW)
    assert paid.shape == ((16, 2) if has_preferences else (16,))
    if has_preferences:
        assert np.corrcoef(paid[:, 0], [w.count("G") for w in NEW])[0, 1] > 0.5
        assert np.corrcoef(paid[:, 1], [values(w)[1] for w in NEW])[0, 1] < -0.5
    assert belief.scores(rows(NEW)).shape == (16,)
    assert belief.predict(rows(NEW))[0].shape == (16, 2)


def test_the_reward_travels_to_other_processes_with_all_that_it_knows():
    wanted = Wanted((0, 1), ("count", "energy"), ("maximise", "minimise"), bounds=((2, None, 2.0),))
    told = [*asked(cost=2.0), *(Asked(w, None, failure="permanent", cost=9.0) for w in REFERENCE)]
    belief = believer(wanted, QLogNEHVI(), feasibility=1.0, cost=1.0).believe(told, [], [1.0, 1.0])
    copy = pickle.loads(pickle.dumps(belief.reward))
    assert torch.equal(copy(NEW), belief.reward(NEW))
    assert torch.equal(copy.uncertainty(NEW), belief.reward.uncertainty(NEW))


def test_an_ensemble_is_recalibrated_too():
    surrogate = DeepEnsemble(n_members=3, hidden=8, max_epochs=2, encoder="mlp")
    plain, wide = (believer(surrogate=surrogate).believe(asked(), [], [f]) for f in (1.0, 1.5))
    assert wide.predict(rows(NEW))[1] == pytest.approx(1.5 * plain.predict(rows(NEW))[1], rel=1e-3)


def fidelities():
    told = [Asked(w, (0.0, values(w)[1] / 2 + 7, 0.0), fidelity=0) for w in KNOWN]
    told += [Asked(w, values(w), fidelity=1) for w in KNOWN[:6]]
    surrogate = MultiFidelityGP("hamming", 2)
    return believer(ONE, MultiFidelityEI(), surrogate, n_fidelities=2).believe(told, [], [1.0])


def test_predictions_are_of_the_fidelity_that_is_asked_for():
    belief = fidelities()
    target, cheap = belief.predict(rows(NEW))[0][:, 0], belief.predict(rows(NEW), 0)[0][:, 0]
    truth = np.array([values(w)[1] for w in NEW])
    assert np.abs(target - truth).mean() < 5
    assert np.abs(cheap - (truth / 2 + 7)).mean() < 3


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_batch_is_chosen_within_its_limits_with_its_share_at_the_target(share):
    belief, costs = fidelities(), [1.0, 10.0]
    is_open = torch.ones(16, 2, dtype=torch.bool)
    is_open[0] = False
    is_open[1, 0] = False
    pairs = belief.choose(MultiFidelityEI(share), rows(NEW), is_open, costs, BatchLimits(100, 40.0))
    spent = [costs[f] for _, f in pairs]
    assert len(set(pairs)) == len(pairs)
    assert sum(spent[:-1]) < 40
    assert all(is_open[i, f] for i, f in pairs)
    seen: dict[int, int] = {}
    for i, f in pairs:  # an object is never measured again at a fidelity that tells less
        assert f > seen.get(i, -1)
        seen[i] = f
    at_target = sum(cost for cost, (_, f) in zip(spent, pairs, strict=True) if f == 1)
    assert at_target >= share * (sum(spent) - 10)
    assert len(belief.choose(MultiFidelityEI(share), rows(NEW), is_open, costs, BatchLimits(3, math.inf))) == 3


def travels(belief, X):
    from ray import cloudpickle

    there = cloudpickle.loads(cloudpickle.dumps(belief))
    assert there.scores(X).tolist() == belief.scores(X).tolist()
    if belief.X_pending is None or belief.X_pending.shape[1] == X.shape[1]:  # no column of fidelities
        assert there.rescore(X[:2], X).tolist() == belief.rescore(X[:2], X).tolist()
    assert there.reward(NEW).tolist() == belief.reward(NEW).tolist()
    assert there.predict(X)[0].tolist() == belief.predict(X)[0].tolist()
    assert there.joint_samples(X, seed=1).tolist() == belief.joint_samples(X, seed=1).tolist()


@pytest.mark.parametrize("kind", sorted(info.kind for info in parts.built_in("acquisition")))
def test_a_belief_comes_back_whole_from_the_actor_that_made_it(kind):
    acquisition = parts.find("acquisition", kind)()
    if getattr(acquisition, "chooses_fidelities", False):
        made = believer(ONE, acquisition, MultiFidelityGP(n_fidelities=2), n_fidelities=2)
        known = [*asked(KNOWN, fidelity=1), *asked(NEW, fidelity=0)]
    else:
        several = acquisition.is_multi_objective
        made, known = believer(TWO if several else ONE, acquisition, feasibility=1.0, cost=1.0), asked(cost=2.0)
        known.append(Asked("GGGGGG", None, failure="permanent", cost=5.0))
    travels(made.believe(known, [Asked("GGGCCC", None)], [1.0] * len(made._wanted.objectives)), rows(NEW))


@pytest.mark.parametrize("kind", sorted({i.kind for i in parts.built_in("surrogate")} - {"multi_fidelity"}))
def test_so_does_one_of_any_surrogate(kind):
    arguments = {"deep_kernel": {"steps": 5}, "ensemble": {"steps": 5}, "variational": {"steps": 5}}.get(kind, {})
    factory = parts.find("surrogate", kind)
    known = {k: v for k, v in arguments.items() if k in inspect.signature(factory).parameters}
    travels(believer(surrogate=factory(**known)).believe(asked(), [], [1.0]), rows(NEW))
