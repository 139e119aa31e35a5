"""Fitted models by themselves: predictions, draws, copies in other processes."""

import inspect

import numpy as np
import pytest

from al_loop.config import plugins as parts
from al_loop.features.one_hot import OneHot
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
    models_of_two_fidelities,
    observation,
    observed,
    pending,
    rows,
    values,
)


@pytest.mark.parametrize("transform", ["none", "yeo_johnson", "rank"])
def test_predictions_are_in_the_oracles_unit_and_direction(transform):
    models = fitter(transform=transform).fit(observed(), [], [1.0])
    mean, std = models.predict(rows(NEW))
    truth = np.array([values(word)[1] for word in NEW])
    assert mean.shape == (16, 1)
    assert np.corrcoef(mean[:, 0], truth)[0, 1] > 0.8
    assert np.abs(mean[:, 0] - truth).mean() < 4
    assert (std > 0).all()
    # lower is better: the lowest has the largest score
    assert np.corrcoef(mean[:, 0], models.scores(rows(NEW)).numpy())[0, 1] < 0


def test_the_deviation_is_that_of_an_answer():
    models = fitter().fit(observed(), [], [1.0])
    model = models.models[0]
    scale = np.std([values(word)[1] for word in KNOWN])
    expected = scale * (model.mean_and_variance(rows(NEW))[1] + model.noise_variance).sqrt().numpy()
    assert models.predict(rows(NEW))[1][:, 0] == pytest.approx(expected)
    draws = models.joint_samples(rows(NEW), seed=0)
    assert draws.shape == (512, 16, 1)
    latent = scale * model.mean_and_variance(rows(NEW))[1].sqrt().numpy()
    assert draws[..., 0].std(0) == pytest.approx(latent, rel=0.2)


@pytest.mark.parametrize("objectives", [ONE, bounded((0, 1.5, None))])
def test_draws_and_forecasts_know_of_answers_and_bounds(objectives):
    words = [*KNOWN, *REFERENCE]
    is_measured = {w: w.count("C") < 2 for w in words}
    observations = [observation(w, values(w)) if is_measured[w] else observation(w, failure="permanent") for w in words]
    models = fitter(objectives, feasibility=1.0).fit(observations, [], [1.0])
    expected = models.side_terms.log_valid_probability(rows(NEW)).exp().numpy()
    counts = models.draw_validity(rows(NEW), 4000, seed=3)
    assert counts.mean(axis=0) == pytest.approx(expected, abs=0.05)
    best = np.bincount(models.draw(rows(NEW), 2000, seed=1).argmax(dim=1).numpy(), minlength=len(NEW)) / 2000
    free = fitter(ONE).fit([a for a in observations if a.values], [], [1.0])
    free_best = np.bincount(free.draw(rows(NEW), 2000, seed=1).argmax(dim=1).numpy(), minlength=len(NEW)) / 2000
    assert (best * expected).sum() > (free_best * expected).sum() + 0.03
    assert models.draw_validity(rows([]), 4, seed=0).shape == (4, 0)


def test_predictions_are_of_the_fidelity_that_is_asked_for():
    models = models_of_two_fidelities()
    target, cheap = models.predict(rows(NEW))[0][:, 0], models.predict(rows(NEW), [0] * 16)[0][:, 0]
    truth = np.array([values(w)[1] for w in NEW])
    assert np.abs(target - truth).mean() < 5
    assert np.abs(cheap - (truth / 2 + 7)).mean() < 3
    mixed = models.predict(rows(NEW), [0, 1] * 8)[0][:, 0]
    assert mixed.tolist() == np.where(np.arange(16) % 2 == 0, cheap, target).tolist()


def travels(models, X):
    from ray import cloudpickle

    there = cloudpickle.loads(cloudpickle.dumps(models))
    assert there.scores(X).tolist() == models.scores(X).tolist()
    if models.X_pending is None or models.X_pending.shape[1] == X.shape[1]:  # no column of fidelities
        assert there.rescore(X[:2], X).tolist() == models.rescore(X[:2], X).tolist()
    assert there.reward(NEW).tolist() == models.reward(NEW).tolist()
    assert there.predict(X)[0].tolist() == models.predict(X)[0].tolist()
    assert there.joint_samples(X, seed=1).tolist() == models.joint_samples(X, seed=1).tolist()


@pytest.mark.parametrize("kind", sorted(info.kind for info in parts.built_in("acquisition")))
def test_a_belief_comes_back_whole_from_the_actor_that_made_it(kind):
    acquisition = parts.find("acquisition", kind)()
    if acquisition.chooses_fidelities:
        objectives = ONE
        made = fitter(objectives, acquisition, MultiFidelityGP(n_fidelities=2), fidelities=LEVELS)
        known = [*observed(KNOWN, fidelity="exact"), *observed(NEW, fidelity="rough")]
    else:
        objectives = TWO if acquisition.is_multi_objective else ONE
        made, known = fitter(objectives, acquisition, feasibility=1.0, cost=1.0), observed(cost=2.0)
        known.append(observation("GGGGGG", failure="permanent", cost=5.0))
    travels(made.fit(known, [pending("GGGCCC")], [1.0] * len(objectives)), rows(NEW))


@pytest.mark.parametrize("kind", sorted({i.kind for i in parts.built_in("surrogate")} - {"multi_fidelity"}))
def test_so_does_one_of_any_surrogate(kind):
    steps = {name: {"steps": 5} for name in ("deep_kernel", "ensemble", "variational")}
    arguments = {**steps, "sequence": {"layout": OneHot("ACGU", 6).layout}}.get(kind, {})
    factory = parts.find("surrogate", kind)
    known = {k: v for k, v in arguments.items() if k in inspect.signature(factory).parameters}
    travels(fitter(surrogate=factory(**known)).fit(observed(), [], [1.0]), rows(NEW))
