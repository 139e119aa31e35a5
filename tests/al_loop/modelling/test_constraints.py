import pickle

from al_loop.modelling.constraints import Constraints, PropertyBound
from tests.support.properties import Size


def test_violations_add_up():
    bounds = Constraints((PropertyBound(Size(), 0.0, 6.0), PropertyBound(Size(), None, 4.0)))
    assert bounds.violation(["-4", "5", "3", "10"]).tolist() == [2.0, 0.5, 0.0, 2.0 + 3.0]


def test_no_constraints_violate_nothing():
    assert Constraints().violation(["1", "2"]).tolist() == [0.0, 0.0]


def test_what_violates_a_bound_or_is_unknown_is_not_acceptable():
    bounds = Constraints((PropertyBound(Size(), 0.0, 6.0),))
    assert bounds.acceptable(["7", "3", "99", "0"]) == ["3", "0"]


def test_the_cache_does_not_travel():
    bounds = Constraints((PropertyBound(Size(), 0.0, 6.0),))
    bounds.violation(["7"])
    assert pickle.loads(pickle.dumps(bounds))._violations == {}
