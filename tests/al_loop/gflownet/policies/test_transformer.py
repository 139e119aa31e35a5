"""The transformer: three ways to the same logits, and what a trained one draws."""

import math

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.gflownet import Conditioning, Trainer, Training, train
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.transformer import Layer, TransformerPolicy
from al_loop.gflownet.rollout import _rollout_whole, rollout
from al_loop.gflownet.trajectory_terms import log_probabilities
from tests.support.policies import assert_a_whole_pass_agrees

WORDS = [Sequences("ACGU", 6), Sequences("ACGU", 6, 2), Sequences(["Ala", "Arg", "Gly"], 5, 1)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(environment, seed=0, **settings):
    torch.manual_seed(seed)
    return TransformerPolicy(environment, **{"hidden": 16, "layers": 2, **settings})


def context(n, heads=1, n_conditions=0):
    values = torch.rand((n, n_conditions), generator=generator(1)) if n_conditions else None
    return Context(values, torch.randint(heads, (n,), generator=generator(2)) if heads > 1 else None)


def logits_on_the_way(policy, run, environment, n, told):
    """The logits of each step of a roll-out, by step and row, as the roll-out got them."""
    seen = []
    step_by_step = policy.next_logits

    def watch(states, context, memory, rows):
        logits = step_by_step(states, context, memory, rows)
        seen.append((states.clone(), logits, rows))
        return logits

    policy.next_logits = watch
    trajectories = run(environment, policy, n, generator(), told)
    del policy.next_logits
    return trajectories, seen


def packed(environment, policy, n, generator, told):
    return rollout(environment, policy, n, generator=generator, context=told)


def whole(environment, policy, n, generator, told):
    with torch.no_grad():
        return _rollout_whole(environment, policy, environment.initial(n), generator, 0.0, 1.0, told, None)


@pytest.mark.parametrize("environment", WORDS, ids=["fixed", "variable", "tokens"])
@pytest.mark.parametrize("settings", [{}, {"heads": 3, "n_conditions": 2}], ids=["plain", "told"])
def test_a_whole_pass_gives_the_logits_of_every_prefix(environment, settings):
    policy = make(environment, **settings)
    told = context(32, **settings)
    states = rollout(environment, None, 32, generator=generator()).states
    assert_a_whole_pass_agrees(policy, states, told)


@pytest.mark.parametrize("environment", WORDS, ids=["fixed", "variable", "tokens"])
@pytest.mark.parametrize("run", [packed, whole])
@pytest.mark.parametrize("settings", [{}, {"heads": 3, "n_conditions": 2}], ids=["plain", "told"])
def test_kept_keys_and_values_give_the_same_logits(environment, run, settings):
    policy = make(environment, **settings)
    told = context(64, **settings)
    trajectories, seen = logits_on_the_way(policy, run, environment, 64, told)
    assert environment.is_terminal(trajectories.terminal).all()
    for states, logits, rows in seen:
        here = told if rows is None else told.rows(rows)
        is_alive = ~environment.is_terminal(states)
        assert logits.isfinite().all()
        with torch.no_grad():
            expected = policy.forward_logits(states, here)
        torch.testing.assert_close(logits[is_alive], expected[is_alive], rtol=1e-5, atol=1e-5)
    if run is packed and environment.min_length < environment.length:
        assert any(rows is not None for _, _, rows in seen)


def test_a_letter_changes_nothing_before_it():
    environment = WORDS[0]
    policy = make(environment)
    states = rollout(environment, None, 8, generator=generator()).states
    before = policy.along(states)
    changed = states.clone()
    changed[-1][:, 3] = (changed[-1][:, 3] + 1) % 4
    after = policy.along(changed)
    torch.testing.assert_close(before.forward[:4], after.forward[:4])
    assert ((before.forward[4:] - after.forward[4:]).abs().amax(-1) > 1e-4).all()


def test_the_order_of_letters_matters():
    policy = make(WORDS[0])
    a, b = policy.forward_logits(WORDS[0].encode(["ACGUAC", "CAGUAC"]))
    assert (a - b).abs().max() > 1e-3


def test_kept_keys_and_values_save_work():
    environment = WORDS[0]
    policy = make(environment)
    counted = []
    for layer in policy.layers:
        assert isinstance(layer, Layer)
        layer.query_key_value.register_forward_hook(lambda _, inputs, __: counted.append(inputs[0].shape[:2].numel()))
    rollout(environment, policy, 10, generator=generator())
    assert sum(counted) == 2 * 10 * 6  # a token for each letter and layer
    counted.clear()
    log_probabilities(environment, policy, rollout(environment, None, 10, generator=generator()))
    assert sum(counted) == 2 * 10 * 7


def test_sampled_frequencies_are_the_exact_probabilities():
    environment = Sequences("AC", 4, 1)
    policy = make(environment, seed=1)
    exact = object_distribution(environment, policy)
    n = 20_000
    for run in (packed, whole):
        drawn = environment.decode(run(environment, policy, n, generator(), None).terminal)
        chi_square = sum((drawn.count(o) - n * p) ** 2 / (n * p) for o, p in exact.items())
        freedom = len(exact) - 1
        assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


def letters(objects):
    return torch.tensor([0.8 * o.count("A") - 0.5 * o.count("CC") for o in objects])


def test_words_are_sampled_in_proportion_to_the_reward():
    environment = Sequences("ACGU", 4, 2)
    training = Training(steps=250, batch_size=64, lr=2e-3, epsilon=0.1)
    policy = make(environment, hidden=32)
    learner, sampler = train(environment, letters, training, policy=policy)
    assert learner.policy is policy
    p = object_distribution(environment, policy)
    reward = letters(list(p)).double().exp()
    assert (torch.tensor(list(p.values())) - reward / reward.sum()).abs().sum() < 0.08
    assert float(learner.log_z) == pytest.approx(math.log(reward.sum()), abs=0.1)
    # what is really drawn
    drawn = torch.tensor([float(o.count("A")) for o in sampler.draw(20_000, seed=1).objects]).mean()
    expected = float((torch.tensor([float(o.count("A")) for o in p]) * reward).sum() / reward.sum())
    assert float(drawn) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("objective", ["sub_trajectory_balance", "detailed_balance"])
def test_gradients_reach_every_parameter(objective):
    environment = WORDS[1]
    conditioning = Conditioning(beta=(1.0, 4.0)) if objective == "sub_trajectory_balance" else Conditioning()
    policy = make(environment, n_conditions=conditioning.n_values, heads=3)
    training = Training(steps=1, batch_size=16, objective=objective, heads=3, conditioning=conditioning)
    trainer = Trainer(environment, letters, training, policy=policy)
    for _ in range(3):
        trainer.step()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        if "position" not in name and "letter" not in name:
            assert parameter.grad.abs().max() > 0, name
    assert (policy.letter.weight.grad.abs().amax(1) > 0).all()
    # nothing follows on a full word
    assert (policy.position.weight.grad[:-1].abs().amax(1) > 0).all()


def test_what_it_is_told_changes_the_first_letter():
    policy = make(WORDS[0], n_conditions=1, heads=2)
    states = WORDS[0].initial(2)
    values = torch.tensor([[-1.0], [1.0]])
    a, b = policy.forward_logits(states, Context(values, torch.zeros(2, dtype=torch.int64)))
    assert (a - b).abs().max() > 1e-3
    c = policy.forward_logits(states, Context(values, torch.ones(2, dtype=torch.int64)))[0]
    assert (a - c).abs().max() > 1e-3
    with pytest.raises(ValueError, match="conditioned"):
        policy.forward_logits(states)


def test_low_precision_is_close():
    policy = make(WORDS[1], hidden=32)
    with torch.autocast("cpu", torch.bfloat16):
        trajectories = rollout(WORDS[1], policy, 16, generator=generator())
        low = log_probabilities(WORDS[1], policy, trajectories)[0].float()
    torch.testing.assert_close(low, log_probabilities(WORDS[1], policy, trajectories)[0], atol=0.1, rtol=0.05)


@pytest.mark.parametrize(
    ("environment", "settings", "reason"),
    [
        (Hypergrid(2, 3), {}, "left to right, not 'hypergrid'"),
        (Sequences("AC", 3, order="prepend_append"), {}, "order 'prepend_append'"),
        (Sequences("AC", 3), {"hidden": 18}, r"hidden: must be a multiple of attention_heads \(4\), got 18"),
    ],
)
def test_what_it_cannot_read_is_refused(environment, settings, reason):
    with pytest.raises(ValueError, match=reason):
        make(environment, **settings)
