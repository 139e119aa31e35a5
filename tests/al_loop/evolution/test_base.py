import random
from collections import Counter

import pytest

from al_loop.evolution.base import Evolution


class Letters(Evolution):
    """Words whose children change a letter."""

    def child(self, first: str, second: str, generator: random.Random) -> str | None:
        place = generator.randrange(len(first))
        return first[:place] + generator.choice("abcd") + first[place + 1 :]


def n_of_a(objects):
    return [float(name.count("a")) for name in objects]


def test_generations_climb_the_score_and_return_every_acceptable_child():
    made = Letters(children=60, generations=12, population=20).evolve(
        ["bbbbbb"], n_of_a, lambda names: [name for name in names if "d" not in name], seed=0
    )
    assert "aaaaaa" in made
    assert len(made) == len(set(made))
    assert not any("d" in name for name in made)


def test_nothing_is_made_where_nothing_is_acceptable():
    assert Letters().evolve(["bbb"], n_of_a, lambda names: [], seed=0) == []


def test_better_parents_have_more_children():
    parents = [f"{i:02d}" for i in range(100)]
    generator = random.Random(0)
    children = [child for _ in range(100) for child in Letters().brood(parents, 4, generator)]
    drawn = Counter(child[0] for child in children if child[0].isdigit())
    assert drawn["0"] > 3 * drawn["9"] > 0


def test_immigrants_are_random_objects_of_the_library(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("\n".join(f"word{i}" for i in range(50)))
    letters = Letters(library=str(file), immigrants=5)
    assert len(letters.immigrants(0)) == 5
    assert letters.immigrants(0) == letters.immigrants(0) != letters.immigrants(1)
    assert Letters().immigrants(0) == []


@pytest.mark.parametrize(
    "arguments", [{"children": 0}, {"generations": 0}, {"population": 1}, {"immigrants": -1}], ids=str
)
def test_sizes_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Letters(**arguments)
