"""Rows by name in one table."""

import pickle

import pytest
import torch

from al_loop.features import row_cache
from al_loop.features.one_hot import OneHot
from al_loop.features.row_cache import RowCache


def test_rows_come_back_by_name_in_any_order_and_number_type():
    cache = RowCache(1000)
    for i in range(7):
        cache.add([f"{i}", f"{i}b"], torch.full((2, 3), i, dtype=torch.uint8))
    assert len(cache) == 14
    assert torch.equal(cache.rows(["5b", "0", "5b"]), torch.tensor([[5], [0], [5]], dtype=torch.uint8).expand(3, 3))
    cache.add(["half"], torch.full((1, 3), 0.5))
    assert cache.rows(["half", "6"]).tolist() == [[0.5] * 3, [6.0] * 3]
    assert cache.missing(["6", "7", "7"]) == ["7"]
    assert not pickle.loads(pickle.dumps(cache))


def test_a_full_cache_begins_anew(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(row_cache, "_BYTES", 0)
    cache = RowCache(3)
    cache.add(["a", "b"], torch.zeros(2, 1))
    cache.add(["c", "d"], torch.ones(2, 1))
    assert "a" not in cache
    assert cache.rows(["c", "d"]).sum() == 2
    features = OneHot("AC", 2)
    features._cache.capacity = 3
    X = features(["AA", "AC"])
    assert torch.equal(features(["AC", "CA", "CC", "AA"])[[3, 0]], X)


def test_many_objects_are_described_once(monkeypatch: pytest.MonkeyPatch):
    features = OneHot("ACGU", 8)
    words = ["".join("ACGU"[(i >> 2 * j) & 3] for j in range(8)) for i in range(4**8)] * 2
    features(words[:10])
    n = []
    compute = features.compute
    monkeypatch.setattr(features, "compute", lambda objects: n.append(len(objects)) or compute(objects))
    assert features.describable(words) == words
    features(words[5:50])
    assert sum(n) == 4**8 - 10


def test_similarities_of_long_words_are_exact():
    features = OneHot("ACGU", 5)
    X = features(["ACGUA", "ACGUC", "AC", "UUUUU"])
    assert features.similarity(X, X).tolist()[0] == [1.0, 4 / 5, 2 / 5, 1 / 5]
