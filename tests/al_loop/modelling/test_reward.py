import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from botorch.acquisition import AcquisitionFunction
from scipy.stats import norm

from al_loop.acquisitions.base import score
from al_loop.config.reward_settings import Reward
from al_loop.modelling.constraints import Constraints, PropertyBound
from al_loop.modelling.reward import AcquisitionReward, ObjectSpace
from al_loop.modelling.side_terms import OutcomeBound, SideTerms
from tests.support.properties import Size


class Linear(AcquisitionFunction):
    """The first feature, counted."""

    def __init__(self, factor=1.0):
        super().__init__(model=torch.nn.Module())
        self.factor = factor
        self.calls = 0
        self.largest = 0

    def forward(self, X):
        assert X.shape[1:] == (1, 1)
        self.calls += 1
        self.largest = max(self.largest, len(X))
        return self.factor * X[:, 0, 0]


class Number:
    """Objects are numbers."""

    def __call__(self, objects):
        return torch.tensor([[float(o)] for o in objects], dtype=torch.float64).reshape(-1, 1)


class Unsure:
    """A model whose standard deviation is the number, or so many times it."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def posterior(self, X):
        return SimpleNamespace(variance=(self.factor * X[:, :, :1]).square())


REFERENCE = [str(k) for k in range(11)]  # median 5, median absolute deviation 3
SPACE = ObjectSpace(Number(), Constraints(), REFERENCE)


def reward(constraints=None, factor=1.0, reference=REFERENCE, beta=2.0, clip=5.0):
    space = ObjectSpace(Number(), constraints or Constraints(), reference)
    return AcquisitionReward([Linear(factor)], [Unsure()], space, Reward(beta=beta, clip=clip))


def test_is_beta_times_the_standardised_acquisition():
    spread = 1.4826 * 3
    expected = [2 * (x - 5) / spread for x in (5.0, 8.0, 0.0)]
    assert reward()(["5", "8", "0"]).tolist() == pytest.approx(expected, rel=1e-5)
    assert reward()(["5"]).dtype == torch.float32


def test_does_not_depend_on_the_acquisitions_unit():
    torch.testing.assert_close(reward(factor=1e-3)(REFERENCE), reward(factor=1e3)(REFERENCE))


def test_is_clipped():
    assert reward(clip=1.5)(["1000", "-1000"]).tolist() == [3.0, -3.0]


def test_one_scale_of_violation_costs_one_spread():
    bounds = Constraints((PropertyBound(Size(), None, 6.0),))
    free, held = reward(), reward(bounds)
    assert (free(["8"]) - held(["8"])).item() == pytest.approx(2.0)  # (8 - 6) / scale, times beta
    assert held(["6"]) == free(["6"])


def test_violations_are_not_clipped():
    bounds = Constraints((PropertyBound(Size(), 0.0, 6.0), PropertyBound(Size(), None, 4.0)))
    assert reward(bounds)(["1000"]) < reward(bounds)(["100"])


def test_an_unknown_property_has_a_reward_of_zero():
    assert reward(Constraints((PropertyBound(Size(), None, 6.0),)))(["99"]).item() == -math.inf


def test_a_constant_acquisition_gives_everything_the_same_finite_reward():
    assert reward(factor=0.0)(["1", "7"]).tolist() == [0.0, 0.0]


def test_mostly_constant_references_are_scaled_by_their_deviation():
    values = reward(reference=["0"] * 8 + ["1", "2"])
    assert values.scales[0].spread == pytest.approx(np.std([0.0] * 8 + [1.0, 2.0]))
    assert torch.isfinite(values(["0", "2"])).all()


def test_an_object_is_scored_once():
    r = reward()
    before = r._acquisitions[0].calls
    first = r(["1", "2", "1"])
    assert torch.equal(r(["2", "1"]), first[[1, 0]])
    assert r._acquisitions[0].calls == before + 1
    assert first[0] == first[2]


def test_pickles_without_what_it_has_log_rewards():
    r = reward()
    before = r(["1", "9"])
    copy = pickle.loads(pickle.dumps(r))
    assert not copy._log_rewards
    assert torch.equal(copy(["1", "9"]), before)
    assert r._log_rewards


def test_no_objects_have_no_rewards():
    assert reward()([]).shape == (0,)
    assert two_rewards()([]).shape == (0, 2)


def two_rewards(side_terms=None):
    acquisitions, models = [Linear(1.0), Linear(-10.0)], [Unsure(), Unsure(4.0)]
    return AcquisitionReward(acquisitions, models, SPACE, Reward(beta=2.0), side_terms)


def test_each_of_several_objectives_has_a_log_reward_on_its_own_scale():
    values = two_rewards()(["5", "8"])
    assert values.shape == (2, 2)
    assert torch.allclose(values[:, 0], -values[:, 1])
    assert torch.equal(values[:, 0], reward()(["5", "8"]))
    assert two_rewards().uncertainty(["5", "10", "0"]).tolist() == pytest.approx([1, 2, 0])


def test_the_probability_of_an_answer_and_the_cost_count_beside_the_acquisition():
    def answers(X):
        return torch.where(X[:, 0] > 6, 0.25, 1.0).double().log()

    def costs(X):
        return torch.where(X[:, 0] < 6, 3.0, 1.0).double()

    side_terms = SideTerms(log_success_probability=answers, feasibility=2.0, relative_cost=costs, cost=0.5)
    held = AcquisitionReward([Linear()], [Unsure()], SPACE, Reward(beta=2.0), side_terms)
    change = ((held(["8", "3"]) - reward()(["8", "3"])) / 2).exp()
    assert change.tolist() == pytest.approx([0.25**2, 3**-0.5])
    of_each = ((two_rewards(side_terms)(["8"]) - two_rewards()(["8"])) / 2).exp()
    assert of_each[0].tolist() == pytest.approx([0.25**2] * 2)


def test_the_probability_of_keeping_a_bound_counts_as_the_acquisition_does():
    class Known:
        def mean_and_variance(self, X):
            return X[:, 0], torch.ones(len(X), dtype=torch.float64)

    side_terms = SideTerms(bounds=(OutcomeBound(Known(), None, 7.0),))
    held = AcquisitionReward([Linear()], [Unsure()], SPACE, Reward(beta=2.0), side_terms)
    change = (held(["8", "7"]) - reward()(["8", "7"])) / 2.0  # beta
    assert change.tolist() == pytest.approx([float(norm.logcdf(-1)), math.log(0.5)], rel=1e-5)


def test_score_goes_in_chunks():
    acquisition = Linear()
    X = torch.arange(10.0)[:, None]
    assert torch.equal(score(acquisition, X, chunk=4), X[:, 0])
    assert (acquisition.calls, acquisition.largest) == (3, 4)
    assert score(acquisition, X[:0]).shape == (0,)


def test_uncertainty_is_one_for_what_is_as_unknown_as_most():
    assert reward().uncertainty(["5", "10", "0"]).tolist() == pytest.approx([1, 2, 0])
