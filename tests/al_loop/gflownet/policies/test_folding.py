"""The folding policy: without its network, it draws structures in proportion to the weights of their loops."""

import pytest
import torch

from al_loop.environments.pairing import Pairings
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies.folding import _GAIN, FoldingPolicy

LENGTH = 11  # too short for branched loops, which the policy only approximates


class Words(Conditioned):
    """Structures of words of RNA."""

    def __init__(self, words):
        self.words = words
        hot = torch.zeros(len(words), LENGTH, 4)
        for row, word in enumerate(words):
            hot[row, range(len(word)), ["ACGU".index(letter) for letter in word]] = 1
        super().__init__(Pairings(LENGTH), hot.flatten(1))

    def start(self, index):
        lengths = torch.tensor([len(word) for word in self.words])
        return torch.cat([index[:, None], self.environment.start(lengths[index])], 1)

    def forward_mask(self, states):
        mask = super().forward_mask(states)
        first, _ = self.environment.current(states[:, 1:])
        for row, (i, index) in enumerate(zip(first.tolist(), states[:, 0].tolist(), strict=True)):
            word = self.words[index]
            for j in range(LENGTH):
                pairs = j < len(word) and i < len(word) and word[i] + word[j] in ("AU", "UA", "CG", "GC", "GU", "UG")
                mask[row, j] &= j == i or pairs
        return mask


def policy_of(words, share):
    environment = Words(words)
    torch.manual_seed(0)
    policy = FoldingPolicy(environment, hidden=8)
    with torch.no_grad():
        for name in ("hairpin", "mismatch", "stacked", "interior", "outer", "inner", "exterior"):
            weights = getattr(policy, name)
            weights.copy_(0.3 * torch.randn_like(weights))
        policy.branch.fill_(-1e3)
        policy.network.fill_(share)
    return environment, policy


def log_weight(policy, word, structure):
    """Return the sum of the log-weights of the loops of a structure."""
    opened, partner = [], {}
    for i, letter in enumerate(structure):
        if letter == "(":
            opened.append(i)
        elif letter == ")":
            partner[opened.pop()] = i
    number = {
        (i, j): 4 * "ACGU".index(word[i]) + "ACGU".index(word[j]) for i in range(len(word)) for j in range(len(word))
    }
    total = 0.0
    for i, j in partner.items():
        inside = [k for k in partner if i < k and partner[k] < j]
        pair = number[i, j]
        if not inside:
            total += policy.hairpin[j - i - 1] + policy.mismatch[pair, number[i + 1, j - 1]]
        elif min(inside) == i + 1 and partner[i + 1] == j - 1:
            total += policy.stacked[pair, number[i + 1, j - 1]]
        else:
            k = min(inside)
            total += (
                policy.interior[k - i - 1, j - 1 - partner[k]]
                + policy.outer[pair]
                + policy.inner[number[k, partner[k]]]
            )
        if not any(k < i and j < partner[k] for k in partner):
            total += policy.exterior[pair]
    return _GAIN * float(total)


@pytest.mark.parametrize("word", ["GGCAAAAGUCC", "GUGAAAACGC", "ACGU", "GGGAAACCUUU"])
@torch.no_grad()
def test_structures_are_drawn_in_proportion_to_the_weights_of_their_loops(word):
    environment, policy = policy_of(["A", word], share=0.0)
    start = environment.start(torch.tensor([1]))
    states, q = terminal_distribution(environment, policy, start)
    structures = environment.environment.decode(states[:, 1:])
    assert word == "ACGU" or len(structures) > 10
    log_p = torch.tensor([log_weight(policy, word, structure) for structure in structures], dtype=torch.float64)
    assert torch.allclose(q.log(), log_p.log_softmax(0), atol=1e-3)


@torch.no_grad()
def test_outputs_along_a_trajectory_equal_those_of_single_states():
    environment, policy = policy_of(["GGCAAAAGUCC", "GUGAAAACGC"], share=1.0)
    states = [environment.start(torch.tensor([0, 1, 1]))]
    for action in ([0, 9, 0], [10, 1, 8]):
        states.append(environment.step(states[-1], torch.tensor(action)))
    along = policy.along(torch.stack(states))
    for step, each in enumerate(states):
        assert torch.allclose(along.forward[step], policy.forward_logits(each), atol=1e-4)
        assert torch.allclose(along.log_flow[step], policy.log_flow(each), atol=1e-4)


def test_it_requires_words_of_four_letters():
    environment = Conditioned(Pairings(5), torch.zeros(1, 10))
    with pytest.raises(ValueError, match="four letters"):
        FoldingPolicy(environment)
