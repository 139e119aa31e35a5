"""Kernels on lists of identifiers and counts equal those on dense rows."""

import pytest
import torch

from al_loop.errors import ConfigError
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import KERNELS, prepare
from al_loop.surrogates.kernels.expression import kernel_of


def rows(*shape, seed=0):
    """Return rows of identifiers and counts, and the same counts as dense rows."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randint(0, 4, (*shape, 10), generator=generator)
    dense[..., 0] += 1
    ids = (torch.arange(10) * 429_496_729).expand_as(dense)
    order = (dense == 0).long().argsort(dim=-1, stable=True)
    return torch.cat([ids.gather(-1, order), dense.gather(-1, order)], -1).double(), dense.double()


@pytest.fixture(params=["tanimoto", "minmax"])
def kernels(request):
    return kernel_of(f"sparse_{request.param}"), KERNELS[request.param]


@pytest.mark.parametrize("n", [3, 40])
def test_kernels_equal_those_of_dense_rows(n, kernels):
    (a, dense_a), (b, dense_b) = rows(7), rows(n, seed=1)
    sparse, dense = kernels
    assert torch.allclose(sparse(a, b), dense(dense_a, dense_b), atol=1e-12)


def test_kernels_of_groups_equal_those_of_dense_rows(kernels):
    (a, dense_a), (b, dense_b) = rows(5, 3), rows(5, 2, seed=1)
    sparse, dense = kernels
    grouped = torch.stack([dense(x, y) for x, y in zip(dense_a, dense_b, strict=True)])
    assert torch.allclose(sparse(a, b), grouped, atol=1e-12)


def test_a_table_is_not_used_for_rows_that_have_changed():
    kernel = kernel_of("sparse_tanimoto")
    (a, _), (b, _) = rows(3), rows(40, seed=1)
    reference = prepare(b)
    before = kernel.cross(prepare(a), reference)
    reference.values[:20] = reference.values[20:].clone()
    after = kernel.cross(prepare(a), reference)
    assert not torch.equal(before, after)
    assert torch.equal(after[:, :20], after[:, 20:])


def test_a_gaussian_process_predicts_as_on_dense_rows(kernels):
    (a, dense_a), (b, dense_b) = rows(6), rows(50, seed=1)
    Y = dense_b[:, :1] - dense_b[:, 1:2]
    name = "tanimoto" if kernels[1] is KERNELS["tanimoto"] else "minmax"
    sparse = ExactGP(kernel=f"sparse_{name}").fit(b, Y).mean_and_variance(a)
    dense = ExactGP(kernel=name).fit(dense_b, Y).mean_and_variance(dense_a)
    for own, other in zip(sparse, dense, strict=True):
        assert torch.allclose(own, other, atol=1e-8)


def test_other_rows_are_refused():
    with pytest.raises(ConfigError, match=r"sparse_tanimoto and sparse_minmax require rows of identifiers and counts"):
        kernel_of("sparse_minmax").trained(torch.rand(4, 6))
