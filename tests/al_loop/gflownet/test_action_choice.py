"""Random choices of actions against their probabilities."""

import pytest
import torch

from al_loop.gflownet import action_choice


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("is_packed", [True, False], ids=["cpu", "gpu"])
@pytest.mark.parametrize("is_uniform", [True, False])
def test_many_actions_are_picked_with_their_probabilities(is_packed, is_uniform, monkeypatch):
    monkeypatch.setattr(action_choice, "packs", lambda device: is_packed)
    mask = torch.rand(3, 200, generator=generator()) < torch.tensor([[0.9], [0.05], [1.0]])
    mask[1, 7] = True
    logits = 3 * torch.randn(3, 200, generator=generator(1)) + torch.tensor([[0.0], [-300.0], [80.0]])

    exact = mask.double() if is_uniform else logits.double().masked_fill(~mask, -torch.inf).softmax(1)
    exact = exact / exact.sum(1, keepdim=True)
    n = 20_000
    picked, sound = action_choice._invert(None if is_uniform else logits.repeat(n, 1), mask.repeat(n, 1), generator(2))
    assert sound.isfinite().all()
    counts = torch.stack([picked[row::3].bincount(minlength=200) for row in range(3)])
    assert (counts[~mask] == 0).all()
    often = exact * n > 5
    chi_square = ((counts - n * exact).square() / (n * exact))[often].sum()
    freedom = int(often.sum()) - 3
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("is_packed", [True, False], ids=["cpu", "gpu"])
def test_rows_without_an_action_among_many_are_told(is_packed, monkeypatch):
    monkeypatch.setattr(action_choice, "packs", lambda device: is_packed)
    mask = torch.ones(4, 100, dtype=torch.bool)
    mask[1] = False
    logits = torch.zeros(4, 100)
    logits[3, 5] = torch.nan
    _, sound = action_choice._invert(logits, mask, generator())
    assert sound.isfinite().tolist() == [True, False, True, False]
    _, sound = action_choice._invert(None, torch.zeros(2, 100, dtype=torch.bool), generator())
    assert not sound.isfinite().any()
