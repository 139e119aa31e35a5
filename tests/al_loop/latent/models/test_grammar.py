"""Grammars: the inside algorithm against enumeration, with and without dependence on sisters; spans; samples."""

from itertools import pairwise

import pytest
import torch

from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.rollout import rollout
from al_loop.latent import EM, Alternation, Grammar, fit, load, save
from al_loop.latent.observations import Observations

CONTEXTS = ("none", "sibling")


def grammar(context="none", smoothing=0.01):
    model = Grammar("ab", 4, 2, 2, context, smoothing)
    model.randomise(torch.Generator().manual_seed(0), 0.7, 0.4)
    return model


def trees(model, sentence):
    """Return the sentence and all of its trees."""
    x = model.read([sentence])
    space = Observations(model, x)
    states = terminal_states(space)[:, 1:]
    return x.expand(len(states), -1), states


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("sentence", ["ba", "aab", "abab"])
def test_the_exact_likelihood_sums_over_all_trees(context, sentence):
    model = grammar(context)
    x, states = trees(model, sentence)
    joint = model.log_joint(x, states).logsumexp(0)
    assert float(model.log_likelihood([sentence])) == pytest.approx(float(joint.detach()))


def test_a_rule_that_depends_on_the_sister_is_another_distribution():
    model = grammar("sibling")
    wrong = Grammar("ab", 4, 2, 2)
    with torch.no_grad():
        wrong.rule.copy_(model.rule[:, :1])
        wrong.root.copy_(model.root)
        wrong.emission.copy_(model.emission)
    assert float((model.log_likelihood(["abab"]) - wrong.log_likelihood(["abab"])).abs()) > 1e-3


@pytest.mark.parametrize("context", CONTEXTS)
def test_exact_em_never_lowers_the_likelihood(context):
    model = grammar(context, smoothing=0.0)
    x, _ = model.sample(40, torch.Generator().manual_seed(1))
    model.initialise(x, torch.Generator().manual_seed(2))
    values = [model.exact_step(x) for _ in range(5)]
    assert all(b >= a - 1e-9 for a, b in pairwise(values))


