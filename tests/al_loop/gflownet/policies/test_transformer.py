import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.gflownet import rollout as rollout_module
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.exact import object_distribution
from al_loop.gflownet.learner import Training
from al_loop.gflownet.policies import transformer
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.transformer import TransformerPolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.terms import log_probabilities
from al_loop.gflownet.trainer import train

WORDS = Sequences("ACGU", 6, 2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def made(environment=WORDS, **settings):
    torch.manual_seed(0)
    return TransformerPolicy(environment, 16, 2, **settings)


def context(n, n_conditions, heads):
    values = torch.randn(n, n_conditions, generator=generator()) if n_conditions else None
    return Context(values, torch.arange(n) % heads if heads > 1 else None)


@pytest.mark.parametrize(("n_conditions", "heads"), [(0, 1), (2, 1), (0, 3)])
def test_one_pass_over_a_word_gives_what_each_prefix_gives(n_conditions, heads):
    policy = made(n_conditions=n_conditions, heads=heads)
    drawn = rollout(WORDS, None, 20, generator=generator())
    told = context(20, n_conditions, heads)
    along = policy.along(drawn.states, told)
    for t, states in enumerate(drawn.states):
        torch.testing.assert_close(along.forward[t], policy.forward_logits(states, told))
        torch.testing.assert_close(along.log_flow[t], policy.log_flow(states, told))


@pytest.mark.parametrize(("n_conditions", "heads"), [(0, 1), (2, 1), (0, 3)])
@pytest.mark.parametrize("is_packed", [True, False], ids=["cpu", "gpu"])
def test_what_a_roll_out_keeps_changes_nothing(n_conditions, heads, is_packed, monkeypatch):
    for module in (rollout_module, transformer):
        monkeypatch.setattr(module, "packs", lambda device: is_packed)
    policy, told = made(n_conditions=n_conditions, heads=heads), context(20, n_conditions, heads)
    fast = rollout(WORDS, policy, 20, generator=generator(), context=told)
    monkeypatch.setattr(TransformerPolicy, "next_logits", lambda self, s, c, memory, rows: self.forward_logits(s, c))
    plain = rollout(WORDS, policy, 20, generator=generator(), context=told)
    assert torch.equal(fast.actions, plain.actions)
    assert len({int((a >= 0).sum()) for a in plain.actions.T}) > 2  # some end before others


def test_a_roll_out_computes_each_letter_once(monkeypatch):
    seen = []
    project = transformer._Block.project
    monkeypatch.setattr(
        transformer._Block, "project", lambda self, x, shape: seen.append(x.shape[:2]) or project(self, x, shape)
    )
    rollout(Sequences("AC", 6), made(Sequences("AC", 6)), 8, generator=generator())
    assert seen == [(8, 1)] * 6 * 2


def test_later_letters_do_not_change_what_is_known_before():
    policy = made()
    states = WORDS.encode(["ACGUAC", "ACGGGG"])
    a, b = policy._read(states, None)
    torch.testing.assert_close(a[:4], b[:4])
    assert not torch.allclose(a[4:], b[4:])


def test_its_frequencies_are_the_exact_probabilities():
    environment = Sequences("AC", 3, 1)
    policy = made(environment)
    exact = object_distribution(environment, policy)
    assert sum(exact.values()) == pytest.approx(1, abs=1e-6)
    n = 20_000
    drawn = environment.decode(rollout(environment, policy, n, generator=generator()).terminal)
    chi_square = sum((drawn.count(o) - n * p) ** 2 / (n * p) for o, p in exact.items())
    freedom = len(exact) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


def letters(objects):
    return torch.tensor([0.8 * o.count("A") - 0.5 * o.count("CC") for o in objects])


@pytest.mark.parametrize("objective", ["trajectory_balance", "sub_trajectory_balance"])
def test_training_reaches_the_reward(objective):
    environment = Sequences("ACGU", 4, 2)
    torch.manual_seed(0)
    settings = Training(steps=250, batch_size=64, lr=2e-3, replay_size=0, objective=objective, hidden=32)
    learner, _ = train(environment, letters, settings, policy=TransformerPolicy(environment, 32, 2))
    p = object_distribution(environment, learner.policy)
    reward = letters(list(p)).double().exp()
    assert (torch.tensor(list(p.values())) - reward / reward.sum()).abs().sum() < 0.08


def test_every_weight_has_a_gradient():
    policy = made(n_conditions=1, heads=2)
    drawn = rollout(WORDS, None, 20, generator=generator())
    told = Context(torch.randn(20, 1), torch.arange(20) % 2)
    log_pf, _ = log_probabilities(WORDS, policy, drawn, context=told)
    (log_pf.sum() + policy.log_flow(drawn.terminal, told).sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.parameters())


def test_it_trains_conditioned():
    training = Training(steps=3, batch_size=8, conditioning=Conditioning(beta=(1.0, 2.0)), searches=())
    policy = TransformerPolicy(WORDS, 16, 1, n_conditions=1)
    _, sampler = train(WORDS, letters, training, policy=policy)
    assert len(sampler.draw(5, seed=0, beta=1.5).objects) == 5


@pytest.mark.parametrize("environment", [Hypergrid(2, 4), Sequences("AC", 4, order="prepend_append")])
def test_other_spaces_are_refused(environment):
    with pytest.raises(ValueError, match="from left to right"):
        TransformerPolicy(environment)


def test_a_width_that_cannot_be_shared_out_is_refused():
    with pytest.raises(ValueError, match="multiple of attention_heads"):
        TransformerPolicy(WORDS, hidden=10)
