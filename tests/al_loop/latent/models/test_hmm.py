"""Hidden Markov models: the forward algorithm against enumeration, Baum-Welch, and sequences of different lengths."""

from itertools import pairwise, product

import pytest
import torch

from al_loop.latent import EM, HMM, fit

SEQUENCES = ["ABBA", "AB", "B", "BAAB"]


def model(states=3, length=4):
    hmm = HMM("AB", length, states)
    hmm.initialise(hmm.read(SEQUENCES), torch.Generator().manual_seed(0))
    return hmm


def test_the_forward_algorithm_sums_over_all_paths_of_any_length():
    hmm = model()
    x = hmm.read(SEQUENCES)
    codes = torch.tensor(list(product(range(3), repeat=4)))
    enumerated = (
        hmm.log_joint(x.repeat_interleave(len(codes), 0), codes.repeat(len(x), 1)).view(len(x), -1).logsumexp(1)
    )
    assert torch.allclose(hmm.log_likelihood(SEQUENCES), enumerated.detach())


def test_sequences_of_one_length_have_total_probability_one():
    hmm = model()
    words = ["".join(word) for word in product("AB", repeat=3)]
    assert float(hmm.log_likelihood(words).exp().sum()) == pytest.approx(1)


def test_baum_welch_never_lowers_the_likelihood():
    hmm = HMM("AB", 4, 3, smoothing=0.0)
    x = hmm.read(SEQUENCES * 3)
    hmm.initialise(x, torch.Generator().manual_seed(0))
    values = [hmm.exact_step(x) for _ in range(10)]
    assert all(b >= a - 1e-9 for a, b in pairwise(values))


def test_one_m_step_on_all_paths_weighted_by_their_posterior_is_baum_welch():
    a, b = model(), model()
    x = a.read(SEQUENCES)
    codes = torch.tensor(list(product(range(3), repeat=4)))
    pairs = x.repeat_interleave(len(codes), 0), codes.repeat(len(x), 1)
    a.maximise(*pairs, a.log_joint(*pairs).view(len(x), -1).softmax(1).flatten().detach())
    b.exact_step(x)
    for one, other in zip(a.tables(), b.tables(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_dreams_have_the_frequencies_of_the_model():
    hmm = model(length=4)
    x, z = hmm.sample(4000, torch.Generator().manual_seed(1))
    lengths = (x >= 0).sum(1)
    assert float((lengths == 4).double().mean()) == pytest.approx(0.5, abs=0.03)
    assert float((z[:, 0] == 0).double().mean()) == pytest.approx(float(hmm.first[0].detach().exp()), abs=0.03)


def test_the_sampler_learns_the_posterior_of_paths():
    hmm = model(states=2)
    tables = {name: table.clone() for name, table in hmm.state_dict().items()}
    em = EM(rounds=1, e_steps=40, batch_size=32, hidden=8, layers=1, lr=1e-2, moves=0)
    result = fit(hmm, SEQUENCES, em, seed=0, initialise=False)
    hmm.load_state_dict(tables)  # as it was before the M-step
    report = result.posterior.report(SEQUENCES)
    assert report.is_kl_exact
    assert report.kl < 0.1
    paths = hmm.paths(SEQUENCES, result.posterior.draw(SEQUENCES)[:, 0])
    assert [len(path) for path in paths] == [4, 2, 1, 4]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["ABC"], "sequence 1, 'ABC': 'C' is not one of the letters"),
        (["AB", "ABABA"], "sequence 2, 'ABABA', has 5 letters, expected 1 to 4"),
        ([""], "sequence 1, '', has 0 letters"),
        ([], "at least one sequence"),
        ("AB", "expected a list of sequences, got str"),
        ([[["A"]]], "is not one of the letters"),
        ([b"AB"], "expected a text or a list of letters"),
        (torch.tensor([[0, 5, -1, -1]]), "sequence 1: expected at least 1 of the letters 0 to 1"),
        (torch.tensor([[0, -1, 1, -1]]), "then -1 after the end"),
        (torch.tensor([[-1, -1, -1, -1]]), "sequence 1: expected at least 1"),
        (torch.zeros(2, 3, dtype=torch.int64), "expected rows of 4 letters"),
        (torch.zeros(2, 4), "as whole numbers"),
        ([3], "sequence 1: expected a text"),
    ],
)
def test_sequences_that_are_none_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        model().read(data)
    if isinstance(data, torch.Tensor):
        with pytest.raises(ValueError, match=message):
            model().log_likelihood(data)


def test_letters_of_several_characters_are_separated_by_blanks():
    hmm = HMM(["NN", "VB"], 3, 2)
    assert hmm.read(["NN VB NN", ["VB"]]).tolist() == [[0, 1, 0], [1, -1, -1]]


def test_exact_summaries_are_the_posterior_probabilities_of_the_states():
    hmm = HMM("AB", 4, 3)
    hmm.randomise(torch.Generator().manual_seed(1))
    x = hmm.read(["ABBA", "AB", "B"])
    weight = hmm.log_joints(x).softmax(1)
    by_hand = [
        (w[:, None] * hmm.summaries(row.expand(len(hmm.codes), -1), hmm.codes)).sum(0)
        for w, row in zip(weight, x, strict=True)
    ]
    assert torch.allclose(hmm.exact_summaries(x), torch.stack(by_hand))
