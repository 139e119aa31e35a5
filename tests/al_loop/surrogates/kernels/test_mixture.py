import pickle

import numpy as np
import pytest
import torch

from al_loop.surrogates.kernels.elementary import RBF, Rows, Tanimoto, prepare
from al_loop.surrogates.kernels.mixture import Mixture, mixed


class Halves:
    """Encodes rows as half of their first two features."""

    def rows(self, X: torch.Tensor) -> Rows:
        return prepare(X[:, :2] / 2, torch.float64)


def rows(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).poisson(0.8, (n, 9)).astype(float))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_weighted_sum_of_both_kernels(dtype):
    X1, X2 = rows(5), rows(7, seed=1)
    kernel = Mixture(RBF(1.5), 9, Tanimoto(), 0.3, dtype)
    found = kernel.cross(kernel.rows(Halves(), X1), kernel.rows(Halves(), X2))
    expected = 0.3 * RBF(1.5)(X1[:, :2] / 2, X2[:, :2] / 2) + 0.7 * Tanimoto()(X1, X2)
    assert torch.allclose(found, expected, rtol=1e-6)


def test_batches_of_rows_have_batches_of_matrices():
    X, kernel = rows(12), Mixture(RBF(), 9, Tanimoto(), 0.6)
    flat = kernel.rows(Halves(), X)
    grouped = flat.grouped((4, 3))
    assert torch.allclose(kernel.cross(grouped, grouped)[1], kernel.cross(flat[3:6], flat[3:6]))


def test_without_a_plain_kernel_it_is_the_deep_one_alone():
    X, kernel = rows(6), Mixture(RBF(2.0))
    encoded = kernel.rows(Halves(), X)
    assert torch.equal(kernel.cross(encoded, encoded), RBF(2.0).cross(encoded, encoded))
    assert kernel.features(X) is None


def test_matrices_are_mixed_as_kernels_are():
    one, other = (torch.ones(2, 2), torch.zeros(1, 2)), (torch.zeros(2, 2), torch.ones(1, 2))
    assert [m.unique().tolist() for m in mixed(one, other, 0.25)] == [[0.75], [0.25]]
    assert mixed(None, other, 1.0) is other


def test_it_survives_pickling_and_names_its_weight():
    kernel = Mixture(RBF(), 9, Tanimoto(), 0.4)
    assert pickle.loads(pickle.dumps(kernel)) == kernel
    assert kernel.hyperparameters() == {"deep_weight": 0.4}
