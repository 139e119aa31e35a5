import torch

from al_loop.campaign.candidates import CandidatePool, CandidateSource
from al_loop.campaign.preparation import prepare
from al_loop.config import parse_config

CONFIG = {
    "name": "words",
    "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 3},
    "oracle": {"kind": "human"},
    "constraints": [{"kind": "gc_content", "max": 0.5}],
    "sampler": {"pool": 16},
}


class Sampler:
    """Draws the same words each time."""

    def __init__(self, words):
        self.words = words

    def best_seen(self):
        return ["AAA"]

    def draw(self, n, *, seed):
        return self.words


class Models:
    """An object is worth its number of As."""

    def scores(self, X):
        return X.reshape(len(X), 3, -1)[:, :, 0].sum(1)


def with_space(**space):
    return prepare(parse_config(CONFIG | {"environment": {"kind": "sequence", "length": 3, **space}}))


def test_rows_are_taken_together():
    pool = CandidatePool(("a", "b", "c"), ("sampler",) * 3, torch.arange(6.0).view(3, 2), torch.arange(3.0), (1, 1, 1))
    taken = pool.take([2, 0, 2]).at([0, 1, 1])
    assert taken.objects == ("c", "a", "c")
    assert taken.X[:, 0].tolist() == [4.0, 0.0, 4.0]
    assert taken.scores.tolist() == [2.0, 0.0, 2.0]
    assert taken.levels == (0, 1, 1)
    assert len(pool.take([])) == 0


def test_random_objects_are_new_acceptable_and_the_same_for_the_same_seed():
    parts = prepare(parse_config(CONFIG))
    closed, met = {"AAA", "UUU"}, []
    words = CandidateSource(parts, None).random(10, closed, lambda: met.append(1))
    assert len(set(words)) == len(words) == len(met) == 10
    assert not set(words) & closed
    assert all(sum(letter in "GC" for letter in word) <= 1 for word in words)
    assert CandidateSource(parts, None).random(10, closed) == words
    assert closed == {"AAA", "UUU"}


def test_a_small_space_gives_all_that_it_has():
    assert len(CandidateSource(with_space(alphabet="AU"), None).random(50, set())) == 8


def test_what_a_collapsed_sampler_lacks_is_filled_up_at_random():
    source = CandidateSource(prepare(parse_config(CONFIG)), Sampler(["AUA", "GGG", "UUU", "AUA"]))
    pool = source.pool(1, Models(), 4, {"UUU"}, {"UUU"})
    assert pool.objects[:2] == ("AAA", "AUA")
    assert pool.origins == ("sampler", "sampler", "random", "random")
    assert pool.scores[:2].tolist() == [3.0, 2.0]
    assert pool.levels == (0,) * 4


def test_of_an_exhausted_space_there_is_no_pool():
    source = CandidateSource(with_space(alphabet="AU"), Sampler(["AAA"]))
    everything = {a + b + c for a in "AU" for b in "AU" for c in "AU"}
    assert source.pool(1, Models(), 4, everything, everything) is None


def test_objects_without_features_are_not_proposed():
    parts = with_space(alphabet="AU")
    compute = parts.features.compute

    def picky(objects):
        if "AUA" in objects:
            raise ValueError("not this one")
        return compute(objects)

    parts.features.compute = picky
    assert len(CandidateSource(parts, None).random(50, set())) == 7
    pool = CandidateSource(parts, Sampler(["AUA", "UUA"])).pool(1, Models(), 2, set(), set())
    assert pool.objects == ("AAA", "UUA")
    assert parts.features.refused == {"AUA": "not this one"}


def test_acceptable_objects_without_features_are_not_blamed_on_the_constraints():
    parts = with_space(alphabet="AU")
    source = CandidateSource(parts, None)

    def none(objects):
        raise ValueError("no reference data")

    parts.features.compute = none
    assert source.why_none() == "features: none of 8 acceptable objects has features: no reference data"
    strict = prepare(parse_config(CONFIG | {"constraints": [{"kind": "gc_content", "min": 0.4, "max": 0.6}]}))
    assert CandidateSource(strict, None).why_none().startswith("constraints: none of")


SEEDED = CONFIG | {
    "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 8},
    "seeds": ["AAAAUUUU", "GCGCGCGC"],
}


def test_the_first_batch_consists_of_acceptable_seeds_and_of_objects_near_them():
    source = CandidateSource(prepare(parse_config(SEEDED)), Sampler([]))
    batch = source.first(8, set(), lambda: None)
    assert batch[0] == ("AAAAUUUU", "seed")  # the other seed breaks the constraint
    assert [origin for _, origin in batch[1:]] == ["nearby"] * 7
    near = [sum(a != b for a, b in zip(word, "AAAAUUUU", strict=True)) for word, _ in batch[1:]]
    assert len({word for word, _ in batch}) == 8
    assert min(near) <= 2
    assert source.first(8, {"AAAAUUUU"}, lambda: None)[0][1] == "nearby"


def test_each_round_looks_near_the_seeds_as_well():
    config = SEEDED | {"features": {"kind": "one_hot"}}
    source = CandidateSource(prepare(parse_config(config)), Sampler(["AAAAAAAA"]))

    class Worth:
        def scores(self, X):
            return X.sum(1)

    pool = source.pool(1, Worth(), 2, {"AAAAUUUU"}, {"AAAAUUUU"})
    assert set(pool.origins) >= {"sampler", "nearby"}
    assert "AAAAUUUU" not in pool.objects
