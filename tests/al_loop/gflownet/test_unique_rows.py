"""Distinct rows of integer tensors."""

import torch

from al_loop.gflownet.unique_rows import row_keys, unique_rows


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_distinct_rows_are_found():
    rows = torch.randint(0, 3, (500, 4), generator=generator())
    place, group = unique_rows(rows)
    assert torch.equal(rows[place][group], rows)
    assert len(place) == len(rows.unique(dim=0))
    assert len(row_keys(torch.arange(100_000)[:, None]).unique()) == 100_000
    grid = torch.cartesian_prod(*[torch.arange(-1, 15)] * 4)
    assert len(row_keys(grid).unique()) == 16**4
    assert torch.equal(row_keys(grid.short()), row_keys(grid))
    swapped = row_keys(torch.tensor([[0, 1], [1, 0], [-1, 2]]))
    assert len(swapped.unique()) == 3
