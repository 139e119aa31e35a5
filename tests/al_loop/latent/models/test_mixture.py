"""The mixture's density, its closed M-step, and its exact EM."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from al_loop.latent import Mixture


def points(n=400, seed=0):
    model = Mixture()
    with torch.no_grad():
        model.centre.copy_(2 * torch.tensor([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]))
    return model, model.sample(n, torch.Generator().manual_seed(seed))


def test_the_density_integrates_to_one():
    model = Mixture(groups=2, petals=3, sigma=0.5)
    grid = torch.linspace(-4, 4, 161, dtype=torch.float64)
    plane = torch.cartesian_prod(grid, grid)
    assert float(model.log_likelihood(plane).exp().sum() * 0.05**2) == pytest.approx(1, abs=1e-6)


def test_the_log_likelihood_is_that_of_the_normal_density():
    model = Mixture(groups=1, petals=1, radius=0.0, sigma=0.25)
    expected = -math.log(2 * math.pi * 0.25**2) - (0.3**2 + 0.4**2) / (2 * 0.25**2)
    assert float(model.log_likelihood([[0.3, 0.4]])) == pytest.approx(expected)


def test_the_codes_are_in_the_order_of_their_letters():
    model = Mixture(groups=3, petals=3)
    assert model.codes.tolist() == [[i, j] for i in range(3) for j in range(3)]
    table = model.log_joints(model.read([[0.3, 0.4]])).view(3, 3)
    pair = model.log_joint(model.read([[0.3, 0.4]]), torch.tensor([[1, 2]]))
    assert float(table[1, 2].detach()) == pytest.approx(float(pair.detach()))


def test_the_constant_of_the_paper_is_theirs():
    assert Mixture().constants()["printed_in_the_paper"] == pytest.approx(-2.80413, abs=1e-5)


def test_the_m_step_maximises_the_log_joint():
    model, (x, z) = points()
    model.maximise(x, z, torch.ones(len(x)))
    loss = -model.log_joint(x, z).mean()
    (gradient,) = torch.autograd.grad(loss, [model.centre])
    assert float(gradient.abs().max()) < 1e-10


def test_exact_em_never_lowers_the_likelihood():
    _, (x, _) = points()
    model = Mixture()
    model.initialise(x, torch.Generator().manual_seed(1))
    values = [model.exact_step(x) for _ in range(15)]
    assert all(b >= a - 1e-12 for a, b in pairwise(values))


def test_a_group_without_points_keeps_its_centre():
    model, (x, z) = points()
    before = model.centre.detach().clone()
    model.maximise(x, torch.stack([torch.zeros(len(x), dtype=torch.int64), z[:, 1]], 1), torch.ones(len(x)))
    assert torch.equal(model.centre[1:].detach(), before[1:])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1.0, 2.0], "n x 2 numbers, got the shape"),
        ([[1.0, 2.0, 3.0]], "got the shape"),
        ([[0.0, 0.0], [np.nan, 1.0]], "row 2"),
        (np.zeros((0, 2)), "got the shape"),
        ([[0.0, 0.0], [1e30, 1.0]], "row 2: 1e\\+30 is larger than 1e\\+09; rescale"),
        ([[1.0, 2.0], [1.0]], "expected points in the plane: "),
        ([[1j, 2.0]], "expected points in the plane"),
        ({"x": 1}, "expected points in the plane: "),
        (torch.zeros(2, 3, requires_grad=True), "got the shape"),
    ],
)
def test_points_that_are_none_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        Mixture().read(data)
    with pytest.raises(ValueError, match=message):
        Mixture().log_likelihood(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": math.inf}, "sigma: must be a number from 1e-06 to 1e"),
        ({"sigma": 1e-200}, "sigma: must be"),
        ({"radius": -1.0}, "radius: must be a number from 0"),
        ({"radius": math.nan}, "radius: must be"),
        ({"groups": 2.5}, "groups: must be a whole number of at least 1, got 2.5"),
        ({"petals": 0}, "petals: must be a whole number of at least 1, got 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mixture(**arguments)


def test_there_may_be_more_than_a_thousand_groups():
    assert len(Mixture(groups=1200, petals=1).latents().alphabet) == 1200
