from al_loop.modelling.fidelities import Fidelities

LEVELS = Fidelities(("rough", "fine", "exact"), (1.0, 3.0, 10.0))


def test_levels_count_from_the_cheapest_and_what_is_unknown_is_of_the_target():
    assert [LEVELS.level(name) for name in ("rough", "fine", "exact", "", "other")] == [0, 1, 2, 2, 2]
    assert (LEVELS.target, LEVELS.are_several) == ("exact", True)
    assert LEVELS.prices == {"rough": 1.0, "fine": 3.0, "exact": 10.0}


def test_values_of_cheaper_fidelities_are_not_of_the_target():
    assert [LEVELS.is_target(name) for name in ("rough", "fine", "exact", "")] == [False, False, True, True]


def test_of_a_single_fidelity_everything_is_of_the_target():
    one = Fidelities(("docked",), (2.0,))
    assert not one.are_several
    assert one.level("docked") == one.level("") == 0
    assert all(one.is_target(name) for name in ("docked", "", "another"))
