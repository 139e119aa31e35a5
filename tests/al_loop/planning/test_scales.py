import numpy as np
import pytest
import torch

from al_loop.planning.scales import PossibleScales
from al_loop.surrogates.gp import ExactGP


@pytest.mark.parametrize(("shape", "low", "high"), [(np.exp, 0.0, 0.7), (lambda z: -np.exp(z), 1.3, 2.0)])
def test_the_power_of_skewed_values_is_known_and_that_of_few_is_not(shape, low, high):
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.integers(0, 2, (60, 32))).double()
    values = shape(rng.normal(size=60))

    def powers(n):
        scales = PossibleScales.of_values(values[:n])
        draws = ExactGP(kernel="tanimoto").draw_scales(X[:n], scales.Y, scales.log_densities, 60, seed=0)
        return np.array([scales.transforms[k].power for k, _ in draws])

    assert low <= powers(60).mean() <= high
    assert powers(5).std() > 1.5 * powers(60).std()


def test_a_scale_keeps_the_order_of_the_values():
    values = np.array([3.0, -1.0, 0.5, 0.5, 20.0])
    scales = PossibleScales.of_values(values)
    assert all((np.argsort(column) == np.argsort(values)).all() for column in scales.Y.numpy().T)
