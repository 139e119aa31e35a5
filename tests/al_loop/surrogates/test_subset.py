import torch

from al_loop.surrogates._subset import informative_rows
from al_loop.surrogates.gp import ExactGP


def test_half_of_the_rows_are_the_best_and_half_spread_over_the_others():
    Y = torch.arange(100.0)[torch.randperm(100, generator=torch.Generator().manual_seed(0))][:, None]
    chosen = informative_rows(Y, 20)
    assert len(chosen) == len(set(chosen.tolist())) == 20
    assert (Y[chosen, 0] >= 90).sum() >= 10
    assert chosen.tolist() == sorted(chosen.tolist())
    assert chosen.max() - chosen.min() > 80


def test_each_objective_has_its_best_rows():
    Y = torch.stack([torch.arange(50.0), -torch.arange(50.0)], 1)
    assert {0, 1, 48, 49} <= set(informative_rows(Y, 8).tolist())


def test_few_rows_are_all_used():
    assert informative_rows(torch.zeros(5, 1), 5).tolist() == list(range(5))


def test_the_process_of_many_rows_knows_the_best_ones():
    generator = torch.Generator().manual_seed(0)
    X = torch.randint(0, 3, (400, 40), generator=generator).double()
    Y = X[:, :5].sum(1, keepdim=True)
    model = ExactGP(max_rows=100).fit(X, Y)
    best = Y[:, 0].argsort(descending=True)[:10]
    mean, _ = model.mean_and_variance(X[best])
    assert len(model.train_targets) == 100
    assert (mean - Y[best, 0]).abs().mean() < 1.0
