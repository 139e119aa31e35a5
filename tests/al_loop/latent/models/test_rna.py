"""RNA structures: energies, partition function and pair probabilities are ViennaRNA's; the sampler learns to fold."""

import math

import pytest
import torch

from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.rollout import rollout
from al_loop.latent import EM, Alternation, RNAStructures, fit, load, save
from al_loop.latent.observations import Observations

pytest.importorskip("RNA")
WORDS = ["GGGAAAUCCC", "GCGAAAGC", "GGGGAAAACCCC"]


def every_structure(model, word):
    x = model.read([word])
    z = terminal_states(Observations(model, x))[:, 1:]
    return x.expand(len(z), -1), z


@pytest.mark.parametrize("temperature", [5.0, 37.0, 60.0])
@pytest.mark.parametrize("word", WORDS)
def test_the_partition_function_sums_over_all_structures(word, temperature):
    model = RNAStructures(12, temperature)
    x, z = every_structure(model, word)
    log_joint = model.log_joint(x, z)
    assert float(model.log_likelihood([word])) == pytest.approx(float(log_joint.logsumexp(0)), abs=1e-5)
    weight = log_joint.softmax(0)
    pairs = (model.pairs(z) * weight[:, None, None]).sum(0)
    assert torch.allclose(pairs, model.pair_probabilities(x[:1])[0], atol=1e-5)
    summaries = (model.summaries(x, z) * weight[:, None]).sum(0)
    assert torch.allclose(summaries, model.exact_summaries(x[:1])[0], atol=1e-5)


def test_only_letters_that_can_pair_are_paired():
    model = RNAStructures(12)
    x = model.read(["GGGGAAAACCCC", "AAAAAAAAAAAA", "GGGAAAUCCC"])
    space = Observations(model, x)
    drawn = rollout(
        space, None, 60, generator=torch.Generator().manual_seed(0), start=space.start(torch.arange(60) % 3)
    )
    words, structures = model.write(x[drawn.terminal[:, 0]]), model.explain(x, drawn.terminal[:, 1:])
    for word, structure in zip(words, structures, strict=True):
        opened = []
        assert len(word) == len(structure)
        for i, character in enumerate(structure):
            if character == "(":
                opened.append(i)
            elif character == ")":
                assert word[opened.pop()] + word[i] in {"AU", "UA", "CG", "GC", "GU", "UG"}


def test_exact_draws_have_the_exact_pair_probabilities():
    model = RNAStructures(12)
    x = model.read(WORDS[:1])
    drawn = model.exact_draws(x, 2000, seed=1)[0]
    assert torch.allclose(model.pairs(drawn).mean(0), model.pair_probabilities(x)[0], atol=0.05)


def test_the_sampler_learns_to_fold():
    em = EM(rounds=1, e_steps=40, batch_size=12, hidden=12, layers=1, lr=1e-2, moves=0, m_batch=1)
    model = RNAStructures(12)
    before = Alternation(model, model.read(WORDS), em).posterior.report(WORDS, 50).kl
    result = fit(model, WORDS, em)
    after = result.posterior.report(WORDS, 200)
    assert after.kl < before / 2
    assert not after.is_kl_exact


@pytest.mark.parametrize("temperature", [-300.0, 1e5, math.inf, math.nan])
def test_impossible_temperatures_are_refused(temperature):
    with pytest.raises(ValueError, match="temperature: must be a number from -100 to 1000"):
        RNAStructures(10, temperature)


def test_a_folding_sampler_is_kept_in_the_file_and_folds_new_words(tmp_path):
    em = EM(rounds=1, e_steps=20, batch_size=12, hidden=8, layers=1, lr=1e-2, moves=0, m_batch=1)
    fitted = fit(RNAStructures(12, sampler="folding"), WORDS, em).posterior
    save(tmp_path / "rna.pt", fitted)
    loaded = load(tmp_path / "rna.pt")
    assert loaded.report(["GCGCAAAAGCGC"], 200).kl < 0.5
    assert torch.equal(loaded.draw(WORDS, 5, seed=1), fitted.draw(WORDS, 5, seed=1))


def test_an_unknown_sampler_is_refused():
    with pytest.raises(ValueError, match="sampler: 'fold' is not one of pairing, folding"):
        RNAStructures(10, sampler="fold")
