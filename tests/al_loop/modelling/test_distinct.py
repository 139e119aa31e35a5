import torch

from al_loop.modelling.distinct import Distinct


def closeness(X1: torch.Tensor, X2: torch.Tensor) -> torch.Tensor:
    return 1 - (X1[:, None, 0] - X2[None, :, 0]).abs()


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_a_row_near_a_good_object_is_not_distinct():
    distinct = Distinct(rows(0.1, 0.6), closeness, distance=0.2)
    assert distinct.is_near(rows(0.0, 0.25, 0.35, 0.5, 0.9)).tolist() == [True, True, False, True, False]


def test_good_objects_near_an_earlier_one_do_not_count():
    assert Distinct(rows(0.1, 0.2, 0.5, 0.4), closeness, distance=0.25).X[:, 0].tolist() == [0.1, 0.5]


def test_thinned_rows_are_far_from_all_before_them():
    nothing = Distinct(rows(), closeness, distance=0.3)
    assert nothing.is_near(rows(0.5)).tolist() == [False]
    assert nothing.thinned(rows(0.5, 0.6, 0.1, 0.9, 0.45)) == [0, 2, 3]
    assert nothing.thinned(rows(0.5, 0.6, 0.1, 0.9, 0.45), most=2) == [0, 2]


def test_many_rows_are_thinned_in_few_comparisons_as_one_by_one():
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[:, None]
    one_by_one: list[int] = []
    for row in range(len(values)):
        if not one_by_one or bool((closeness(values[row : row + 1], values[one_by_one]) <= 1 - 1e-3).all()):
            one_by_one.append(row)
    calls: list[int] = []

    def counted(X1: torch.Tensor, X2: torch.Tensor) -> torch.Tensor:
        calls.append(len(X1))
        return closeness(X1, X2)

    distinct = Distinct(rows(), counted, distance=1e-3)
    assert distinct.thinned(values) == one_by_one
    assert len(calls) < 10 < 300 < len(one_by_one)
    assert distinct.thinned(values, most=200) == one_by_one[:200]


def test_blocks_without_a_free_row_are_passed_over():
    values = torch.cat([torch.full((400, 1), 0.5), torch.tensor([[0.9]])]).double()

    def of_rows(X1: torch.Tensor, X2: torch.Tensor) -> torch.Tensor:
        assert len(X1)
        assert len(X2)
        return closeness(X1, X2)

    assert Distinct(rows(), of_rows, distance=0.2).thinned(values) == [0, 400]