@pytest.mark.parametrize("context", CONTEXTS)
def test_one_m_step_on_all_trees_weighted_by_their_posterior_is_exact_em(context):
    one, other = grammar(context), grammar(context)
    x, states = trees(one, "abab")
    one.maximise(x, states, one.log_joint(x, states).softmax(0).detach())
    other.exact_step(one.read(["abab"]))
    for a, b in zip(one.tables(), other.tables(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("context", CONTEXTS)
def test_samples_have_the_probabilities_of_the_model(context):
    model = grammar(context)
    x, z = model.sample(4000, torch.Generator().manual_seed(3))
    two = model.read(["aa", "ab", "ba", "bb"])
    expected = model.log_likelihood(two).exp()
    counts = torch.stack([(x == row).all(1).sum() for row in two]).double()
    assert torch.allclose(counts / counts.sum(), expected / expected.sum(), atol=0.04)
    assert bool(model.log_joint(x, z).isfinite().all())
    assert torch.equal(model.latents().encode(model.latents().decode(z)), z)


def test_span_probabilities_are_those_of_the_trees():
    model = grammar()
    x, states = trees(model, "abab")
    weight = model.log_joint(x, states).softmax(0).detach()
    _, left, right = model.latents().nodes(states)
    exact = model.span_probabilities(x[:1])[0]
    has_span = ((left == 1) & (right == 2)).any(1)
    assert float(exact[1, 2]) == pytest.approx(float(weight[has_span].sum()))
    assert float(exact[0, 3]) == pytest.approx(1)


def test_the_policy_does_not_depend_on_the_order_of_merges():
    model = grammar()
    observations = Observations(model, model.read(["abab", "ba", "bab"]))
    torch.manual_seed(0)
    policy = make_policy(observations, 8, 1)
    start = observations.start(torch.tensor([0, 0]))
    orders = torch.tensor([[0, 4], [4, 0]])  # the two inner nodes of a balanced tree, in both orders
    states = start
    for actions in orders:
        states = observations.step(states, actions)
    assert torch.equal(states[0], states[1])
    logits = policy.all_logits(states)
    assert torch.equal(logits.forward[0], logits.forward[1])
    drawn = rollout(
        observations,
        policy,
        9,
        generator=torch.Generator().manual_seed(0),
        start=observations.start(torch.arange(9) % 3),
    )
    assert bool(observations.is_terminal(drawn.terminal).all())


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_sampler_learns_the_posterior_of_trees(context):
    model = grammar(context)
    tables = {name: table.clone() for name, table in model.state_dict().items()}
    sentences = ["aab", "ba", "abb"]
    em = EM(rounds=1, e_steps=60, batch_size=32, hidden=16, layers=1, lr=1e-2, moves=0)
    result = fit(model, sentences, em, seed=0, initialise=False)
    model.load_state_dict(tables)
    report = result.posterior.report(sentences, 200)
    assert 0 <= report.kl + 0.02 < 0.15
    assert not report.is_kl_exact
    assert len(model.explain(model.read(["aab"]), result.posterior.draw(["aab"])[:, 0])) == 1


@pytest.mark.parametrize("order", ["left_to_right", "top_down"])
def test_trees_in_one_order_have_one_history_and_the_same_posterior(tmp_path, order):
    model = Grammar("ab", 4, 2, 2, order=order)
    model.load_state_dict(grammar().state_dict())
    x, states = trees(model, "abab")
    _, any_states = trees(grammar(), "abab")
    assert sorted(states.tolist()) == sorted(any_states.tolist())
    total = float(model.log_joint(x, states).detach().logsumexp(0))
    assert total == pytest.approx(float(model.log_likelihood(["abab"])))
    assert model.latents().log_paths(states).tolist() == [0.0] * len(states)
    em = EM(rounds=1, e_steps=3, batch_size=8, hidden=8, layers=1, moves=0, backward="uniform")
    fitted = fit(model, ["aab", "ba"], em, initialise=False).posterior
    save(tmp_path / "grammar.pt", fitted)
    assert torch.equal(load(tmp_path / "grammar.pt").draw(["aab"], 4, seed=1), fitted.draw(["aab"], 4, seed=1))


def test_forward_looking_flows_are_supported():
    model = grammar()
    em = EM(e_steps=2, objective="sub_trajectory_balance", forward_looking=True, batch_size=8, hidden=8, layers=1)
    assert Alternation(model, model.read(["abab", "ba"]), em).round().n_e_steps == 2


def test_trees_are_written_with_their_words():
    model = Grammar(["the", "cat"], 3, 1, 1)
    z = model.latents().encode(["(N0 (N0 0 1) 2)"])
    assert model.explain(model.read(["the cat cat"]), z) == ["(N0 (N0 the cat) cat)"]


@pytest.mark.parametrize(
    ("sentence", "message"), [("a", "has 1 letter, expected 2 to 4"), ("ac", "'c' is not one of"), ("aaaaa", "5")]
)
def test_sentences_outside_the_grammar_are_refused(sentence, message):
    with pytest.raises(ValueError, match=message):
        grammar().read([sentence])


def test_a_grammar_without_short_sentences_is_reported():
    model = Grammar("a", 2, 1, 1)
    with torch.no_grad():
        model.rule.copy_(torch.tensor([[[0.0, -99.0, -99.0, -99.0]]]))
    with pytest.raises(ValueError, match="hardly any sentence"):
        model.sample(1, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("context", ["none", "sibling"])
def test_exact_summaries_are_the_posterior_probabilities_of_spans(context):
    model = grammar(context)
    x = model.read(["abba", "bab"])
    for i, sentence in enumerate(["abba", "bab"]):
        rows, z = trees(model, sentence)
        weight = model.log_joint(rows, z).softmax(0)
        by_hand = (weight[:, None] * model.summaries(rows, z)).sum(0)
        assert torch.allclose(model.exact_summaries(x)[i], by_hand)


def test_long_sentences_do_not_underflow():
    model = Grammar([f"w{i}" for i in range(1000)], 60, 1, 1)
    x = model.read([" ".join(f"w{i}" for i in range(60))])
    with torch.no_grad():
        model.emission.fill_(-20.0)
        low = float(model.log_likelihood(x)[0])
        model.emission.fill_(-1.0)
        high = float(model.log_likelihood(x)[0])
    assert low < -1000
    assert high - low == pytest.approx(60 * 19)
