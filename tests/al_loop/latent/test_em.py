"""GFlowNet-EM reaches what exact EM reaches, resumes bit for bit, and waits for its threshold."""

from dataclasses import replace

import pytest
import torch

from al_loop.latent import EM, HMM, Alternation, Mixture, fit


def problem(n=300, groups=2, petals=2):
    generator = torch.Generator().manual_seed(0)
    truth, model = Mixture(groups, petals), Mixture(groups, petals)
    with torch.no_grad():
        truth.centre.copy_(torch.tensor([[-2.0, 0.0], [2.0, 1.0]]))
    x, _ = truth.sample(n, generator)
    model.initialise(x, generator)
    return x, model


QUICK = EM(rounds=2, e_steps=3, batch_size=16, hidden=8, layers=1)


def test_it_reaches_the_likelihood_of_exact_em_and_the_exact_posterior():
    x, model = problem()
    exact = Mixture(2, 2)
    exact.load_state_dict(model.state_dict())
    for _ in range(30):
        exact.exact_step(x)
    result = fit(
        model, x, EM(rounds=12, e_steps=40, batch_size=64, hidden=32, lr=3e-3, report_every=12), initialise=False
    )
    assert float(exact.log_likelihood(x).mean() - model.log_likelihood(x).mean()) < 2e-3
    report = result.rounds[-1].report
    assert report.is_kl_exact
    assert report.kl < 0.06
    assert report.effective > 0.9
    assert report.bound <= report.log_likelihood + 0.02


def test_unequal_factors_have_no_forbidden_codes():
    x, _ = problem()
    result = fit(Mixture(groups=2, petals=3), x, QUICK)
    z = result.posterior.draw(x, 2)
    assert int(z[..., 0].max()) < 2
    assert bool(torch.tensor(result.posterior.report(x).bound).isfinite())


@pytest.mark.parametrize("is_older", [False, True])
def test_it_resumes_bit_for_bit(is_older):
    x, model = problem()
    settings = replace(QUICK, average=1.0)
    whole = Alternation(model, x, settings, seed=3)
    whole.round()
    state = whole.state_dict()
    if is_older:  # version 0.2.0 kept pairs of indices and latents
        state["kept"] = [(drawn["index"], drawn["z"]) for drawn in state["kept"]]
    last = whole.round()
    resumed = Alternation(Mixture(2, 2), x, settings, seed=3)
    resumed.load_state_dict(state)
    assert resumed.round() == last
    assert torch.equal(resumed.model.centre, model.centre)


def test_the_m_step_waits_for_the_threshold():
    x, model = problem()
    easy = Alternation(model, x, EM(e_steps=30, threshold=1e9, hidden=8, batch_size=8))
    assert easy.round().n_e_steps == 1
    x, model = problem()
    hard = Alternation(model, x, EM(e_steps=5, threshold=1e-9, hidden=8, batch_size=8))
    assert hard.round().n_e_steps == 5


def test_the_sampler_is_warmed_up_before_the_first_round():
    x, model = problem(n=20)
    warmed = Alternation(model, x, EM(e_steps=3, warmup=5, hidden=4, layers=1, batch_size=4))
    assert [warmed.round().n_e_steps for _ in range(2)] == [9, 3]


def test_final_steps_improve_the_sampler_and_leave_the_model():
    fits = []
    for final_steps in (0, 60):
        x, model = problem()
        em = EM(
            rounds=2, e_steps=5, batch_size=32, hidden=16, layers=1, lr=5e-3, report_every=2, final_steps=final_steps
        )
        fits.append(fit(model, x, em, initialise=False))
    assert torch.equal(fits[0].model.centre, fits[1].model.centre)
    kl = [each.rounds[-1].report.kl for each in fits]
    assert kl[1] < 0.75 * kl[0]
    assert [each.rounds[-1].n_e_steps for each in fits] == [5, 5]


def test_the_threshold_changes_linearly():
    em = EM(rounds=5, threshold=6.0, final_threshold=3.0)
    assert [em.threshold_of(i) for i in range(5)] == [6.0, 5.25, 4.5, 3.75, 3.0]


def test_weighted_draws_of_a_poor_sampler_make_the_exact_m_step():
    x, model = problem(n=100)
    exact = Mixture(2, 2)
    exact.load_state_dict(model.state_dict())
    exact.exact_step(x)
    settings = EM(rounds=1, e_steps=1, sleep=0.0, moves=0, draws=200, weighted=True, hidden=8)
    fit(model, x, settings, initialise=False)
    assert torch.allclose(model.centre, exact.centre, atol=0.05)


def test_pseudo_counts_do_not_depend_on_the_number_of_draws():
    """An alphabet with a letter that never occurs has it with the probability that the pseudo-counts alone give."""
    shares = []
    for settings in ({}, {"draws": 4}, {"average": 1.0}, {"draws": 4, "moves": 0, "weighted": True}):
        model = HMM("AB", length=2, states=1, smoothing=0.5)
        fit(model, ["AA"] * 5, EM(rounds=2, e_steps=1, batch_size=4, hidden=8, layers=1, **settings))
        shares.append(float(model.emission[0, 1].detach().exp()))
    assert shares == pytest.approx([0.5 / 11] * 4)


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("moves", [0, 1])
def test_the_ablations_run(best, moves):
    x, model = problem(n=40)
    result = fit(
        model, x, EM(rounds=1, e_steps=2, sleep=0.0, moves=moves, best=best, draws=2, hidden=8), initialise=False
    )
    assert result.rounds[0].accepted >= 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"e_steps": 0}, "e_steps: must be a whole number of at least 1, got 0"),
        ({"final_steps": -1}, "final_steps: must be a whole number of at least 0, got -1"),
        ({"rounds": 1.5}, "rounds: must be a whole number"),
        ({"rounds": "3"}, "rounds: must be a whole number"),
        ({"backward": "learnt"}, "backward: 'learnt' is not one of .*did you mean 'learned'"),
        ({"floor": 0.0}, "floor: must be above 0"),
        ({"per_observation": 9, "batch_size": 8}, "per_observation: must be at most the batch_size of 8"),
        ({"objective": "log_partition_variance"}, "objective: log_partition_variance .* per_observation to at least 2"),
        ({"sleep": -1.0}, "sleep"),
        ({"undone": 0.0}, "undone"),
        ({"final_threshold": 1.0}, "requires a threshold"),
        ({"m_batch": 0}, "m_batch"),
        ({"lr": 0.0}, "lr"),
        ({"smoothing": 1.0}, "smoothing"),
        ({"epsilon": 1.5}, "epsilon"),
        ({"weighted": True, "draws": 4}, "weighted: requires"),
        ({"weighted": True, "moves": 0}, "weighted: requires"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        EM(**settings)


def test_a_model_without_a_partial_joint_refuses_forward_looking_flows():
    x, model = problem()
    with pytest.raises(ValueError, match="forward_looking"):
        Alternation(model, x, EM(forward_looking=True, objective="sub_trajectory_balance"))
