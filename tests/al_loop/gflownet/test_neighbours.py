import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.environments.selfies import Selfies
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet.neighbours import Neighbourhood
from al_loop.gflownet.random_objects import random_objects
from al_loop.properties.similarity import SimilarityTo

HIT = "CC(=O)Nc1ccc(O)cc1"
LARGE_HIT = "CC(=O)Nc1ccc(Cc2ccc(N3CCOCC3)nc2)cc1"


def no_violation(objects):
    return torch.zeros(len(objects), dtype=torch.float64)


def walk(environment, objects, violation=no_violation, seed=0):
    return Neighbourhood(environment, environment.encode(objects), violation, seed)


def outside_window(objects):
    similarity = torch.from_numpy(SimilarityTo([LARGE_HIT]).compute(objects))
    return (0.4 - similarity).clamp(min=0) + (similarity - 0.7).clamp(min=0)


@pytest.mark.parametrize(
    ("environment", "seed"),
    [
        (Sequences("ACGU", 8), "ACGUACGU"),
        (Sequences("ACGU", 8, 4, order="prepend_append"), "ACGUA"),
        (Selfies(), "CC(=O)Nc1ccccc1"),
        (Fragments(), HIT),
        (Sets("abcdef", 3, 2), "a,b"),
    ],
    ids=["fixed", "both_ends", "selfies", "fragments", "set"],
)
def test_new_objects_of_the_space_are_drawn_once_each(environment, seed):
    names = [name for draw in walk(environment, [seed]).draws(3, 32) for name in draw]
    assert names
    assert len(set(names)) == len(names)
    assert seed not in names
    environment.encode(names[:20]) if environment.name != "selfies" else None


def test_any_letter_of_a_seed_may_change():
    (names,) = walk(Sequences("ACGU", 8), ["AAAAAAAA"]).draws(1, 256)
    changed = {i for name in names for i, letter in enumerate(name) if letter != "A"}
    assert changed == set(range(8))


def test_molecules_near_a_seed_are_more_like_it_than_random_ones():
    environment = Fragments()
    (names,) = walk(environment, [HIT]).draws(1, 128)
    similar = SimilarityTo([HIT]).compute(names)
    random = random_objects(environment, 64, torch.Generator().manual_seed(0))
    assert similar.mean() > 1.5 * SimilarityTo([HIT]).compute(random).mean()
    assert sum(map(len, names)) / len(names) < 2 * len(HIT)


def test_a_window_of_similarity_is_entered_from_its_seed():
    draws = list(walk(Fragments(), [LARGE_HIT], outside_window).draws(6, 64))
    inside = [[name for name in draw if outside_window([name])[0] == 0] for draw in draws]
    assert sum(map(len, inside)) > 15


def test_a_rare_region_is_reached_from_far_away():
    def few_guanines(objects):
        return torch.tensor([20.0 - word.count("G") for word in objects]).clamp(min=0)

    search = walk(Sequences("ACGU", 20), ["ACUACUACUACUACUACUAC"], few_guanines)
    for _ in search.draws(60, 64):
        pass
    assert search.least_violation <= 4  # 1 of 2 million random words
    assert search.best(1)[0].count("G") >= 16


def test_the_walk_follows_from_its_seed():
    draws = [list(walk(Sequences("ACGU", 8), ["ACGUACGU"], seed=seed).draws(2, 16)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
