import pytest
import torch

from al_loop.features.one_hot import OneHot


def test_rows_have_a_one_per_position_with_blanks_at_the_end():
    X = OneHot("ACG", 3)(["CA"])
    assert X.reshape(3, 4).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


def test_similarity_is_one_minus_the_hamming_fraction():
    features = OneHot("ACGU", 4)
    X = features(["ACGU", "ACGA", "UGCA", "AC"])
    expected = [[1, 0.75, 0, 0.5], [0.75, 1, 0.25, 0.5], [0, 0.25, 1, 0], [0.5, 0.5, 0, 1]]
    assert torch.allclose(features.similarity(X, X), torch.tensor(expected).double())


def test_sequences_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="longer than 2"):
        OneHot("AC", 2)(["ACA"])
    with pytest.raises(ValueError, match="'T' outside 'AC'"):
        OneHot("AC", 2)(["AT"])
    with pytest.raises(ValueError, match="only once"):
        OneHot("AA", 2)
