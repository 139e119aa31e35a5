"""Motifs: a normalised distribution, exact EM that finds planted motifs, and a sampler that avoids overlaps."""

from itertools import pairwise, product

import pytest
import torch

from al_loop.latent import EM, Motifs, fit
from al_loop.latent.features import posterior_means


def model(motifs=2, width=2, length=4):
    made = Motifs("AB", length, motifs, width)
    made.randomise(torch.Generator().manual_seed(0))
    return made


@pytest.mark.parametrize("n_letters", [1, 2, 3, 4])
def test_words_of_one_length_have_total_probability_one(n_letters):
    words = ["".join(word) for word in product("AB", repeat=n_letters)]
    assert float(model().log_likelihood(words).exp().sum()) == pytest.approx(1)


def test_samples_have_the_probabilities_of_the_model():
    made = model(length=3)
    x, z = made.sample(4000, torch.Generator().manual_seed(1))
    words = ["".join(word) for word in product("AB", repeat=3)]
    frequency = torch.tensor([made.write(x).count(word) / 4000 for word in words], dtype=torch.float64)
    assert torch.allclose(frequency, made.log_likelihood(words).exp(), atol=0.03)
    assert bool(made.log_joint(x, z).isfinite().all())


def test_exact_em_never_lowers_the_likelihood():
    made = Motifs("AB", 6, 2, 2, smoothing=0.0)
    x = made.read(["ABBABA", "AABB", "BABAB", "AB"])
    made.initialise(x, torch.Generator().manual_seed(0))
    values = [made.exact_step(x) for _ in range(8)]
    assert all(b >= a - 1e-9 for a, b in pairwise(values))


def planted():
    generator = torch.Generator().manual_seed(0)
    truth = Motifs("ACGT", 10, 1, 4)
    with torch.no_grad():
        truth.letter.fill_(-5.0)
        truth.letter[0, range(4), [2, 2, 0, 3]] = 0.0
        truth.letter.copy_(truth.letter.log_softmax(-1))
        truth.presence.copy_(torch.tensor([[0.2, 0.8]]).log())
    return truth.sample(150, generator)


def test_a_planted_motif_is_found():
    x, z = planted()
    best = None
    for seed in range(6):  # EM has local optima
        made = Motifs("ACGT", 10, 1, 4)
        made.initialise(x, torch.Generator().manual_seed(seed))
        for _ in range(15):
            value = made.exact_step(x)
        best = max(best or (value, made), (value, made), key=lambda pair: pair[0])
    assert best[1].letter[0].argmax(1).tolist() == [2, 2, 0, 3]
    means = posterior_means(_posterior(best[1]), x)
    is_present = (z[:, 0] < 7).double()
    assert float(torch.corrcoef(torch.stack([means[:, 0], is_present]))[0, 1]) > 0.8


def _posterior(made):
    return fit(made, [made.words.letters[0]], EM(rounds=0, hidden=4, layers=1), initialise=False).posterior


def test_the_sampler_never_places_motifs_over_each_other_or_over_the_end():
    made = model(motifs=2, width=2, length=5)
    sequences = ["ABAB", "AB", "A", "ABABA"]
    result = fit(made, sequences, EM(rounds=1, e_steps=3, hidden=4, layers=1, batch_size=8))
    x = made.read(sequences)
    z = result.posterior.draw(x, 200)
    assert bool(made.log_joint(x.repeat_interleave(200, 0), z.flatten(0, 1)).isfinite().all())
    assert made.explain(made.read(["ABABA"]), torch.tensor([[3, 4]])) == ["1:BA@4 2:-"]
    assert result.rounds[-1].report.is_kl_exact


def test_drawn_and_exact_posterior_means_agree():
    made = model(motifs=1, length=4)
    posterior = _posterior(made)
    x = made.read(["ABAB", "BB"])
    exact = posterior_means(posterior, x)
    codes = made.codes
    weight = made.log_joints(x).detach().softmax(1)
    by_hand = torch.stack(
        [
            (w[:, None] * made.summaries(row.expand(len(codes), -1), codes)).sum(0)
            for w, row in zip(weight, x, strict=True)
        ]
    )
    assert torch.allclose(exact, by_hand)


@pytest.mark.parametrize(
    ("arguments", "message"), [((4, 0, 2), "motifs: must be"), ((4, 1, 5), "width: must be at most")]
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Motifs("AB", *arguments)
