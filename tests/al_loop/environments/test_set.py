import itertools
import math

import pytest

from al_loop.config.plugins import arguments_model, find
from al_loop.environments.set import Sets
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact_distribution import object_distribution, terminal_states


class TestFixedSize(EnvironmentContract):
    invalid = ("0,1", "0,1,2,3", "0,1,7", "0,1,1", "", "0,1,", "0, 1, 2", "a,b,c")
    is_small = True

    def make(self):
        return Sets(7, 3)


class TestVariableSizeOfNames(EnvironmentContract):
    invalid = ("salt", "salt,salt,oil", "salt,milk", "", "salt,oil,egg,rice,leek")
    is_small = True

    def make(self):
        return Sets(["salt", "oil", "egg", "rice", "leek", "red wine"], 4, 2)


class TestWholeSet(EnvironmentContract):
    invalid = ("0,1",)
    is_small = True

    def make(self):
        return Sets(3, 3)


class TestManyItems(EnvironmentContract):
    invalid = ("200",)

    def make(self):
        return Sets(200, 20, 1)


@pytest.mark.parametrize("least", [None, 1, 3])
def test_every_set_is_reached_once(least):
    environment = Sets(6, 4, least)
    found = environment.decode(terminal_states(environment))
    sizes = range(least or 4, 5)
    expected = {",".join(c) for k in sizes for c in itertools.combinations("012345", k)}
    assert len(set(found)) == len(found)
    assert set(found) == expected


def test_uniform_actions_reach_all_sets_of_one_size_alike():
    found = object_distribution(Sets(6, 3), None)
    assert len(found) == math.comb(6, 3)
    assert all(math.isclose(p, 1 / math.comb(6, 3)) for p in found.values())


def test_names_are_written_in_the_order_of_the_items():
    environment = Sets(["salt", "oil", "egg"], 2)
    assert environment.decode(environment.encode(["egg,salt"])) == ["salt,egg"]


def test_paths_are_the_orders_of_the_items():
    environment = Sets(9, 5, 1)
    assert environment.log_paths(environment.encode(["1", "1,2,3", "0,1,2,3,4"])).exp().tolist() == pytest.approx(
        [1, 6, 120]
    )


def test_a_full_set_needs_no_stop():
    environment = Sets(4, 2, 1)
    full, stopped = environment.encode(["0,1", "0"])
    assert full.tolist() == [1, 1, 0, 0, 0]
    assert stopped.tolist() == [1, 0, 0, 0, 1]
    assert environment.features(full[None]).tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((0, 1), "items"),
        (([], 1), "items"),
        ((["a", "a"], 1), "no item twice"),
        ((["a", "b,c"], 1), "contain a comma"),
        ((["a", ""], 1), "must not be empty"),
        ((3, 4), "size: .* got 4"),
        ((3, 0), "size: .* got 0"),
        ((3, 2.5), "size: must be a whole number of at least 1, got 2.5"),
        ((3, 2, 3), "min_size: .* got 3"),
        ((3, 2, 0), "min_size: .* got 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Sets(*arguments)


def test_a_config_names_it_and_may_give_a_number_or_names():
    assert find("environment", "set") is Sets
    model = arguments_model(Sets)
    assert model(items=5, size=2).items == 5
    assert model(items=["a", "b"], size=2).items == ["a", "b"]
