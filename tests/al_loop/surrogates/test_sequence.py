import pytest
import torch

from al_loop.features.one_hot import OneHot
from al_loop.surrogates._ensemble_model import DeepEnsembleModel
from al_loop.surrogates._gp_model import ExactGPModel
from al_loop.surrogates.base import as_surrogate_model
from al_loop.surrogates.ensemble import DeepEnsemble
from al_loop.surrogates.sequence import SequenceSurrogate, strands_agree

FEATURES = OneHot("ACGT", 4)
LAYOUT = FEATURES.layout
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def dna(n, seed=0):
    letters = torch.randint(4, (n, 4), generator=torch.Generator().manual_seed(seed))
    return list(dict.fromkeys("".join("ACGT"[i] for i in row) for row in letters.tolist()))


def score(word):
    return sum(i * (letter == "G") for i, letter in enumerate(word))


def symmetric_score(word):
    return max(score(word), score(word.translate(COMPLEMENT)[::-1]))


@pytest.mark.parametrize(("value", "agree"), [(score, False), (symmetric_score, True)])
def test_strands_agree_if_pairs_of_words_and_reverse_complements_have_equal_values(value, agree):
    words = dna(150)
    y = torch.tensor([value(w) for w in words], dtype=torch.float64)
    assert strands_agree(LAYOUT, FEATURES(words), y) is agree


def test_strands_do_not_count_as_alike_without_pairs_or_complements():
    words = ["AAAA", "AAAC", "AACA", "ACAA"]
    assert not strands_agree(LAYOUT, FEATURES(words), torch.zeros(4))
    others = OneHot("ABCD", 4)
    assert not strands_agree(others.layout, others(["ABCD", "DCBA"] * 4), torch.zeros(8))


@pytest.mark.parametrize(("n", "model"), [(40, ExactGPModel), (41, DeepEnsembleModel)])
def test_the_amount_of_data_decides(n, model):
    words = dna(200)[:n]
    y = torch.tensor([[float(score(w))] for w in words])
    surrogate = SequenceSurrogate(LAYOUT, max_exact=40)
    fitted = surrogate.fit(FEATURES(words), y)
    assert type(as_surrogate_model(fitted)) is model
    assert ("Gaussian" in surrogate.explain(n)) is (n == 40)


def test_networks_treat_both_strands_alike_where_the_data_do():
    words = dna(60)
    words = list(dict.fromkeys([*words, *(w.translate(COMPLEMENT)[::-1] for w in words[:10])]))
    y = torch.tensor([[float(symmetric_score(w))] for w in words])
    model = SequenceSurrogate(LAYOUT).fit(FEATURES(words), y)
    new = dna(20, seed=5)
    own, other = (
        as_surrogate_model(model).mean_and_variance(FEATURES(w))[0]
        for w in (new, [w.translate(COMPLEMENT)[::-1] for w in new])
    )
    assert torch.allclose(own, other, atol=1e-5)


def test_a_fit_keeps_the_best_half_of_its_rows_and_is_deterministic():
    words = dna(200)
    y = torch.tensor([[float(score(w))] for w in words])
    surrogate = SequenceSurrogate(LAYOUT, max_exact=30, max_rows=30)
    a, b = (
        as_surrogate_model(surrogate.fit(FEATURES(words), y)).mean_and_variance(FEATURES(words))[0] for _ in range(2)
    )
    assert torch.equal(a, b)


def test_other_rows_than_letters_are_refused():
    from al_loop.features.row_layout import GraphLayout

    with pytest.raises(ValueError, match="one_hot"):
        SequenceSurrogate(GraphLayout(8, 4, 4))


def test_both_strands_are_one_row_with_the_mean_of_their_values(monkeypatch):
    seen = []
    monkeypatch.setattr(DeepEnsemble, "fit", lambda self, X, Y, Yvar=None: seen.append((X, Y, Yvar)))
    words = ["AAAC", "GTTT", "ACGT", "CCCA", "TGGG", "GGAA", "TTCC", "GCAT", "ATGC", "CATC"]
    y = torch.tensor([[1.0], [1.2], [7.0], [3.0], [3.0], [9.0], [9.0], [5.0], [5.0], [2.0]], dtype=torch.float64)
    SequenceSurrogate(LAYOUT).fit(FEATURES(words), y, torch.full_like(y, 0.02))
    ((X, Y, Yvar),) = seen
    assert torch.equal(X, FEATURES(["AAAC", "ACGT", "CCCA", "GGAA", "GCAT", "CATC"]))
    assert Y[:, 0].tolist() == pytest.approx([1.1, 7, 3, 9, 5, 2])
    assert Yvar[:, 0].tolist() == pytest.approx([0.01, 0.02, 0.01, 0.01, 0.01, 0.02])
