"""The chart policy: without its network, it draws trees in proportion to the weights of their rules."""

import ast

import pytest
import torch

from al_loop.environments.forest import Forests
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies.chart import _GAIN, ChartPolicy
from al_loop.gflownet.policies.forest import ForestPolicy
from al_loop.gflownet.policies.sister_chart import SisterChartPolicy

LENGTH, LABELS = 5, ["A", "B"]


class Sentences(Conditioned):
    """Trees over sentences of the words a, b and c."""

    def __init__(self, sentences, order="top_down"):
        self.lengths = torch.tensor([len(sentence) for sentence in sentences])
        hot = torch.zeros(len(sentences), LENGTH, 3)
        for row, sentence in enumerate(sentences):
            hot[row, range(len(sentence)), ["abc".index(word) for word in sentence]] = 1
        super().__init__(Forests(LABELS, LENGTH, order), hot.flatten(1))

    def start(self, index):
        return torch.cat([index[:, None], self.environment.start(self.lengths[index])], 1)


def policy_of(kind, sentences):
    environment = Sentences(sentences)
    torch.manual_seed(0)
    policy = kind(environment, hidden=8)
    with torch.no_grad():
        policy.rule.copy_(0.3 * torch.randn_like(policy.rule))
        policy.root.copy_(torch.randn_like(policy.root))
        if kind is SisterChartPolicy:
            policy.by_sister.copy_(0.3 * torch.randn_like(policy.by_sister))
    return environment, policy


def log_weights(policy, words, node, sister=None):
    """Return the log-weights of a part as each symbol.

    Args:
        policy: the policy.
        words: the one-hot words.
        node: its tree in nested tuples, or the place of its word.
        sister: its left sister; None: it has none.
    """
    k, total = len(LABELS), torch.full((policy.rule.shape[1],), -torch.inf)
    if isinstance(node, int):
        total[k:] = _GAIN * policy.word(words[node])
        return total
    label, left, right = node
    rule = policy.rule[label]
    if isinstance(policy, SisterChartPolicy):
        context = 0 if sister is None else k + 1 if isinstance(sister, int) else 1 + sister[0]
        rule = rule + policy.by_sister[context, label]
    pair = log_weights(policy, words, left)[:, None] + log_weights(policy, words, right, left)
    total[label] = (_GAIN * rule + pair).logsumexp((0, 1))
    return total


def parse(text):
    """Return a tree in brackets as nested tuples."""
    for old, new in (("(A ", "(0,"), ("(B ", "(1,"), (" ", ",")):
        text = text.replace(old, new)
    return ast.literal_eval(text)


@pytest.mark.parametrize("kind", [ChartPolicy, SisterChartPolicy])
@pytest.mark.parametrize("sentence", ["ab", "cba", "abca", "bacca"])
@torch.no_grad()
def test_trees_are_drawn_in_proportion_to_the_weights_of_their_rules(sentence, kind):
    environment, policy = policy_of(kind, ["aaaaa", sentence])  # the network begins without corrections
    start = environment.start(torch.tensor([1]))
    states, q = terminal_distribution(environment, policy, start)
    words = environment.condition_of(start).view(LENGTH, 3)
    weights = []
    for text in environment.environment.decode(states[:, 1:]):
        weights.append((_GAIN * policy.root + log_weights(policy, words, parse(text))[: len(LABELS)]).logsumexp(0))
    total = torch.stack(weights)
    assert torch.allclose(q.log().float(), total.log_softmax(0), atol=1e-3)
    assert float(policy.log_flow(start)) == pytest.approx(float(total.logsumexp(0)), abs=1e-3)


@pytest.mark.parametrize("kind", [ChartPolicy, SisterChartPolicy])
@torch.no_grad()
def test_outputs_along_a_trajectory_equal_those_of_single_states(kind):
    environment, policy = policy_of(kind, ["abcab", "bca"])
    for layer in (policy.label, policy.flow):
        torch.nn.init.normal_(layer.weight)
    states = [environment.start(torch.tensor([0, 1, 0]))]
    for action in ([2 * 1, 2 * 1 + 1, 2 * 3], [2 * 0 + 1, 0, 2 * 0]):
        states.append(environment.step(states[-1], torch.tensor(action)))
    along, memory = policy.along(torch.stack(states)), policy.start_from(states[0])
    for step, each in enumerate(states):
        assert torch.allclose(along.forward[step], policy.forward_logits(each), atol=1e-4)
        assert torch.allclose(along.log_flow[step], policy.log_flow(each), atol=1e-4)
    rows = torch.tensor([2, 0])
    following = policy.next_logits(states[1][rows], None, memory, rows)
    assert torch.allclose(following, policy.forward_logits(states[1])[rows], atol=1e-4)


def test_the_order_must_suit_the_policy():
    with pytest.raises(ValueError, match="chart requires forests under conditions, with order: top_down"):
        ChartPolicy(Sentences(["ab"], "any"))
    with pytest.raises(ValueError, match="forest requires forests under conditions, with order: any or left_to_right"):
        ForestPolicy(Sentences(["ab"]))
