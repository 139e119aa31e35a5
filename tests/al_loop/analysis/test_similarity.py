import numpy as np
import pytest

from al_loop.analysis.series import diverse, group
from al_loop.analysis.similarity import similarities
from al_loop.analysis.space_map import place


def test_molecules_are_as_similar_as_rdkit_says():
    from rdkit import Chem, DataStructs
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    smiles = ["CCO", "CCN", "c1ccccc1O", "not a molecule"]
    generator = GetMorganGenerator(radius=2, fpSize=1024)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in smiles[:3]]
    S = similarities(smiles, "molecule")
    expected = [[DataStructs.TanimotoSimilarity(a, b) for a in prints] for b in prints]
    assert S[:3, :3] == pytest.approx(np.array(expected))
    assert S[3, :3] == pytest.approx(0)


def test_words_of_one_length_are_as_similar_as_they_share_letters():
    S = similarities(["ACGT", "ACGA", "TTTT"], "sequence")
    assert S[0] == pytest.approx([1, 0.75, 0.25])


@pytest.mark.parametrize("objects", [["a", "bb", "a"], ["", "x"], ["<b>", "<b>c"]])
def test_any_text_has_a_similarity(objects):
    S = similarities(objects, "other")
    assert np.diag(S) == pytest.approx(1)
    assert ((S >= 0) & (S <= 1 + 1e-6)).all()


def test_a_series_holds_what_is_similar_to_its_best_object():
    S = np.array([[1, 0.9, 0.1, 0.7], [0.9, 1, 0.1, 0.1], [0.1, 0.1, 1, 0.8], [0.7, 0.1, 0.8, 1]], dtype=np.float32)
    series = group(S, "sequence")
    assert series.of_object.tolist() == [0, 0, 1, 0]
    assert series.leaders == (0, 2)
    assert series.members(0).tolist() == [0, 1, 3]


def test_diverse_picks_are_the_best_that_differ():
    S = np.array([[1, 0.9, 0.1], [0.9, 1, 0.1], [0.1, 0.1, 1]], dtype=np.float32)
    assert diverse(S, 2, 0.5) == [0, 2]
    assert diverse(S, 9, 0.5) == [0, 2]
    assert diverse(S, 0, 0.5) == []


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 12])
def test_a_map_has_a_place_for_each_object_and_is_the_same_each_time(n):
    rng = np.random.default_rng(0)
    X = rng.random((n, 3))
    S = np.exp(-((X[:, None] - X[None]) ** 2).sum(-1)).astype(np.float32)
    first, second = place(S), place(S)
    assert first.shape == (n, 2)
    assert np.array_equal(first, second)
    assert ((first >= 0) & (first <= 1)).all()


def test_equal_objects_have_a_map():
    assert np.isfinite(place(np.ones((9, 9), dtype=np.float32))).all()


def test_groups_lie_apart_on_the_map():
    X = np.random.default_rng(0).normal(size=(20, 3)) * 0.5 + np.repeat([[0.0], [3.0]], 10, axis=0)
    places = place(np.exp(-((X[:, None] - X[None]) ** 2).sum(-1)).astype(np.float32))
    within = np.linalg.norm(places[:10] - places[:10].mean(0), axis=1).max()
    assert np.linalg.norm(places[:10].mean(0) - places[10:].mean(0)) > within
