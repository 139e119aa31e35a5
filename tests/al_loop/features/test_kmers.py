import pytest

from al_loop.features.kmers import Kmers


def test_kmers_count_every_word_wherever_it_stands():
    features = Kmers("AB", k=2)
    X = features(["ABAB", "", "BB"])
    assert features.d == 2 + 4
    #                         A  B  AA AB BA BB
    assert X.tolist() == [[2, 2, 0, 2, 1, 0], [0] * 6, [0, 2, 0, 0, 0, 1]]
    with pytest.raises(ValueError, match="has 'C' outside 'AB'"):
        features(["ABC"])
    with pytest.raises(ValueError, match="lower it"):
        Kmers("ACDEFGHIKLMNPQRSTVWY", k=6)
