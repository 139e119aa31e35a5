import numpy as np
import pytest
import torch

from al_loop.surrogates.kernels.elementary import RBF, Hamming, Tanimoto, prepare


def counts(n: int, d: int = 40, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).poisson(0.5, (n, d)).astype(float))


def test_tanimoto_is_the_dot_product_form():
    X1, X2 = counts(4), counts(3, seed=1)
    K = Tanimoto()(X1, X2)
    for i, x in enumerate(X1.numpy()):
        for j, y in enumerate(X2.numpy()):
            assert K[i, j].item() == pytest.approx(x @ y / (x @ x + y @ y - x @ y), abs=1e-15)


def test_tanimoto_of_two_empty_rows_is_one_and_of_one_zero():
    X = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert Tanimoto()(X, X).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_hamming_is_the_exponential_of_the_differing_fraction():
    letters = torch.tensor([[0, 1, 2, 0], [0, 1, 1, 1], [2, 2, 2, 2]])
    X = torch.nn.functional.one_hot(letters, 3).double().flatten(1)
    fraction = (letters.unsqueeze(1) != letters.unsqueeze(0)).double().mean(-1)
    assert torch.allclose(Hamming(0.3)(X, X), torch.exp(-fraction / 0.3), atol=1e-14)


@pytest.mark.parametrize("kernel", [Tanimoto(), *Hamming().grid(), *RBF().grid()])
def test_gram_matrices_are_positive_semidefinite_with_a_unit_diagonal(kernel):
    letters = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (40, 5)))
    X = counts(40) if not isinstance(kernel, Hamming) else torch.nn.functional.one_hot(letters, 3).flatten(1).double()
    K = kernel(X, X)
    assert torch.equal(K, K.T)
    assert torch.allclose(K.diagonal(), torch.ones(40, dtype=torch.float64))
    assert torch.linalg.eigvalsh(K).min() > -1e-10


def test_kernels_take_batches():
    X1, X2 = counts(6).reshape(2, 3, -1), counts(8, seed=1).reshape(2, 4, -1)
    K = Tanimoto()(X1, X2)
    assert K.shape == (2, 3, 4)
    assert torch.allclose(K[1], Tanimoto()(X1[1], X2[1]))


def test_small_integers_are_multiplied_in_float32_and_anything_else_in_float64():
    assert prepare(counts(3)).values.dtype == torch.float32
    assert prepare(counts(3) + 0.1).values.dtype == torch.float64
    assert prepare(counts(3) * 1000 + 1).values.dtype == torch.float64  # sums beyond 2^24
    assert prepare(torch.tensor([[1.0 + 1e-12]], dtype=torch.float64)).values.dtype == torch.float64


def test_rbf_is_the_exponential_of_the_squared_distance():
    X1, X2 = torch.randn(5, 3).double(), torch.randn(4, 3).double()
    assert torch.allclose(RBF(0.7)(X1, X2), torch.exp(-torch.cdist(X1, X2).square() / (2 * 0.49)), atol=1e-12)
